"""The phrases told about a scene of objects, and the masks of what they name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from idiff.synthetic.phrases.grammar import FORMS, NO_TARGET, Phrase, Seen, held_out, phrases
from idiff.utils.masks import encode_mask


class Shown(Protocol):
    """A drawn or seen scene: `owners` integer (H, W), whose pixel it is, and the visible pixels of each thing."""

    @property
    def owners(self) -> NDArray[np.uint8]:
        """Integer (H, W)."""

    def mask(self, thing: int) -> NDArray[np.bool_]:
        """Bool (H, W)."""


COUNT = (4, 6)
"""Least and most phrases a scene. One of them has no target, which makes at least a sixth of all."""

TELLS_ALL = ("val", "test")
"""A split whose name begins so also names the held-out pairs; every other split counts as training."""


def tell_phrases(
    facts: Mapping[str, Any], rendered: Shown, rng: np.random.Generator, split: str
) -> dict[str, list[dict[str, Any]]]:
    """Choose the phrases of one scene.

    Args:
        facts: what `scene_facts` wrote.
        rendered: the drawn scene.
        rng: draws the phrases: a form first, then a phrase of it, so that forms are about equally frequent.
        split: training splits leave out phrases that name a held-out pair, see `grammar.held_out`.

    Returns:
        `instances`: `{"category", "color", "mask", "box", "area", "id"}` for each object, from the back to the front, of
        its visible pixels; `phrases`: `{"text", "instances", "form", "held_out"}`. A scene about which little can be
        said has fewer than 4.
    """
    instances = object_instances(facts, rendered)
    things = seen(facts["scene"]["objects"], rendered)
    everything = split.startswith(TELLS_ALL)
    count = int(rng.integers(COUNT[0], COUNT[1] + 1))
    chosen = _draw(things, FORMS, count - 1, rng=rng, everything=everything)
    chosen += _draw(things, NO_TARGET, 1, rng=rng, everything=everything)
    order = rng.permutation(len(chosen)).tolist()
    return {"instances": instances, "phrases": [_entry(chosen[place]) for place in order]}


def object_instances(facts: Mapping[str, Any], rendered: Shown) -> list[dict[str, Any]]:
    """The objects of a drawn scene, from the back to the front, as `instances` of their visible pixels.

    Args:
        facts: what `scene_facts` wrote.
        rendered: the drawn scene.

    Returns:
        `{"category", "color", "mask", "box", "area", "id"}` for each object.
    """
    return [
        {
            "category": thing["kind"],
            "colour": thing["colour"],
            "mask": encode_mask(rendered.mask(thing["order"])),
            "box": thing["box"],
            "area": thing["area"],
            "id": number,
        }
        for number, thing in enumerate(facts["scene"]["objects"])
    ]


def seen(objects: Sequence[Mapping[str, Any]], rendered: Shown) -> list[Seen]:
    """What phrases may speak of: the objects as they are seen."""
    size = rendered.owners.shape[0]
    found = []
    for thing in objects:
        rows, columns = np.nonzero(rendered.mask(thing["order"]))
        centre = (float(columns.mean() + 0.5) / size, float(rows.mean() + 0.5) / size)
        found.append(Seen(thing["kind"], thing["colour"], thing["area"], centre))
    return found


def _draw(
    things: Sequence[Seen], forms: Iterable[str], count: int, *, rng: np.random.Generator, everything: bool
) -> list[Phrase]:
    """Draw phrases without replacement: a form evenly among those that have one left, then a phrase of it."""
    left, said, drawn = list(forms), dict[str, list[Phrase]](), list[Phrase]()
    while left and len(drawn) < count:
        form = left[int(rng.integers(len(left)))]
        if form not in said:
            said[form] = [phrase for phrase in phrases(things, form) if everything or not _names_held_out(phrase)]
        if said[form]:
            drawn.append(said[form].pop(int(rng.integers(len(said[form])))))
        else:
            left.remove(form)
    return drawn


def _names_held_out(phrase: Phrase) -> bool:
    return any(held_out(kind, color) for kind, color in phrase.pairs)


def _entry(phrase: Phrase) -> dict[str, Any]:
    return {
        "text": phrase.text,
        "instances": list(phrase.targets),
        "form": phrase.form,
        "held_out": _names_held_out(phrase),
    }
