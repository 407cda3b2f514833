"""What a training step takes on one device, from a forward and backward pass over tensors without values."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from idiff.models.backbone import LatentDiffusion
from idiff.models.outline import outline_mode
from idiff.planning.tracking import MemoryTracker, norms_in_float32

GB = 1e9
HALF = {"bf16": torch.bfloat16, "16": torch.float16}
"""What a trainer's precision begins with -> the type that autocast computes in."""

STATES = {"adamw": 8.0, "adamw8bit": 2.0, "muon": 8.0}
"""Optimizer -> bytes it keeps for a trained weight."""


@dataclass(frozen=True, slots=True)
class StepSettings:
    """What the memory of a step depends on besides the model.

    Attributes:
        batch: examples of a micro-batch. accumulation: micro-batches of a step. side: pixels of an image's side.
        precision: of the trainer. cached: latents and text states come from a cache.
        checkpointing: blocks of the U-Net are computed a second time on the way back.
        optimizer: its name. average: an average of the trained weights is kept. fused: the update needs no room of its own.
    """

    batch: int
    accumulation: int
    side: int
    precision: str = "32-true"
    cached: bool = False
    checkpointing: bool = False
    optimizer: str = "adamw"
    average: bool = True
    fused: bool = True


@dataclass(frozen=True, slots=True)
class StepMemory:
    """Bytes on the device.

    Attributes:
        weights: of all parts, trained and frozen. gradients, states, average: of what is trained.
        activations: the most that is alive beyond these in a step, or in the update.
        trained: number of trained parameters. parameters: of all.
    """

    weights: int
    gradients: int
    states: int
    average: int
    activations: int
    trained: int
    parameters: int

    @property
    def total(self) -> int:
        """The peak."""
        return self.weights + self.gradients + self.states + self.average + self.activations


def step_memory(backbone: LatentDiffusion, settings: StepSettings) -> StepMemory:
    """Count what one step takes.

    The encoders run without gradients where nothing is cached, then the U-Net's forward and backward pass in the settings'
    precision. Not in it: the libraries' own memory on a device (about 0.5 GB on CUDA), fragmentation, workspaces of convolutions,
    and validation.

    Args:
        backbone: without values, see `idiff.models.outline`; what is trained has `requires_grad`.
        settings: of the step.
    """
    parameters = list(backbone.parameters())
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    gradients = _bytes(trained)
    _checkpoint(backbone.unet, settings.checkpointing)
    backbone.train()
    with MemoryTracker([*parameters, *backbone.buffers()]) as tracker:
        for _ in range(min(settings.accumulation, 2)):  # the second micro-batch finds the gradients of the first
            _step(backbone, settings)
            held = tracker.live
        peak = tracker.peak
    backbone.zero_grad(set_to_none=True)
    kept = max(held, 0)
    update = 0 if settings.fused else gradients
    return StepMemory(
        weights=_bytes(parameters) + _bytes(backbone.buffers()),
        gradients=gradients,
        states=round(STATES.get(settings.optimizer, 8.0) * sum(p.numel() for p in trained)),
        average=4 * sum(p.numel() for p in trained) if settings.average else 0,
        activations=max(peak - gradients, update, kept - gradients, 0),
        trained=sum(p.numel() for p in trained),
        parameters=sum(p.numel() for p in parameters),
    )


def step_flops(backbone: LatentDiffusion, settings: StepSettings) -> float:
    """Floating-point operations of one optimizer step, all its micro-batches together.

    A backward pass costs twice its forward pass where weights and inputs need gradients, once where only inputs do (LoRA); a block
    that is computed a second time costs one more forward pass.
    """
    _checkpoint(backbone.unet, False)
    unet, encoders = FlopCounterMode(display=False), FlopCounterMode(display=False)
    with torch.no_grad():
        with encoders:
            inputs = _inputs(backbone, settings)
        with unet:
            backbone.predict(*inputs)
    trained = sum(p.numel() for p in backbone.unet.parameters() if p.requires_grad)
    passes = 3.0 if trained > 0.5 * sum(p.numel() for p in backbone.unet.parameters()) else 2.0
    once = unet.get_total_flops() * (passes + settings.checkpointing) + encoders.get_total_flops()
    return float(once * settings.accumulation)


def changed(settings: StepSettings, **changes: Any) -> StepSettings:
    """A copy with some values set anew."""
    return replace(settings, **changes)


def _inputs(backbone: LatentDiffusion, settings: StepSettings) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """What the U-Net is given: encoded here, or as a cache holds it."""
    autoencoder, text, batch = backbone.autoencoder, backbone.text, settings.batch
    cells = settings.side // autoencoder.factor
    shape = (batch, autoencoder.channels, cells, cells)
    with outline_mode():
        pixels = torch.zeros(batch, 3, settings.side, settings.side)
        ids = torch.zeros(batch, text.length, dtype=torch.long)
        latent, condition = torch.zeros(shape), torch.zeros(shape) if backbone.with_source else None
        states = torch.zeros(batch, text.length, text.width)
        t = torch.zeros(batch, dtype=torch.long)
    if not settings.cached:
        with torch.no_grad():
            latent = autoencoder.moments(pixels)[0]
            condition = autoencoder.moments(pixels)[0] if backbone.with_source else None
        frozen = text.reference is not None
        with torch.no_grad() if frozen else nullcontext():
            states = text.net(ids).last_hidden_state
    return latent, t, states, condition


def _step(backbone: LatentDiffusion, settings: StepSettings) -> None:
    """One micro-batch, forward and backward."""
    half = next((kind for name, kind in HALF.items() if settings.precision.startswith(name)), None)
    with norms_in_float32() if half else nullcontext():
        with torch.autocast("cpu", dtype=half, enabled=half is not None):
            prediction = backbone.predict(*_inputs(backbone, settings))
            loss = (prediction.float() - torch.zeros_like(prediction.float())).square().mean()
        loss.backward()  # type: ignore[no-untyped-call]
    if backbone.recognition is not None:
        backbone.recognition.seen.clear()


def _checkpoint(unet: Any, wanted: bool) -> None:
    (unet.enable_gradient_checkpointing if wanted else unet.disable_gradient_checkpointing)()


def _bytes(tensors: Iterable[Tensor | nn.Parameter]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
