"""How long a training step takes: three of them, timed where a device is there."""

from __future__ import annotations

import time
from typing import Any

import torch

from idiff.planning.memory import HALF


def time_steps(stage: Any, batch: Any, *, device: str, precision: str, steps: int = 3) -> tuple[float, int | None]:
    """Time training steps of one micro-batch each; the first, which makes the optimizer's state, does not count.

    Args:
        stage: a stage with a backbone, with its weights. Its weights change.
        batch: as its data module gives them.
        device: where to run.
        precision: of the trainer.
        steps: that are timed.

    Returns:
        seconds a step, the median; and the peak of memory in bytes, None where the device does not say.
    """
    stage = stage.to(device).train()
    batch = batch.to(device)
    trained = [parameter for parameter in stage.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.0, fused=True)
    half = next((kind for name, kind in HALF.items() if precision.startswith(name)), None)
    kind, seconds = torch.device(device).type, []
    cuda = kind == "cuda"
    for number in range(steps + 1):
        if cuda:
            torch.cuda.synchronize()
        began = time.perf_counter()
        with torch.autocast(kind, dtype=half, enabled=half is not None):
            loss = stage.backbone.loss(batch, seed=number)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if cuda:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return sorted(seconds[1:])[steps // 2], torch.cuda.max_memory_allocated() if cuda else None
