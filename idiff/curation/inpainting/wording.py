"""Sentences that ask for an edit of a photograph: the project's own wording, with names of objects put in."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from idiff.synthetic.scenes.edits import templates
from idiff.tasks.common.scene_captions import place_at
from idiff.utils.strings import normalise_prompt

WAYS = 4
"""Sentences for each pair: training draws one of them, evaluation asks the first."""


def sentences(operation: str, words: Mapping[str, str], rng: np.random.Generator) -> list[str]:
    """Ask for an edit in several ways.

    Args:
        operation: `remove`, `add` or `replace`.
        words: what stands in the slots: `object` without an article, `thing` with one, `place`.
        rng: draws the ways.
    """
    ways = templates()[operation]
    chosen = rng.permutation(len(ways))[:WAYS].tolist()
    return [normalise_prompt(ways[place].format(**words)) for place in chosen]


def with_article(name: str) -> str:
    """`a dog`, `an oven`; plain for what looks like a plural.

    >>> with_article("jeans")
    'jeans'
    """
    if name.endswith("s") and not name.endswith(("ss", "us", "is")):
        return name
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def place_of(mask: NDArray[np.bool_]) -> str:
    """Where a mask lies, in words, such as `upper left`.

    Args:
        mask: bool (H, W), not empty.
    """
    rows, columns = np.nonzero(mask)
    return place_at(((columns.mean() + 0.5) / mask.shape[1], (rows.mean() + 0.5) / mask.shape[0]))
