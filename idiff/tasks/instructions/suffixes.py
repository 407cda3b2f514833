"""What follows a caption or an instruction: what was painted over the image, or that an example stands beside the question."""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np

from idiff.tasks.instructions.bank import Phrasings, Template, builtin
from idiff.tasks.instructions.instruction_checks import numbered
from idiff.utils.seeds import hash64
from idiff.utils.tokens import fits

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


class ExampleWords:
    """The sentences that follow an instruction whose answer an example pair shows.

    Args:
        phrasings: `seen`: evaluation takes the first; `unseen`: one that training never draws, by the item's key.
    """

    def __init__(self, phrasings: Phrasings = "seen") -> None:
        self.templates = _lines("suffix_example.txt")
        self.unseen = _lines("unseen/suffix_example.txt") if phrasings == "unseen" else ()

    def draw(self, rng: np.random.Generator) -> str:
        """Draw a sentence: training."""
        return self.templates[int(rng.integers(len(self.templates)))]

    def asking(self, key: str) -> str:
        """The sentence of evaluation for an item."""
        return self.unseen[hash64("example", key) % len(self.unseen)] if self.unseen else self.templates[0]

    def after(self, instruction: str, words: str) -> str:
        """The instruction and the sentence, or the shortest of its kind if only that fits, or the instruction alone."""
        start = instruction if instruction.endswith((".", "?", "!")) else f"{instruction}."
        shortest = min(self.unseen if words in self.unseen else self.templates, key=len)
        ways = (f"{start} {one}" for one in (words, shortest))
        return next((way for way in ways if fits(way)), instruction)


@cache
def _lines(name: str) -> tuple[str, ...]:
    lines = (line.strip() for line in builtin(name).splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))
