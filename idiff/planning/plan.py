"""The dry run of a training, put into words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from idiff.errors import ConfigError
from idiff.models.backbone import LatentDiffusion
from idiff.models.lora import Lora, adapt, has_adapters
from idiff.models.outline import emptied
from idiff.planning.changes import Change, cheapest_change
from idiff.planning.data import SetPlan
from idiff.planning.memory import GB, StepMemory, StepSettings, step_flops, step_memory

TFLOPS = 50.0
"""Sustained TFLOP/s that hours are computed with where no device can be timed; a mid-range GPU in bfloat16 reaches about this."""


@dataclass(slots=True)
class Plan:
    """What a training would do and need.

    Attributes:
        frozen: part -> parameters that stay. trained: part -> parameters that are trained.
        settings, memory, flops: of one step; None where a stage has no diffusion model.
        kept, file: checkpoints on the disk at a time, and bytes of one.
        steps: of the run; None: no end is set.
        sets: of the data. examples: a step takes.
        seconds: of a step where it was timed on `device`.
        change: the cheapest that fits `limit`, where the run does not.
    """

    trained: dict[str, int]
    frozen: dict[str, int]
    settings: StepSettings | None = None
    memory: StepMemory | None = None
    flops: float = 0.0
    kept: int = 0
    file: int = 0
    steps: int | None = None
    sets: list[SetPlan] = field(default_factory=list)
    seconds: float | None = None
    device: str = "cpu"
    measured: int | None = None
    limit: float | None = None
    change: Change | None = None

    @property
    def fits(self) -> bool:
        """Whether the memory is enough, where one is given."""
        return self.limit is None or self.memory is None or self.memory.total <= self.limit

    def describe(self) -> dict[str, Any]:
        """Plain values."""
        kept = ("trained", "frozen", "steps", "seconds", "device", "flops", "limit")
        found: dict[str, Any] = {name: getattr(self, name) for name in kept}
        if self.memory is not None and self.settings is not None:
            found |= {"step": asdict(self.settings), "memory": asdict(self.memory) | {"total": self.memory.total}}
        return found | {"sets": [asdict(each) for each in self.sets]}


def parameters_of(stage: Any) -> tuple[dict[str, int], dict[str, int]]:
    """Part -> number of parameters, of those that are trained and of those that are frozen."""
    trained: dict[str, int] = {}
    frozen: dict[str, int] = {}
    for name, parameter in stage.named_parameters():
        words = name.split(".")
        part = words[1] if words[0] == "backbone" else words[0]
        if ".lora_" in name:
            part += " adapters"
        group = trained if parameter.requires_grad else frozen
        group[part] = group.get(part, 0) + parameter.numel()
    return trained, frozen


def add_memory(plan: Plan, backbone: LatentDiffusion, settings: StepSettings, *, limit: float | None) -> None:
    """Count the memory of a step, and look for the cheapest change where it is more than the limit.

    Args:
        plan: takes what is found.
        backbone: without values.
        settings: of a step.
        limit: bytes; None: whatever it takes.
    """
    plan.settings, plan.limit = settings, limit
    plan.memory = step_memory(backbone, settings)
    plan.flops = step_flops(backbone, settings)
    if limit is None or plan.memory.total <= limit:
        return
    adapted = has_adapters(backbone.unet)

    def measure(changed: StepSettings, lora: bool) -> StepMemory:
        if lora and not has_adapters(backbone.unet):  # nothing is measured without adapters from here on
            _put_adapters(backbone)
        return step_memory(backbone, changed)

    plan.change = cheapest_change(measure, settings, lora=adapted, limit=limit)


def _put_adapters(backbone: LatentDiffusion) -> None:
    """Train adapters alone, in place."""
    if not backbone.provenance.sources:  # new weights, which adapters would not be trained on: the sizes are the same
        backbone.provenance.sources.append({"path": "", "kind": "model", "sha256": "", "step": 0})
    backbone.provenance.new.clear()
    adapt(backbone, Lora())
    emptied(backbone)


def refuse_too_large(plan: Plan) -> None:
    """Refuse a plan that does not fit.

    Raises:
        ConfigError: what it takes, what there is, and the cheapest change that fits.
    """
    if plan.fits:
        return
    assert plan.memory is not None and plan.limit is not None
    remedy = "No change that is known here makes it fit: use a smaller model or images."
    if plan.change is not None:
        remedy = (
            f"The cheapest change that fits ({plan.change.memory.total / GB:.2f} GB): {'; '.join(plan.change.words)}."
        )
    raise ConfigError(
        f"a step takes {plan.memory.total / GB:.2f} GB, and --memory gives {plan.limit / GB:g} GB. {remedy}"
    )


def lines(plan: Plan) -> list[str]:
    """The plan for the terminal."""
    said = ["model"]
    said += [f"  trained  {part:<22} {count:>15,} parameters" for part, count in plan.trained.items()]
    said += [f"  frozen   {part:<22} {count:>15,} parameters" for part, count in plan.frozen.items()]
    if plan.memory is not None and plan.settings is not None:
        said += _memory_lines(plan.memory, plan.settings)
    if plan.file:
        said.append(f"disk     {plan.file * plan.kept / GB:.2f} GB: {plan.kept} checkpoints of {plan.file / GB:.2f} GB")
    said += _data_lines(plan)
    return said + _time_lines(plan)


def _memory_lines(memory: StepMemory, settings: StepSettings) -> list[str]:
    parts = {
        "weights": memory.weights, "gradients": memory.gradients, "optimizer": memory.states, "average": memory.average,
        "activations": memory.activations,
    }  # fmt: skip
    how = [
        f"{settings.batch} x {settings.accumulation} images of {settings.side} px",
        settings.precision,
        settings.optimizer,
    ]
    how += ["latents and text cached"] * settings.cached + ["gradient checkpointing"] * settings.checkpointing
    return [
        f"memory   {memory.total / GB:.2f} GB computed for one device ({', '.join(how)})",
        "  " + ", ".join(f"{name} {size / GB:.2f}" for name, size in parts.items()),
        "  without the libraries' own (about 0.5 GB on CUDA), fragmentation and validation",
    ]


def _data_lines(plan: Plan) -> list[str]:
    if not plan.sets:
        return []
    total = sum(each.draws for each in plan.sets)
    said = [f"data     {total:,} examples an epoch"]
    for each in plan.sets:
        said.append(
            f"  {each.name:<22} {each.samples:>9,} images, {each.items:>9,} items, {each.draws:>9,} an epoch, {each.share:6.1%}"
        )
        if each.funnel:
            said.append("    " + ", ".join(f"{step} {count:,}" for step, count in each.funnel.items()))
    return said


def _time_lines(plan: Plan) -> list[str]:
    if plan.settings is None:
        return []
    step = f"{plan.flops / 1e12:.2f} TFLOP a step"
    if plan.seconds is not None:
        seconds, how = plan.seconds * plan.settings.accumulation, f"three timed steps on {plan.device}"
        if plan.measured is not None:
            how += f", peak {plan.measured / GB:.2f} GB"
    else:
        seconds, how = plan.flops / (TFLOPS * 1e12), f"no device was timed: computed at {TFLOPS:g} TFLOP/s"
    whole = f"; {plan.steps:,} steps in {plan.steps * seconds / 3600:,.1f} h" if plan.steps else "; no last step is set"
    return [f"time     {seconds:.2f} s a step ({how}; {step}){whole}"]


def settings_of(stage: Any, data: Any, trainer: Mapping[str, Any], *, average: bool) -> StepSettings:
    """What the memory of a step depends on, from a stage, its data module and the trainer's settings."""
    sizes = [int(task.settings["size"]) for task in data.tasks.values() if "size" in getattr(task, "settings", {})]
    precision = str(trainer.get("precision") or "32-true")
    return StepSettings(
        batch=int(data.batch_size),
        accumulation=int(trainer.get("accumulate_grad_batches") or 1),
        side=max(sizes, default=256),
        precision=precision,
        cached=data.cache is not None,
        checkpointing=bool(stage.backbone.unet.is_gradient_checkpointing),
        optimizer=str(stage.optimizer),
        average=average,
        fused=not (precision in ("16-mixed", "16") and trainer.get("gradient_clip_val")),
    )
