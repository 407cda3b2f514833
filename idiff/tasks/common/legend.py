"""Several classes in one prompt, each in its own color: how that is drawn, worded, and read back."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from idiff.predictions import ClassMasksPrediction, MaskPrediction
from idiff.tasks.common.label_map import label_counts
from idiff.tasks.common.region_masks import mask_prediction
from idiff.tasks.instructions import InstructionBank, Template
from idiff.types import AnyLabels
from idiff.utils import painting
from idiff.utils.strings import name_words


@dataclass(frozen=True, slots=True)
class Wording:
    """How an image's classes are asked for: `one` alone, or `several` of them in one prompt."""

    one: Template
    several: Template | None = None

    def write(self, names: Sequence[str], colors: Sequence[str]) -> str:
        """The instruction for some classes; more colors than names may be given."""
        parts = [{"object": name_words(name), "color": color} for name, color in zip(names, colors, strict=False)]
        template = self.several if self.several is not None and len(parts) > 1 else self.one
        return template.fill(parts)


@dataclass(frozen=True, slots=True)
class Wordings:
    """The sentences of a task that asks for one class or for `several` in a prompt; None: for one alone."""

    one: InstructionBank
    several: InstructionBank | None = None

    def draw(self, rng: np.random.Generator) -> Wording:
        """Draw sentences: training."""
        return Wording(self.one.draw(rng), None if self.several is None else self.several.draw(rng))

    def asking(self, key: str) -> Wording:
        """The sentences of evaluation for an item."""
        return Wording(self.one.asking(key), None if self.several is None else self.several.asking(key))


def draw_classes(
    asked: Sequence[int],
    anywhere: Container[int],
    seen: AnyLabels,
    rng: np.random.Generator,
    *,
    most: int,
    negatives: float,
    min_pixels: int,
) -> list[int]:
    """Draw classes to ask for, each one that is seen, or now and then one that is nowhere in the whole image.

    Args:
        asked: indices to choose from.
        anywhere: the values of the whole label map, see `labels_in`.
        seen: uint8 or uint16 (H, W), the model's view of it.
        rng: the only source of randomness.
        most: from 1 to as many are drawn, as long as there are any.
        negatives: share of absent classes.
        min_pixels: what a class must cover of the view to be seen.
    """
    pixels, left, chosen = label_counts(seen), list(asked), list[int]()
    count = int(rng.integers(1, most + 1)) if most > 1 else 1
    while left and len(chosen) < count:
        present = [index for index in left if pixels[index] >= min_pixels]
        absent = [index for index in left if index not in anywhere]
        pool = (absent if rng.random() < negatives else present) or present or absent or left
        chosen.append(pool[int(rng.integers(len(pool)))])
        left.remove(chosen[-1])
    return chosen


def contrasting_colors(pixels: Tensor, colors: Mapping[str, painting.Rgb], count: int) -> list[str]:
    """The `count` colors that are easiest to tell from an image, the best one first; see `painting.contrasting`."""
    left, chosen = dict(colors), list[str]()
    while len(chosen) < count:
        chosen.append(painting.contrasting(pixels, left))
        del left[chosen[-1]]
    return chosen


def asked_classes(query: Mapping[str, Any]) -> list[int]:
    """Indices of the classes that a query asks for, in the order of its colors."""
    return [int(index) for index in query.get("indices") or [query["class"]]]


def class_predictions(query: dict[str, Any], scores: Tensor) -> MaskPrediction | ClassMasksPrediction:
    """What was painted for one query.

    Args:
        query: of one class or of several.
        scores: float (K, H, W), one map a color; those beyond the query's own are left out.

    Returns:
        of one class its mask and scores; of several `masks` by class and `scores` (K, H, W). The score is that of the surest class.
    """
    if "indices" not in query:
        return mask_prediction(query, scores[0])
    classes = asked_classes(query)
    found = [mask_prediction(query, one) for one in scores[: len(classes)]]
    masks = {index: one.mask for index, one in zip(classes, found, strict=True)}
    sure = max(one.score for one in found)
    return ClassMasksPrediction(query=query, score=sure, masks=masks, scores=scores[: len(classes)])
