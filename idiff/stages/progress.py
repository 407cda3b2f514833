"""Where the trainer's loops stand after a number of whole optimizer steps, written into a checkpoint before it is loaded."""

from __future__ import annotations

from typing import Any

TRACKER = ("ready", "started", "processed", "completed")


def align_loops(checkpoint: dict[str, Any], *, epoch: int, batches: int, accumulation: int) -> None:
    """Set a checkpoint's loop counters from its step alone.

    Then a run can go on with another accumulation or number of ranks, and a checkpoint from the inside of an accumulation goes on
    after its last whole step. A validation that is due at that step is run (again): the checkpoint may have been written before it.

    Args:
        checkpoint: changed in place.
        epoch: whole epochs done.
        batches: micro-batches done in the epoch after them.
        accumulation: micro-batches an optimizer step takes now.
    """
    loop = checkpoint["loops"]["fit_loop"]
    loop["epoch_loop.batch_progress"]["current"] = dict.fromkeys(TRACKER, batches)
    loop["epoch_loop.batch_progress"]["total"] = dict.fromkeys(TRACKER, checkpoint["global_step"] * accumulation)
    for place in ("current", "total"):
        loop["epoch_loop.val_loop.batch_progress"][place] = {"ready": 1, "started": 1, "processed": 0, "completed": 0}
    begun = {"ready": epoch + 1, "started": epoch + 1} if batches else {}
    for place in ("current", "total"):
        loop["epoch_progress"][place] = dict.fromkeys(TRACKER, epoch) | begun
