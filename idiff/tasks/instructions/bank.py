"""Load instruction templates, check their slots, draw one, fill it in.

A line is a template. Where it holds a bar, the part after the bar is a clause that is repeated for each thing asked
for and takes the place of the sentence's one slot: `Mark {joints}. | {joint} in {color}`. Empty lines and lines that
begin with `#` are skipped. A line that has a clause's slots and no bar, as in the files of the released InstructDiffusion, is a
clause alone: `Circle the {joint} with the color {color}, `. Such clauses follow one another without words between, and in training
each thing asked for has its own. Detailed sentences matter: with bare task
names instead, InstructDiffusion reports COCO keypoint AP falling from 71.2 to 22.7.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from itertools import cycle
from typing import Literal

import numpy as np

from idiff.checks import check_choice
from idiff.errors import ConfigError, missing, unknown
from idiff.utils.foreign import read_text
from idiff.utils.seeds import hash64
from idiff.utils.strings import join_words, normalise_prompt
from idiff.utils.task_notes import noted


def builtin(name: str) -> str:
    """The content of a data file of the bank, such as `deblur.txt` or `unseen/deblur.txt`."""
    return resources.files("idiff.tasks.instructions").joinpath(name).read_text(encoding="utf-8-sig")


def noted_slots(notes: Mapping[str, str]) -> frozenset[str]:
    """The slots that the notes of a file name."""
    return frozenset(filter(None, (slot.strip() for slot in notes.get("slots", "").split(","))))


SLOTS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "segmentation": (frozenset({"object", "color"}), frozenset()),
    "legend": (frozenset({"legend"}), frozenset({"object", "color"})),
    "referring": (frozenset({"object", "color"}), frozenset()),
    "keypoints": (frozenset({"joints"}), frozenset({"joint", "color"})),
    "denoise": (frozenset(), frozenset()),
    "deblur": (frozenset(), frozenset()),
    "dewatermark": (frozenset(), frozenset()),
    "detection": (frozenset({"object", "color"}), frozenset()),
    "classification": (frozenset({"choices"}), frozenset({"object", "color"})),
    **{kind: (noted_slots(notes), frozenset()) for kind, notes in noted().items()},
}
"""Kind of sentence -> the slots of a sentence and those of its clause (none: no clause)."""

CLAUSES = 5
"""Clauses that are drawn for one prompt where a file has clauses alone: the most joints of a prompt."""

Phrasings = Literal["seen", "unseen"]
"""What evaluation asks with: the first sentence of the bank, or sentences that training never draws."""


@dataclass(frozen=True, slots=True)
class Template:
    """One way to ask.

    Attributes:
        sentence: text with slots; empty where the instruction is made of clauses alone.
        clause: text with slots that is repeated; empty where the kind has no clauses.
        slot: the sentence's slot that clauses are joined into; empty without clauses, and of clauses alone.
        others: of clauses alone, those of the second, the third ... thing; used in turn where there are more things.
    """

    sentence: str
    clause: str = ""
    slot: str = ""
    others: tuple[str, ...] = field(default=(), repr=False)

    def fill(self, parts: Sequence[Mapping[str, str]]) -> str:
        """Write the instruction.

        Args:
            parts: the values of the slots, one mapping for each thing asked for; one mapping where the kind has no
                clauses.
        """
        if not self.clause:
            return normalise_prompt(self.sentence.format(**parts[0]))
        if not self.slot:
            clauses = cycle((self.clause, *self.others))
            return normalise_prompt(
                " ".join(clause.format(**part) for clause, part in zip(clauses, parts, strict=False))
            )
        return normalise_prompt(
            self.sentence.format(**{self.slot: join_words([self.clause.format(**p) for p in parts])})
        )


class InstructionBank:
    """All templates of one kind of task.

    Args:
        kind: a key of `SLOTS`.
        path: a file of templates; None: the built-in ones.
        phrasings: `seen`: evaluation asks with the first template; `unseen`: with those of `unseen/{kind}.txt`, which no
            training draws, to measure generalisation to new wording.

    Raises:
        ConfigError: the kind or the phrasings are unknown, the file has no template, or a template has not the slots of
            its kind.
        DataError: the file is missing.
    """

    def __init__(self, kind: str, path: str | None = None, *, phrasings: Phrasings = "seen") -> None:
        if kind not in SLOTS:
            raise unknown("kind of instruction", kind, SLOTS)
        check_choice("phrasings", phrasings, Phrasings)
        self.templates = parse(_read(kind, path), kind, where=path or f"{kind}.txt")
        name = f"unseen/{kind}.txt"
        self.unseen = parse(builtin(name), kind, where=name) if phrasings == "unseen" else []

    def draw(self, rng: np.random.Generator) -> Template:
        """Draw a template: training. Of clauses alone several, one for each thing that is asked for."""
        drawn = self.templates[int(rng.integers(len(self.templates)))]
        if not drawn.clause or drawn.slot:
            return drawn
        others = [self.templates[int(number)].clause for number in rng.integers(len(self.templates), size=CLAUSES - 1)]
        return replace(drawn, others=tuple(others))

    def first(self) -> Template:
        """The first template: the plainest way to ask."""
        return self.templates[0]

    def asking(self, key: str) -> Template:
        """The template of evaluation: the first; of unseen phrasings the one that a hash of the item's key picks.

        Args:
            key: of the item; all prompts of one item are worded alike.
        """
        return self.unseen[hash64("phrasing", key) % len(self.unseen)] if self.unseen else self.first()


def parse(text: str, kind: str, *, where: str) -> list[Template]:
    """Read templates and check their slots.

    Args:
        text: the file's content.
        kind: a key of `SLOTS`.
        where: the file's name, for errors.

    Raises:
        ConfigError: no template, one with other slots than its kind has, or clauses alone among sentences.
    """
    sentence_slots, clause_slots = SLOTS[kind]
    templates = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        sentence, bar, clause = (part.strip() for part in line.partition("|"))
        if clause_slots and not bar and _slots(sentence, where=f"{where}:{number}") == sorted(clause_slots):
            templates.append(Template("", sentence))
            continue
        for words, expected in ((sentence, sentence_slots), (clause, clause_slots)):
            got = _slots(words, where=f"{where}:{number}")
            if got != sorted(expected):
                raise ConfigError(
                    f"{where}:{number}: '{words}' has the slots {got}; {kind} takes {sorted(expected)}, once each. "
                    "Correct or remove this line."
                )
        templates.append(Template(sentence, clause, next(iter(sentence_slots)) if clause_slots else ""))
    if len({bool(template.sentence) for template in templates}) > 1:
        raise ConfigError(
            f"{where}: some lines have a sentence before a bar and others are clauses alone. Write all alike."
        )
    if not templates:
        raise ConfigError(f"{where}: no template in it; write one a line with the slots {sorted(sentence_slots)}.")
    return templates


def slots(words: str) -> list[str]:
    """Names of the slots of a template, sorted.

    Raises:
        ValueError: braces that are no plain `{name}`. Conversions and formats (`{object!r}`, `{object:>99999}`) are
            refused, because filling them could write any amount of text.
    """
    found = [part[1:] for part in string.Formatter().parse(words) if part[1] is not None]
    if "{{" in words or "}}" in words or any(form or how for _, form, how in found):
        raise ValueError("slots are a name in braces and nothing else")
    return sorted(str(name) for name, _, _ in found)


def _slots(words: str, *, where: str) -> list[str]:
    try:
        return slots(words)
    except ValueError as error:
        raise ConfigError(f"{where}: '{words}' is no template: {error}. Write slots as {{name}}.") from error


def _read(kind: str, path: str | None) -> str:
    if path is None:
        return builtin(f"{kind}.txt")
    try:
        return read_text(path)
    except FileNotFoundError:
        raise missing(
            path, what="a text file of instructions", remedy="Correct `instructions`, or leave it out."
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text ({error}). Correct `instructions`.") from error
