"""The one adapter to albumentations: transforms from YAML, applied to an image, its label map and its points."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from idiff.errors import ConfigError, unknown
from idiff.transforms.geometry import GREY, Matrix
from idiff.types import VOID, AnyLabels, Labels, Picture, WideLabels, void_of

DEFAULT: tuple[Mapping[str, Any], ...] = (
    {"name": "ColorJitter", "brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 0.02, "p": 0.8},
)
"""What training does to light and color when nothing else is configured."""

_SENTINELS = np.array([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0]])


@dataclass(slots=True)
class Augmented:
    """What an augmentation made.

    Attributes:
        picture: uint8 (H, W, 3).
        labels: uint8 or uint16 (H, W), where labels were given.
        points: float64 (K, 2), where points were given; points outside of the image are kept.
        matrix: 2x3, how points moved: exact for flips, shifts, turns and zooms, a local estimate for bends.
    """

    picture: Picture
    labels: AnyLabels | None
    points: NDArray[np.float64] | None
    matrix: Matrix


class Augment:
    """A list of albumentations transforms that draws from the caller's rng alone.

    Transforms that were asked for are made, and so checked, at once; those of `DEFAULT` when they are first used, in training.

    Args:
        specs: each `{"name": a class of albumentations, ...its arguments}`; an empty list changes nothing.

    Raises:
        ConfigError: a name that albumentations does not have, or arguments that its class does not take.
    """

    def __init__(self, specs: Sequence[Mapping[str, Any]]) -> None:
        self.specs = [dict(spec) for spec in specs]
        self._compose: Any = None
        self._moves = False
        if self.specs != list(DEFAULT):
            self._make()

    def _make(self) -> None:
        if self.specs and self._compose is None:
            self._compose, self._moves = _build(self.specs)

    def __getstate__(self) -> dict[str, Any]:
        """Workers rebuild the transforms from their specs."""
        return {"specs": self.specs}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["specs"])  # type: ignore[misc]

    def __call__(
        self,
        picture: Picture,
        rng: np.random.Generator,
        *,
        labels: AnyLabels | None = None,
        points: NDArray[np.float64] | None = None,
    ) -> Augmented:
        """Augment one image with what belongs to it.

        Args:
            picture: uint8 (H, W, 3).
            rng: draws everything.
            labels: uint8 or uint16 (H, W).
            points: (K, 2) x, y in pixels; swapping left and right joints is the caller's part
                (`geometry.mirrors(matrix)`).
        """
        self._make()
        if self._compose is None:
            return Augmented(picture, labels, points, np.eye(2, 3))
        self._compose.set_random_seed(int(rng.integers(2**31)))
        if not self._moves:
            return Augmented(self._compose(image=picture)["image"], labels, points, np.eye(2, 3))
        count = 0 if points is None else len(points)
        carried = _SENTINELS if points is None else np.concatenate([np.asarray(points, np.float64), _SENTINELS])
        codes, table = (None, None) if labels is None else _narrowed(labels)
        extra = {} if codes is None else {"mask": codes}
        made = self._compose(image=picture, keypoints=carried, **extra)
        moved = np.asarray(made["keypoints"], dtype=np.float64).reshape(-1, 2)
        origin, right, down = moved[count:]
        linear = np.column_stack([right - origin, down - origin]) / _SENTINELS[1, 0]
        return Augmented(
            picture=made["image"],
            labels=None if codes is None else made["mask"] if table is None else table[made["mask"]],
            points=None if points is None else moved[:count],
            matrix=np.column_stack([linear, origin]),
        )


def _narrowed(labels: AnyLabels) -> tuple[Labels, WideLabels | None]:
    """Labels as transforms take them and fill them, with 255 for void; and of uint16 the label of each value.

    Raises:
        ValueError: one image shows more than 255 labels.
    """
    if labels.dtype == np.uint8:
        return labels, None
    values, places = np.unique(labels, return_inverse=True)
    values = values[values != void_of(labels)]
    if len(values) > VOID:
        raise ValueError(f"one image shows {len(values)} labels, expected at most {VOID} where it is turned or bent")
    table = np.full(VOID + 1, void_of(labels), np.uint16)
    table[: len(values)] = values
    codes = np.where(labels == void_of(labels), VOID, places.reshape(labels.shape)).astype(np.uint8)
    return codes, table


def _build(specs: Sequence[Mapping[str, Any]]) -> tuple[Any, bool]:
    """Build the Compose, and tell whether any of it moves pixels.

    albumentations is imported here, without its look for a newer version on the network.
    """
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    import albumentations

    known = {
        name
        for name, value in vars(albumentations).items()
        if inspect.isclass(value) and issubclass(value, albumentations.BasicTransform)
    }
    transforms = []
    for spec in specs:
        arguments = dict(spec)
        name = arguments.pop("name", None)
        if name not in known:
            raise unknown("albumentations transform", str(name), known)
        kind = getattr(albumentations, name)
        accepted = inspect.signature(kind.__init__).parameters
        wrong = [argument for argument in arguments if argument not in accepted]
        if wrong:
            raise ConfigError(f"albumentations.{name} takes no {wrong}; it takes {sorted(set(accepted) - {'self'})}.")
        if "border_mode" in accepted and "fill_mask" in accepted:
            arguments = {"fill": GREY, "fill_mask": VOID, **arguments}
        try:
            transforms.append(kind(**arguments))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"albumentations.{name} refuses {arguments}: {error}") from error
    if not any(isinstance(transform, albumentations.DualTransform) for transform in transforms):
        return albumentations.Compose(transforms, strict=True), False
    params = albumentations.KeypointParams(format="xy", remove_invisible=False)
    return albumentations.Compose(transforms, keypoint_params=params, strict=True), True
