"""The bar of a training counts to the batch of its last step."""

from types import SimpleNamespace

import pytest

from idiff.callbacks.console import EpochBar


@pytest.mark.parametrize(
    ("batches", "accumulate", "steps", "done", "step", "total"),
    [
        (100, 2, 4, 0, 0, 8),
        (5, 2, 4, 0, 0, 5),
        (100, 1, 4, 0, 0, 4),
        (100, 2, 4, 5, 2, 8),  # goes on in the middle of an epoch and of a step
        (100, 2, -1, 0, 0, 100),
        (float("inf"), 3, 10, 0, 8, 6),
    ],
)
def test_the_bar_ends_with_the_last_steps_batch(batches, accumulate, steps, done, step, total):
    bar = EpochBar()
    progress = SimpleNamespace(current=SimpleNamespace(ready=done))
    bar._trainer = SimpleNamespace(
        num_training_batches=batches, accumulate_grad_batches=accumulate, max_epochs=-1, max_steps=steps,
        global_step=step, current_epoch=0, fit_loop=SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress)),
    )  # fmt: skip
    told = []
    bar._add_task = lambda count, description: told.append(count)
    if done:
        bar._initialize_train_progress_bar_id()
        assert told == [total]
    else:
        assert bar.total_train_batches == total
