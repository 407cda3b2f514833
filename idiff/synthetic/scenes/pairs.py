"""Scenes as pairs of images: damaged and clean, before and after an edit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from idiff.errors import BadSampleError
from idiff.synthetic.drawing.description import Scene
from idiff.synthetic.drawing.render import render
from idiff.synthetic.scenes.edits import draw_edit, sentence
from idiff.transforms.degradations.common import identity_psnr
from idiff.transforms.degradations.scenes import DEGRADATIONS
from idiff.utils.masks import encode_mask


@dataclass(frozen=True, slots=True)
class Pair:
    """Two images of a scene.

    Attributes:
        picture: uint8 (H, W, 3), what a task is given.
        target: uint8 (H, W, 3), what it is to answer.
        facts: goes into the annotation, JSON-able.
    """

    picture: NDArray[np.uint8]
    target: NDArray[np.uint8]
    facts: dict[str, Any]


def damaged(task: str) -> Callable[[Scene, int, np.random.Generator], Pair]:
    """How a restoration task's pairs are drawn: (scene, side in pixels, rng) -> pair.

    The target is drawn without the scene's camera noise, which nobody could restore. The facts are `degradation`: its
    `kind` and strength, and `identity_psnr`, the damaged image's PSNR in dB.

    Args:
        task: a key of `degradations.scenes.DEGRADATIONS`.
    """

    def draw(scene: Scene, size: int, rng: np.random.Generator) -> Pair:
        clean = render(replace(scene, background=replace(scene.background, noise=0.0)), size).picture
        made = DEGRADATIONS[task](clean, rng)
        told = {**made.facts, "identity_psnr": round(identity_psnr(made.picture, clean), 3)}
        return Pair(made.picture, clean, {"degradation": told})

    return draw


def edited(scene: Scene, size: int, rng: np.random.Generator) -> Pair:
    """Draw a scene before and after an edit.

    The facts are `instruction`, the sentence; `region`, the pixels that differ, in COCO's run-length encoding; and
    `edit`: its `operation`, the words of the sentence's slots, and `identity_psnr`, the untouched image's PSNR in dB.

    Raises:
        BadSampleError: nothing in the scene can be edited.
    """
    edit = draw_edit(scene, rng)
    if edit is None:
        raise BadSampleError("scene", "things", "no object has a name of its own, and there is no room for another one")
    before, after = render(scene, size).picture, render(edit.scene, size).picture
    told = {
        "operation": edit.operation, **edit.words, "identity_psnr": round(identity_psnr(before, after), 3)
    }  # fmt: skip
    region = encode_mask(np.asarray((before != after).any(axis=2)))
    return Pair(before, after, {"instruction": sentence(edit, rng), "region": region, "edit": told})
