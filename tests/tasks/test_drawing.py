"""What the drawing of training examples depends on: every argument of every task, but for those that are marked as reading."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args, get_origin

import pytest

import idiff.tasks
from idiff.errors import IdiffError
from idiff.tasks import Deblur, KeypointDetection, SemanticSegmentation, Task
from idiff.tasks.drawing import drawing_settings
from idiff.tasks.instructions.bank import builtin
from idiff.utils.settings import READING, marks_of, parameters
from idiff.utils.sigmas import TABLES

SHIPPED = [getattr(idiff.tasks, name) for name in idiff.tasks.__all__ if name != "Task"]
CASES = [(kind, name) for kind in SHIPPED for name in parameters(kind)]
READ = {
    "ask",
    "min_score",
    "decoder",
    "decoder_args",
    "phrasings",
    "keep",
    "faint",
    "score",
    "whole",
    "overlap",
    "farthest",
    "flip_test",
}
READ_BY_SOME = {
    (KeypointDetection, "threshold"),
    (KeypointDetection, "frame"),
    (KeypointDetection, "joints_per_query"),
} | {
    (kind, "min_pixels")
    for kind in (idiff.tasks.ObjectDetection, idiff.tasks.ReferringSegmentation, idiff.tasks.InstanceSegmentation)
}
READ_BY_SOME |= {(idiff.tasks.DepthEstimation, name) for name in ("crop", "cap", "min_depth")}
READ_BY_SOME |= {(idiff.tasks.EdgeDetection, name) for name in ("tolerance", "thresholds")}


@dataclass
class Ring:
    """A setting that is an object."""

    width: int = 1


class Wider(SemanticSegmentation):
    """A task of one's own over a shipped one."""

    def __init__(self, ring: Ring | None = None, **options) -> None:
        super().__init__(**options)


def another(kind, name, tmp_path):
    """Another valid value of an argument."""
    parameter = parameters(kind)[name]
    hint, default = parameter.annotation, parameter.default
    hint = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    sentences = tmp_path / "sentences.txt"
    bank = "legend" if name == "legend" else kind.kind
    if name in {"instructions", "legend"}:
        sentences.write_text("\n".join(builtin(f"{bank}.txt").splitlines()[:-1]))
    offered = [
        *(get_args(hint) if get_origin(hint) is Literal else []),
        *([not default] if isinstance(default, bool) else []),
        *([default + 1, default - 1, default * 2, default / 2, 0.5] if type(default) in {int, float} else []),
        str(sentences), "paper", "native64", "crop", "unseen", "points", "unet", *TABLES,
        [{"name": "RandomGamma", "p": 0.5}], {"noise_floor": 0.1}, 7.5, 3,
    ]  # fmt: skip
    for value in offered:
        if value == default:
            continue
        try:
            kind(**{name: value})
        except (IdiffError, TypeError, AttributeError, ValueError):
            continue
        return value
    raise AssertionError(f"no other value of {kind.__name__}.{name} is known here")


@pytest.mark.parametrize(("kind", "name"), CASES, ids=lambda case: case if isinstance(case, str) else case.__name__)
def test_every_argument_counts_but_those_that_are_read_by(kind, name, tmp_path):
    before, now = drawing_settings(kind()), drawing_settings(kind(**{name: another(kind, name, tmp_path)}))
    reading = READING in marks_of(parameters(kind)[name].annotation)
    assert reading == (name in READ or (kind, name) in READ_BY_SOME)
    assert (before == now) == reading


def test_sentences_count_by_content_not_by_path(tmp_path):
    lines = builtin("legend.txt").splitlines()
    one, same, other = (tmp_path / name for name in ("one.txt", "same.txt", "other.txt"))
    one.write_text("\n".join(lines))
    same.write_text("\n".join(lines))
    other.write_text("\n".join(lines[:-1]))
    drawn = [
        drawing_settings(SemanticSegmentation(classes_per_prompt=2, legend=str(file))) for file in (one, same, other)
    ]
    assert drawn[0] == drawn[1] and "one.txt" not in str(drawn[0])
    assert drawn[0]["all sentences"] != drawn[2]["all sentences"]
    one.write_text("\n".join(lines[:-2]))
    task = SemanticSegmentation(classes_per_prompt=2, legend=str(one))
    assert drawing_settings(task) != drawn[0]


def test_a_change_of_the_built_in_sentences_and_augmentations_counts(monkeypatch):
    bank, before = idiff.tasks.instructions.bank, drawing_settings(KeypointDetection())
    with monkeypatch.context() as patch:
        patch.setattr(bank, "builtin", lambda name: "\n".join(builtin(name).splitlines()[:-1]))
        assert drawing_settings(KeypointDetection())["all sentences"] != before["all sentences"]
    monkeypatch.setattr("idiff.tasks.common.view.DEFAULT", ({"name": "RandomGamma", "p": 0.5},))
    assert drawing_settings(KeypointDetection())["all augmentations"] != before["all augmentations"]


def test_a_task_of_ones_own_cannot_forget_an_argument():
    before = drawing_settings(Wider())
    assert before["negatives"] == drawing_settings(SemanticSegmentation())["negatives"]
    assert drawing_settings(Wider(negatives=0.2)) == before  # said, or left to the base class
    assert drawing_settings(Wider(min_score=0.4)) == before
    assert drawing_settings(Wider(negatives=0.3)) != before
    assert drawing_settings(Wider(ring=Ring(1))) == drawing_settings(Wider(ring=Ring(1)))
    assert drawing_settings(Wider(ring=Ring(1))) != drawing_settings(Wider(ring=Ring(2)))


def test_the_class_counts_by_its_public_name():
    names = {drawing_settings(kind())["class"] for kind in SHIPPED}
    assert names == {f"idiff.tasks.{kind.__name__}" for kind in SHIPPED}
    assert drawing_settings(Wider())["class"] == f"{__name__}.Wider"


def test_a_text_that_can_be_no_path_counts_as_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()

    class Named(Deblur):
        def __init__(self, label: str = "") -> None:
            super().__init__()

    for text in ("x" * 5000, "a\0b", "folder"):
        assert drawing_settings(Named(text))["label"] == text
    assert issubclass(Named, Task)
