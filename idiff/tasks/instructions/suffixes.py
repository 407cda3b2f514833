"""What follows the caption of an image that carries marks: sentences of the bank, filled and joined."""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np

from idiff.tasks.instructions.bank import Template, builtin
from idiff.tasks.instructions.instruction_checks import numbered

Marks = Literal["masks", "discs"]


def with_suffix(caption: str, marks: Marks, rng: np.random.Generator, *, color: str) -> str:
    """A caption and, after a comma, one of the ways to say what was painted over the image.

    Args:
        caption: of the image as it was.
        marks: `masks`: areas in several colors; `discs`: discs of one color.
        rng: draws the way.
        color: of the discs.
    """
    ways = templates(marks)
    suffix = ways[int(rng.integers(len(ways)))].fill([{"color": color}])
    return f"{caption.rstrip(' .')}, {suffix}"


@cache
def templates(marks: Marks) -> tuple[Template, ...]:
    """All ways, in the order of the file."""
    kind = f"suffix_{marks}"
    return tuple(Template(line) for _, _, line in numbered(builtin(f"{kind}.txt"), kind))
