"""Sentences and what they ask, without images: what a text encoder learns to understand.

A sentence is a pure function of (seed, position). It comes with facts, question -> answer: `{"left wrist": "red"}` of a prompt
for joints, `{"object": "star", "color": "blue"}` of one for a mask.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from idiff.synthetic.drawing.body import JOINTS
from idiff.synthetic.drawing.palette import COLORS
from idiff.synthetic.phrases.grammar import FORMS, NO_TARGET, Seen, held_out, phrases
from idiff.synthetic.scenes.edits import SLOTS, templates
from idiff.tasks.common.scene_captions import PLACES, caption
from idiff.tasks.instructions import InstructionBank
from idiff.utils import painting
from idiff.utils.seeds import numpy_rng
from idiff.utils.silhouettes import KINDS
from idiff.utils.strings import name_words, normalise_prompt

T = TypeVar("T")

_SIDE = 64
_BACKGROUNDS = ("flat", "gradient", "stripes", "waves", "checker", "dots", "bricks", "clouds", "blobs")
_PARTS = re.compile(r" (to the left of|to the right of|above|below|and) the ")


class Sentence(NamedTuple):
    """A sentence and the facts it tells."""

    text: str
    facts: dict[str, str]


class Sentences:
    """All kinds of sentence that the drawn tasks use, drawn equally often.

    Args:
        seed: of the stream.
        names: further object names, so that the encoder also meets words that no drawn scene needs.
    """

    def __init__(self, *, seed: int, names: Sequence[str] = ()) -> None:
        self.seed, self.names = seed, tuple(names)
        self.banks = {kind: InstructionBank(kind) for kind in _BANKS}
        self.colors = tuple(painting.palette("saturated"))
        self.makers: Mapping[str, Callable[[np.random.Generator], Sentence]] = {
            "segmentation": self._segmentation,
            "referring": self._referring,
            "keypoints": self._keypoints,
            "restoration": self._restoration,
            "editing": self._editing,
            "caption": self._caption,
        }

    def __getitem__(self, position: int) -> Sentence:
        """The sentence at a place of the stream."""
        rng = numpy_rng(self.seed, "sentence", position)
        return self.makers[_pick(list(self.makers), rng)](rng)

    def _segmentation(self, rng: np.random.Generator) -> Sentence:
        name = _pick(KINDS if not self.names or rng.random() < 0.5 else self.names, rng)
        color = _pick(self.colors, rng)
        text = self.banks["segmentation"].draw(rng).fill([{"object": name, "color": color}])
        return Sentence(text, {"task": "segmentation", "object": name, "color": color})

    def _referring(self, rng: np.random.Generator) -> Sentence:
        said, color = _phrase(rng), _pick(self.colors, rng)
        text = self.banks["referring"].draw(rng).fill([{"object": said, "color": color}])
        return Sentence(text, {"task": "referring", "color": color, **phrase_facts(said)})

    def _keypoints(self, rng: np.random.Generator) -> Sentence:
        count = int(rng.integers(1, 6))
        joints = [name_words(JOINTS[index]) for index in rng.permutation(len(JOINTS))[:count]]
        colors = [self.colors[index] for index in rng.permutation(len(self.colors))[:count]]
        parts = [{"joint": joint, "color": color} for joint, color in zip(joints, colors, strict=True)]
        text = self.banks["keypoints"].draw(rng).fill(parts)
        return Sentence(text, {"task": "keypoints", **dict(zip(joints, colors, strict=True))})

    def _restoration(self, rng: np.random.Generator) -> Sentence:
        kind = _pick(("denoise", "deblur", "dewatermark"), rng)
        return Sentence(self.banks[kind].draw(rng).fill([{}]), {"task": kind})

    def _editing(self, rng: np.random.Generator) -> Sentence:
        operation = _pick(list(SLOTS), rng)
        kinds, colors = rng.permutation(len(KINDS)), rng.permutation(len(COLORS))
        names = [f"{COLORS[colors[i]]} {KINDS[kinds[i]]}" for i in (0, 1)]
        words = {
            "object": names[0],
            "thing": names[1],
            "color": COLORS[colors[2]],
            "place": _pick(list(PLACES), rng),
        }
        slots = {key: words[key] for key in SLOTS[operation]}
        filled = slots | {"thing": f"{'an' if names[1][0] in 'aeiou' else 'a'} {names[1]}"}
        text = _pick(templates()[operation], rng).format(**{key: filled[key] for key in slots})
        facts = {"task": operation}
        for key, value in slots.items():
            if key in {"object", "thing"}:
                facts[f"{key} colour"], facts[key] = value.split(" ", 1)
            else:
                facts[key] = value
        return Sentence(normalise_prompt(text), facts)

    def _caption(self, rng: np.random.Generator) -> Sentence:
        things = [
            {"kind": _pick(KINDS, rng), "colour": _pick(COLORS, rng), "centre": (rng.random(2) * _SIDE).tolist()}
            for _ in range(int(rng.integers(1, 5)))
        ]
        figures = [] if rng.random() < 0.8 else [{"facing": _pick(("front", "back"), rng)}]
        scene = {"background": _pick(_BACKGROUNDS, rng), "objects": [] if figures else things, "figures": figures}
        text, told = caption(scene, rng, size=_SIDE)
        facts = {"task": "caption"}
        for key, value in told.items():
            if key in PLACES:
                facts[f"{key} colour"], facts[key] = value.split(" ", 1)
            else:
                facts[key] = value
        return Sentence(normalise_prompt(text), facts)


_BANKS = ("segmentation", "referring", "keypoints", "denoise", "deblur", "dewatermark")


def phrase_facts(phrase: str) -> dict[str, str]:
    """What a phrase of the scenes' grammar names: kind, color, which of several, and the same of what it is compared with.

    >>> phrase_facts("the largest red star to the left of the moon")["compared"]
    'to the left of'
    """
    first, *rest = _PARTS.split(phrase)
    facts = _noun(first)
    if rest:
        facts |= {"compared": rest[0]} | {f"other {key}": value for key, value in _noun(f"the {rest[1]}").items()}
    return facts


def _noun(words: str) -> dict[str, str]:
    """Split `the leftmost red star at the top`."""
    words, _, place = words.partition(" at the ")
    parts = words.split()
    color = next((part for part in parts if part in COLORS), "any")
    several = parts[0] in {"all", "every"}
    noun = parts[-1]
    single = next(
        (kind for kind in KINDS if several and noun in {f"{kind}s", f"{kind}es"}),
        noun.removesuffix("s") if noun == "objects" else noun,
    )
    which = next((part for part in parts if part in {"smallest", "largest", "leftmost", "rightmost"}), place)
    return {"object": single, "colour": color, "which": which or ("all" if several else "one")}


def _phrase(rng: np.random.Generator) -> str:
    """A phrase about things that are nowhere: each form equally often, held-out pairs left out."""
    forms = [*FORMS, *NO_TARGET]
    while True:
        kinds = [_pick(KINDS, rng) for _ in range(2)]
        hues = [_pick(COLORS, rng) for _ in range(2)]
        things = [
            Seen(_pick(kinds, rng), _pick(hues, rng), int(rng.integers(40, 400)), tuple(rng.random(2).tolist()))
            for _ in range(3)
        ]
        said = [p for p in phrases(things, _pick(forms, rng)) if not any(held_out(*pair) for pair in p.pairs)]
        if said:
            return _pick(said, rng).text


def _pick(options: Sequence[T], rng: np.random.Generator) -> T:
    return options[int(rng.integers(len(options)))]
