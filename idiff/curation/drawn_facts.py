"""The facts of a sample drawn over its image, for people to look at: classes, masks, boxes, joints."""

from __future__ import annotations

import colorsys
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from idiff.types import Picture, void_of
from idiff.utils.lettering import Box, label
from idiff.utils.masks import decode_mask
from idiff.utils.seeds import hash64

if TYPE_CHECKING:
    from idiff.types import Sample

Rgb = tuple[int, int, int]

NAMED = (170, 0, 170)
"""Tint of what the shown phrase names."""


def draw_facts(sample: Sample, side: int) -> Image.Image:
    """The image, beside it the target and the maps, scaled to `side` pixels, with what is known of it.

    Label maps are tinted by class; what the shown phrase names is magenta; boxes bear their category; a joint is a disc in its
    color, a ring where it is hidden.
    """
    picture = sample.image
    if sample.label is not None:
        picture = np.where(_shown(sample)[..., None], picture // 2 + _colors()[sample.label & 255] // 2, picture)
    told = phrase_of(sample)
    instances = sample.annotation.get("instances", [])
    for index in told["instances"] if told else ():
        mask = decode_mask(instances[index]["mask"])
        picture = np.where(mask[..., None], picture // 3 + np.array(NAMED), picture)
    beside = [] if sample.target is None else [sample.target]
    picture = np.concatenate([picture.astype(np.uint8), *beside, *map(gray, sample.maps.values())], axis=1)
    scale = side / max(picture.shape[:2])
    height, width = (max(round(length * scale), 1) for length in picture.shape[:2])
    cell = Image.fromarray(picture).resize(
        (width, height), Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
    )
    draw, taken = ImageDraw.Draw(cell), list[Box]()
    for instance in [] if told else instances:
        _draw_box(draw, instance, scale, taken)
    for instance in instances:
        _draw_joints(draw, instance.get("keypoints", []), scale)
    return cell


def legend_of(samples: list[Sample]) -> dict[str, Rgb]:
    """Name -> color of all that is drawn in a color of its own: classes that some samples have, joints, named things."""
    found: dict[str, Rgb] = {}
    for sample in samples:
        names = list(sample.meta.get("classes", []))
        for value in [] if sample.label is None else np.unique(sample.label[_shown(sample)]).tolist():
            red, green, blue = _colors()[value & 255].tolist()
            found[names[value] if value < len(names) else str(value)] = (red, green, blue)
        for instance in sample.annotation.get("instances", []):
            joints = sample.meta.get("skeletons", {}).get(instance.get("category"), {}).get("joints", [])
            if instance.get("keypoints"):
                found |= {name: joint_color(place, len(joints)) for place, name in enumerate(joints)}
        if phrase_of(sample):
            found["what the sentence names"] = NAMED
    return found


def phrase_of(sample: Sample) -> dict[str, Any] | None:
    """The phrase that is shown, chosen by the key, of samples whose phrases name masks; None for others."""
    phrases: list[dict[str, Any]] = sample.annotation.get("phrases", [])
    masks = [instance.get("mask") for instance in sample.annotation.get("instances", [])]
    return phrases[hash64("browse", sample.key) % len(phrases)] if phrases and all(masks) else None


def gray(values: NDArray[Any]) -> Picture:
    """A map for people to look at: its lowest value black, its highest white, channels averaged, what is not finite black.

    Args:
        values: (H, W) or (H, W, C), numbers of any type.

    Returns:
        uint8 (H, W, 3).
    """
    flat = values.astype(np.float64).reshape(*values.shape[:2], -1).mean(axis=2)
    finite = np.isfinite(flat)
    low, high = (flat[finite].min(), flat[finite].max()) if finite.any() else (0.0, 0.0)
    share = np.where(finite, flat - low, 0.0) / ((high - low) or 1.0)
    return np.repeat((255 * share).round().astype(np.uint8)[..., None], 3, axis=2)


def joint_color(place: int, count: int) -> Rgb:
    """The color of a joint by its place among all."""
    red, green, blue = (int(255 * part) for part in colorsys.hsv_to_rgb(place / max(count, 1), 1, 1))
    return red, green, blue


def _draw_box(draw: ImageDraw.ImageDraw, instance: dict[str, Any], scale: float, taken: list[Box]) -> None:
    """A frame with the category's name: the box that is given, else that of the mask."""
    x, y, width, height = instance.get("box") or _around(instance.get("mask"))
    if width <= 0 or height <= 0:
        return
    left, top = x * scale, y * scale
    corners = (left, top, max(left, left + width * scale - 1), max(top, top + height * scale - 1))
    draw.rectangle(corners, outline="black", width=3)
    draw.rectangle(corners, outline="white", width=1)
    if instance.get("category"):
        label(draw, str(instance["category"]), at=(corners[0], corners[1]), gap=3, size=12, taken=taken)


def _around(mask: Any) -> tuple[float, float, float, float]:
    if not mask:
        return 0, 0, 0, 0
    rows, columns = np.nonzero(decode_mask(mask))
    if not len(rows):
        return 0, 0, 0, 0
    return (
        float(columns.min()), float(rows.min()), float(np.ptp(columns)) + 1, float(np.ptp(rows)) + 1
    )  # fmt: skip


def _draw_joints(draw: ImageDraw.ImageDraw, points: list[Any], scale: float) -> None:
    for joint, (x, y, visibility) in enumerate(points):
        if visibility:
            centre, color = ((x + 0.5) * scale - 0.5, (y + 0.5) * scale - 0.5), joint_color(joint, len(points))
            seen = visibility == 2
            draw.circle(
                centre, 4, fill=color if seen else None, outline="black" if seen else color, width=1 if seen else 2
            )


def _shown(sample: Sample) -> NDArray[np.bool_]:
    """Where a sample's label map is tinted: all but void and background."""
    assert sample.label is not None
    shown: NDArray[np.bool_] = sample.label != void_of(sample.label)
    if "background" in list(sample.meta.get("classes", []))[:1]:
        shown &= sample.label != 0
    return shown


def _colors() -> NDArray[np.uint8]:
    """A color for each label value, uint8 (256, 3); neighbouring values look different."""
    golden = 0.618034
    return (
        np.array([colorsys.hsv_to_rgb(value * golden % 1, 0.9, 1.0) for value in range(256)]).dot(255).astype(np.uint8)
    )
