"""The cheapest change that makes a training fit into a memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from idiff.planning.memory import StepMemory, StepSettings

Step = Callable[[StepSettings], "tuple[StepSettings, str] | None"]
"""Settings -> settings with a change and its words; None where it is made already."""

Measure = Callable[[StepSettings, bool], StepMemory]
"""(settings, with adapters instead of all weights) -> what a step takes."""


@dataclass(frozen=True, slots=True)
class Change:
    """One way to need less.

    Attributes:
        settings: of the step with it. lora: adapters are trained instead of all weights.
        words: what to write in the configuration, one setting each.
        memory: what the step takes with it.
    """

    settings: StepSettings
    lora: bool
    words: tuple[str, ...]
    memory: StepMemory


def cheapest_change(measure: Measure, settings: StepSettings, *, lora: bool, limit: float) -> Change | None:
    """Find the cheapest change that fits; None: nothing here does.

    In order of what they cost: a latent cache (nothing but its making), an 8-bit optimizer, gradient checkpointing (about a third
    more time), smaller micro-batches with more of them in a step, then adapters, which learn less. Each is tried alone, then the
    first two and all three together.

    Args:
        measure: counts a step.
        settings: as configured.
        lora: adapters are trained already.
        limit: bytes.
    """
    single: list[Step] = [_cached, _eight_bit, _checkpointed]
    steps: list[list[Step]] = [[one] for one in single]
    steps += [single[:2], single]
    for with_lora in (False, True) if not lora else (True,):
        for kinds in steps if with_lora == lora else [[], *steps]:
            found = _applied(measure, settings, kinds, lora=lora, with_lora=with_lora, limit=limit)
            if found is not None:
                return found
        smaller = _smaller(measure, settings, single, lora=lora, with_lora=with_lora, limit=limit)
        if smaller is not None:
            return smaller
    return None


def _cached(settings: StepSettings) -> tuple[StepSettings, str] | None:
    return None if settings.cached else (replace(settings, cached=True), "data.cache: DIR (made by `idiff data cache`)")


def _eight_bit(settings: StepSettings) -> tuple[StepSettings, str] | None:
    return (
        None
        if settings.optimizer != "adamw"
        else (replace(settings, optimizer="adamw8bit"), "model.optimizer: adamw8bit")
    )


def _checkpointed(settings: StepSettings) -> tuple[StepSettings, str] | None:
    words = "model.backbone.gradient_checkpointing: true"
    return None if settings.checkpointing else (replace(settings, checkpointing=True), words)


def _applied(
    measure: Measure,
    settings: StepSettings,
    kinds: list[Step],
    *,
    lora: bool,
    with_lora: bool,
    limit: float,
) -> Change | None:
    """Some changes together, where they fit."""
    words = [] if with_lora == lora else ["model.lora: {rank: 8}"]
    for kind in kinds:
        made = kind(settings)
        if made is not None:
            settings, said = made
            words.append(said)
    memory = measure(settings, with_lora)
    return Change(settings, with_lora, tuple(words), memory) if memory.total <= limit else None


def _smaller(
    measure: Measure,
    settings: StepSettings,
    kinds: list[Step],
    *,
    lora: bool,
    with_lora: bool,
    limit: float,
) -> Change | None:
    """The largest micro-batch that fits beside all other changes, at the same size of a step."""
    batch, total = settings.batch, settings.batch * settings.accumulation
    while batch > 1:
        batch //= 2
        more = -(-total // batch)
        less = replace(settings, batch=batch, accumulation=more)
        found = _applied(measure, less, kinds, lora=lora, with_lora=with_lora, limit=limit)
        if found is not None:
            words = (*found.words, f"data.batch_size: {batch}", f"trainer.accumulate_grad_batches: {more}")
            return replace(found, words=words)
    return None
