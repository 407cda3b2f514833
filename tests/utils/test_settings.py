"""Marks on constructor parameters, and the walk that finds them in a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest

from idiff.utils.settings import FREE, READING, UNKNOWN, WEIGHTS, marks_of, parameters, plainly, reachable, walk


@dataclass
class Leaf:
    """A plain nested object."""

    weights: Annotated[str | None, WEIGHTS] = None
    shape: dict[str, Any] = field(default_factory=dict)


class Base:
    """The end of a chain of classes."""

    def __init__(self, *, lr: float = 1.0, skipped: Annotated[int, FREE] = 5) -> None: ...


class Middle(Base):
    """Passes options on."""

    def __init__(self, leaf: Leaf | None = None, leaves: Mapping[str, Leaf] | None = None, **options: Any) -> None: ...


class Top(Middle):
    """Declares a setting of its base class anew, without its mark."""

    def __init__(self, skipped: int = 1, part: Base | None = None, **options: Any) -> None: ...


class Strict(Middle):
    """Passes nothing on."""

    def __init__(self, only: Annotated[str, READING, FREE] = "") -> None: ...


def marked(config, hint):
    found = walk(config, hint, unknown=lambda name: frozenset({WEIGHTS} if name == "init_from" else ()))
    return {each.path: (each.value, set(each.marks)) for each in found if each.marks}


def test_parameters_follow_options_to_the_base_classes():
    assert list(parameters(Middle)) == ["leaf", "leaves", "lr", "skipped"]
    assert marks_of(parameters(Middle)["skipped"].annotation) == {FREE}
    assert marks_of(parameters(Top)["skipped"].annotation) == set()
    assert list(parameters(Strict)) == ["only"]
    assert marks_of(parameters(Strict)["only"].annotation) == {READING, FREE}
    assert parameters(Middle)["lr"].default == 1.0


def test_reachable_classes():
    assert reachable([Middle]) == {Middle, Top, Strict, Leaf, Base}


@pytest.mark.parametrize(
    ("config", "hint", "found"),
    [
        ({"weights": "w", "shape": {"weights": 1}}, Leaf, {"weights": ("w", {WEIGHTS})}),
        ({"leaf": {"weights": "w"}, "skipped": 2}, Middle,
         {"leaf.weights": ("w", {WEIGHTS}), "skipped": (2, {FREE})}),
        ({"leaves": {"weights": {"weights": "w"}}}, Middle, {"leaves.weights.weights": ("w", {WEIGHTS})}),
        ({"class_path": f"{__name__}.Top", "init_args": {"skipped": 2, "leaf": {"weights": "w"}}}, Base,
         {"init_args.leaf.weights": ("w", {WEIGHTS})}),
        ({"class_path": f"{__name__}.Middle", "skipped": 2}, Base, {"skipped": (2, {FREE})}),
        ({"class_path": "Middle", "skipped": 2}, Base, {"skipped": (2, {FREE})}),
        ({"part": {"class_path": f"{__name__}.Strict", "init_args": {"only": "x"}}}, Top,
         {"part.init_args.only": ("x", {READING, FREE})}),
        ({"class_path": "no.such.Class", "init_args": {"init_from": "a", "skipped": 1}}, Base,
         {"init_args.init_from": ("a", {WEIGHTS})}),
        ({"class_path": "..", "init_args": {"init_from": "a"}}, Base, {"init_args.init_from": ("a", {WEIGHTS})}),
        ({"init_args": {"other": {"init_from": "a"}}}, Base, {"init_args.other.init_from": ("a", {WEIGHTS})}),
        ({"init_from": "a"}, Any, {}),
        (None, Base, {}),
    ],
)  # fmt: skip
def test_marked_settings_are_found_where_they_are(config, hint, found):
    assert marked(config, hint) == found


@pytest.mark.parametrize(
    ("value", "hint", "taken"),
    [
        (3, int, 3), (3, float, 3.0), (0.5, Annotated[float, READING], 0.5), ("a", str, "a"), (True, bool, True),
        (None, str | None, None), ("a", Annotated[str | None, FREE], "a"), ("a", Literal["a", "b"], "a"),
        ([1, 2], list[int], [1, 2]), ([{"a": 1}], list[dict[str, Any]] | None, [{"a": 1}]),
        ({"a": [1]}, dict[str, Any], {"a": [1]}),
    ],
)  # fmt: skip
def test_plain_values_are_taken_as_they_are(value, hint, taken):
    made = plainly(value, hint)
    assert made == taken and type(made) is type(taken)


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (True, int), (1, bool), (1, str), ("1", int), (None, str), ("c", Literal["a", "b"]), (1, Literal[True]),
        ([1, "2"], list[int]),
        ({1: 2}, dict[str, Any]), ({}, Leaf), ("a", Any), (1, int | str), ("a", int | None), ([], dict[str, Any]),
    ],
)  # fmt: skip
def test_what_a_parser_must_make_or_refuse_is_left_to_it(value, hint):
    assert plainly(value, hint) is UNKNOWN
