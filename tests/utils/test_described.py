"""Objects as plain values."""

import io
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import numpy as np
import pytest
import torch

from idiff.data.loading.training import TaskEntry
from idiff.errors import CheckpointError
from idiff.tasks import ReferringSegmentation, SemanticSegmentation
from idiff.tasks.saved import restore_task
from idiff.utils.described import described_tasks, plain


class Ink(Enum):
    RED = (255, 0, 0)
    BLUE = (0, 0, 255)


@dataclass
class Brush:
    width: int = 1
    inks: list[Ink] = field(default_factory=lambda: [Ink.RED])
    at: Path | None = None


class Drawn(SemanticSegmentation):
    """A task with arguments of many types."""

    def __init__(self, brush: Brush, inks: tuple[Ink, ...] = (), where: Path = Path(), pick=None, **options):
        super().__init__(**options)


class Modules:
    """What a data module holds, by attributes."""

    def __init__(self, **held):
        vars(self).update(held)


def stored(value):
    """What a checkpoint gives back, read as the project reads it."""
    stream = io.BytesIO()
    torch.save(value, stream)
    stream.seek(0)
    return torch.load(stream, weights_only=True)


def test_a_task_is_made_again_with_the_arguments_it_had():
    brush = Brush(width=np.int64(3), inks=[Ink.BLUE], at=Path("a/b"))
    task = Drawn(brush, (Ink.RED, Ink.BLUE), where=Path("/c"), size=32, min_score=np.float64(0.5), ask="all")
    tasks = stored(described_tasks(Modules(entries={"one": TaskEntry(task, train="t", weight=2.0)})))
    assert tasks["one"]["weight"] == 2.0 and tasks["one"]["train"] == "t" and tasks["one"]["sampling"]["steps"] == 4
    choice = restore_task({"tasks": tasks}, "one", data="", changes={"ask": "present"}, trust=True)
    assert type(choice.task) is Drawn and choice.task.settings == task.settings | {"ask": "present"}
    assert choice.settings["brush"] == brush and choice.settings["inks"] == (Ink.RED, Ink.BLUE)
    assert isinstance(choice.settings["where"], Path)


def test_a_module_without_entries_is_described_by_its_tasks():
    tasks = described_tasks(Modules(tasks={"words": ReferringSegmentation(size=32)}))
    assert tasks["words"]["task"]["class_path"] == "idiff.tasks.ReferringSegmentation"
    choice = restore_task({"tasks": tasks}, "referring", data="", changes={})
    assert choice.task.size == 32 and choice.entry == "words"
    assert described_tasks(None) == described_tasks(Modules(tasks={})) == described_tasks(Modules(entries=3)) == {}


def test_what_is_not_plain_is_named_when_it_is_needed():
    tasks = stored(described_tasks(Modules(tasks={"one": Drawn(Brush(), pick=max)})))
    with pytest.raises(
        CheckpointError, match=r"'one' was made with pick \(a builtins\..*\), which a checkpoint cannot carry"
    ):
        restore_task({"tasks": tasks}, "one", data="", changes={}, trust=True)
    assert (
        restore_task({"tasks": tasks}, "one", data="", changes={"pick": None}, trust=True).task.settings["pick"] is None
    )


def test_arguments_of_another_version_are_one_sentence():
    task = {"class_path": "idiff.tasks.SemanticSegmentation", "init_args": {"sise": 64}}
    with pytest.raises(CheckpointError, match="takes other arguments today") as refused:
        restore_task({"tasks": {"one": {"task": task}}}, "one", data="", changes={})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Path("a"), "a"),
        ((1, 2), [1, 2]),
        (Ink.RED, "RED"),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (Brush(), {"width": 1, "inks": ["RED"], "at": None}),
    ],
)
def test_values_are_plain(value, expected):
    assert plain(value) == expected and type(plain(value)) is type(expected)
