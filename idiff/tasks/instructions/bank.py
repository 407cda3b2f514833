"""Load instruction templates, check their slots, draw one, fill it in.

A line is a template. Where it holds a bar, the part after the bar is a clause that is repeated for each thing asked
for and takes the place of the sentence's one slot: `Mark {joints}. | {joint} in {color}`. Empty lines and lines that
begin with `#` are skipped. Detailed sentences matter: with bare task
names instead, InstructDiffusion reports COCO keypoint AP falling from 71.2 to 22.7.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from idiff.errors import ConfigError, missing, unknown
from idiff.utils.text import join_words, normalise_prompt

SLOTS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "segmentation": (frozenset({"object", "color"}), frozenset()),
    "referring": (frozenset({"object", "color"}), frozenset()),
    "keypoints": (frozenset({"joints"}), frozenset({"joint", "color"})),
    "denoise": (frozenset(), frozenset()),
    "deblur": (frozenset(), frozenset()),
    "dewatermark": (frozenset(), frozenset()),
}
"""Kind of task -> the slots of a sentence and those of its clause (none: no clause)."""


@dataclass(frozen=True, slots=True)
class Template:
    """One way to ask.

    Attributes:
        sentence: text with slots.
        clause: text with slots that is repeated; empty where the kind has no clauses.
        slot: the sentence's slot that clauses are joined into; empty without clauses.
    """

    sentence: str
    clause: str = ""
    slot: str = ""

    def fill(self, parts: Sequence[Mapping[str, str]]) -> str:
        """Write the instruction.

        Args:
            parts: the values of the slots, one mapping for each thing asked for; one mapping where the kind has no
                clauses.
        """
        if not self.clause:
            return normalise_prompt(self.sentence.format(**parts[0]))
        return normalise_prompt(
            self.sentence.format(**{self.slot: join_words([self.clause.format(**p) for p in parts])})
        )


class InstructionBank:
    """All templates of one kind of task.

    Args:
        kind: a key of `SLOTS`.
        path: a file of templates; None: the built-in ones.

    Raises:
        ConfigError: the kind is unknown, the file has no template, or a template has not the slots of its kind.
        DataError: the file is missing.
    """

    def __init__(self, kind: str, path: str | None = None) -> None:
        if kind not in SLOTS:
            raise unknown("kind of instruction", kind, SLOTS)
        self.templates = parse(_read(kind, path), kind, where=path or f"{kind}.txt")

    def draw(self, rng: np.random.Generator) -> Template:
        """Draw a template: training."""
        return self.templates[int(rng.integers(len(self.templates)))]

    def first(self) -> Template:
        """The template of evaluation: always the first."""
        return self.templates[0]


def parse(text: str, kind: str, *, where: str) -> list[Template]:
    """Read templates and check their slots.

    Args:
        text: the file's content.
        kind: a key of `SLOTS`.
        where: the file's name, for errors.

    Raises:
        ConfigError: no template, or one with other slots than its kind has.
    """
    sentence_slots, clause_slots = SLOTS[kind]
    templates = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        sentence, _, clause = (part.strip() for part in line.partition("|"))
        for words, expected in ((sentence, sentence_slots), (clause, clause_slots)):
            got = _slots(words, where=f"{where}:{number}")
            if got != sorted(expected):
                raise ConfigError(
                    f"{where}:{number}: '{words}' has the slots {got}; {kind} takes {sorted(expected)}, once each. "
                    "Correct or remove this line."
                )
        templates.append(Template(sentence, clause, next(iter(sentence_slots)) if clause_slots else ""))
    if not templates:
        raise ConfigError(f"{where}: no template in it; write one a line with the slots {sorted(sentence_slots)}.")
    return templates


def _slots(words: str, *, where: str) -> list[str]:
    try:
        return sorted(name for _, name, _, _ in string.Formatter().parse(words) if name is not None)
    except ValueError as error:
        raise ConfigError(f"{where}: '{words}' is no template: {error}. Write slots as {{name}}.") from error


def _read(kind: str, path: str | None) -> str:
    if path is None:
        return resources.files("idiff.tasks.instructions").joinpath(f"{kind}.txt").read_text(encoding="utf-8")
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise missing(
            path, what="a text file of instructions", remedy="Correct `instructions`, or leave it out."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text ({error}). Correct `instructions`.") from error
