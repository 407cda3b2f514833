"""The cheapest change that fits: in the order of what it costs, alone first."""

import pytest

from idiff.planning.changes import cheapest_change
from idiff.planning.memory import StepMemory, StepSettings

SETTINGS = StepSettings(batch=8, accumulation=2, side=256)


def measured(settings, lora):
    """A model of 100 parameters: sizes as in a table."""
    trained = 10 if lora else 100
    states = trained * (2 if settings.optimizer == "adamw8bit" else 8)
    activations = settings.batch * (30 if settings.checkpointing else 100) + (0 if settings.cached else 150)
    return StepMemory(400, 4 * trained, states, 4 * trained, activations, trained, 100)


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (2950, ["data.cache"]),
        (2400, ["adamw8bit"]),
        (2250, ["data.cache", "adamw8bit"]),
        (1700, ["data.cache", "adamw8bit", "gradient_checkpointing"]),
        (1600, ["data.cache", "adamw8bit", "gradient_checkpointing", "batch_size: 4", "accumulate_grad_batches: 4"]),
        (1430, ["data.cache", "adamw8bit", "gradient_checkpointing", "batch_size: 1", "accumulate_grad_batches: 16"]),
        (1000, ["lora", "gradient_checkpointing"]),
        (
            560,
            [
                "lora",
                "data.cache",
                "adamw8bit",
                "gradient_checkpointing",
                "batch_size: 2",
                "accumulate_grad_batches: 8",
            ],
        ),
    ],
)
def test_the_cheapest_that_fits(limit, words):
    found = cheapest_change(measured, SETTINGS, lora=False, limit=limit)
    assert found is not None and found.memory.total <= limit
    assert len(found.words) == len(words)
    assert all(any(word in said for said in found.words) for word in words)
    assert found.lora == ("lora" in words)
    assert found.memory == measured(found.settings, found.lora)
    assert found.settings.batch * found.settings.accumulation >= 16


def test_one_change_is_preferred_to_two():
    one = cheapest_change(measured, SETTINGS, lora=False, limit=2500)
    assert len(one.words) == 1


def test_nothing_fits():
    assert cheapest_change(measured, SETTINGS, lora=False, limit=100) is None
    assert cheapest_change(measured, SETTINGS, lora=True, limit=100) is None


def test_what_is_set_already_is_not_named():
    done = StepSettings(batch=8, accumulation=2, side=256, cached=True, checkpointing=True, optimizer="adamw8bit")
    found = cheapest_change(measured, done, lora=True, limit=600)
    assert all("batch" in words for words in found.words)
