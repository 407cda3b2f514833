"""Pieces that several tasks share: the model's view of an image, their decoder, their checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from idiff.checks import check_choice, check_number
from idiff.decoders import Decoder, build
from idiff.errors import BadSampleError, ConfigError
from idiff.transforms.augment import DEFAULT, Augment
from idiff.transforms.fitting import fit_picture
from idiff.transforms.frames import FrameName, frame_middle, frame_native, frame_whole
from idiff.transforms.geometry import (
    Matrix,
    Size,
    chain,
    extent,
    inside,
    seen_part,
    unwarp,
    warp_labels,
    warp_picture,
)
from idiff.types import AnyLabels, Picture, Sample
from idiff.utils.images import to_picture, to_tensor
from idiff.utils.strings import normalise_prompt

Ask = Literal["auto", "all", "present"]
"""Which classes evaluation asks for."""

ASKED = "picture"
"""The key of a sample that a person asks about."""


@dataclass(slots=True)
class View:
    """What the model sees of a sample.

    Attributes:
        source: float32 (3, H, W) in [-1, 1]; 0 where the image has no pixel.
        seen: bool (H, W): where it has one.
        labels: uint8 or uint16 (H, W), void there; None where none were given.
        points: float64 (K, 2) in the model's pixels; None where none were given.
        matrix: from the original image to the model's pixels.
    """

    source: Tensor
    seen: Tensor
    labels: AnyLabels | None
    points: NDArray[np.float64] | None
    matrix: Matrix

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the model's image."""
        return self.source.shape[1], self.source.shape[2]


def warp_sample(
    picture: Picture,
    matrix: Matrix,
    size: Size,
    *,
    augment: Augment | None = None,
    rng: np.random.Generator | None = None,
    labels: AnyLabels | None = None,
    points: NDArray[np.float64] | None = None,
    fitted: bool = False,
) -> View:
    """Warp an image and what belongs to it, then augment all of it together.

    Args:
        picture: uint8 (H, W, 3), the original.
        matrix: from the original to the model's pixels.
        size: of the model's image.
        augment: applied where given, driven by `rng`.
        rng: needed with `augment`.
        labels: uint8 or uint16 (H, W).
        points: (K, 2) in the original's pixels.
        fitted: the matrix is one of `frame_native`: the image is resized as there, by PIL's Lanczos filter.
    """
    drawn = fit_picture(picture, extent(size)) if fitted else warp_picture(picture, matrix, size)
    drawn_labels = None if labels is None else warp_labels(labels, matrix, size)
    moved = None if points is None else points @ matrix[:, :2].T + matrix[:, 2]
    if augment is not None and rng is not None:
        made = augment(drawn, rng, labels=drawn_labels, points=moved)
        drawn, drawn_labels, moved, matrix = made.picture, made.labels, made.points, chain(matrix, made.matrix)
    seen = torch.from_numpy(inside(matrix, size, (picture.shape[0], picture.shape[1])))
    return View(torch.where(seen, to_tensor(drawn), 0.0), seen, drawn_labels, moved, matrix)


def whole_view(
    picture: Picture,
    size: int,
    *,
    frame: FrameName | None,
    labels: AnyLabels | None = None,
    points: NDArray[np.float64] | None = None,
    mirror: bool = False,
) -> View:
    """An image as evaluation sees it.

    Args:
        picture: uint8 (H, W, 3), the original.
        size: side of the model's square; the longer side of `native64`.
        frame: what of it is seen; None: `letterbox`.
        labels: uint8 or uint16 (H, W).
        points: (K, 2) in the original's pixels.
        mirror: swap left and right.
    """
    original, shape = (picture.shape[0], picture.shape[1]), (size, size)
    if frame == "native64":
        matrix, shape = frame_native(original, size)
    else:
        matrix = frame_middle(original, size) if frame == "crop" else frame_whole(original, size)
    if mirror:
        matrix = chain(matrix, np.array([[-1.0, 0.0, shape[1] - 1.0], [0.0, 1.0, 0.0]]))
    return warp_sample(picture, matrix, shape, labels=labels, points=points, fitted=frame == "native64" and not mirror)


def check_frame(frame: FrameName | None) -> FrameName | None:
    """Return how an image that is not square is seen.

    Raises:
        ConfigError: there is none of that name.
    """
    if frame is not None:
        check_choice("frame", frame, FrameName)
    return frame


def build_augment(specs: Sequence[Mapping[str, Any]] | None) -> Augment:
    """The configured augmentation; None stands for the default, an empty list for none."""
    return Augment(DEFAULT if specs is None else specs)


def build_decoder(name: str, arguments: Mapping[str, Any] | None, *, default: Mapping[str, Any]) -> Decoder:
    """The configured decoder; `default` are the task's settings of the color decoder where no arguments are given.

    An argument that is null is left out: so a configuration takes one back that a file below it set for another decoder.
    """
    if arguments is None:
        arguments = default if name == "color" else {}
    return build(name, **{key: value for key, value in arguments.items() if value is not None})


def needed_words(text: str) -> str:
    """What a person asks, as the tokenizer should see it.

    Raises:
        ConfigError: nothing is left of it.
    """
    words = normalise_prompt(text)
    if not words:
        raise ConfigError(f"the text is {text!r}: expected words that say what is asked.")
    return words


def check_size(size: int) -> int:
    """Return the side of the model's image.

    Raises:
        ConfigError: it is less than 8 pixels.
    """
    check_number("size", size, least=8, whole=True)
    return size


def check_share(name: str, value: float) -> float:
    """Return a probability or a share.

    Raises:
        ConfigError: it does not lie in [0, 1].
    """
    check_number(name, value, least=0, most=1)
    return float(value)


def check_picture(sample: Sample) -> None:
    """Refuse a sample whose image is not uint8 (H, W, 3).

    Raises:
        BadSampleError: names the sample and what was got.
    """
    image = sample.image
    if (
        not isinstance(image, np.ndarray)
        or image.dtype != np.uint8
        or image.ndim != 3
        or image.shape[2] != 3
        or not image.size
    ):
        got = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise BadSampleError(sample.key, "image", f"got {got}, expected uint8 (H, W, 3)")


def needed_map(sample: Sample, name: str, *, channels: int | None = None) -> NDArray[Any]:
    """A map of numbers, (H, W) or (H, W, channels), that a task cannot do without.

    `warp_map` with `View.matrix` brings it into the model's view.

    Raises:
        BadSampleError: the sample has none of this name, or it is of another size than the image.
    """
    values, expected = sample.maps.get(name), sample.image.shape[:2] + ((channels,) if channels else ())
    if values is None or values.shape != expected:
        got = "none" if values is None else f"shape {values.shape}"
        raise BadSampleError(sample.key, name, f"got {got}, expected a map of shape {expected} as the image has")
    return values


def matrix_list(matrix: Matrix) -> list[list[float]]:
    """A matrix as a query holds it."""
    return [[float(value) for value in row] for row in matrix]


def query_of(
    sample: Sample,
    asked: Mapping[str, Any],
    *,
    task: str,
    group: str,
    matrix: Matrix,
    entry: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What a predictor may know of a prompt, as `Triplet.query` holds it. JSON-able.

    Args:
        sample: whom it is about.
        asked: what the prompt asks: classes, joints, colors.
        task: kind of the task.
        group: of the prompts that are combined into one answer: the sample's key, a slash, the item.
        matrix: from the original image to the model's pixels.
        entry: the item as the annotation has it, where there is one; see `origin`.
    """
    size = [int(side) for side in sample.image.shape[:2]]
    place = {"warp": matrix_list(matrix), "size": size, "origin": origin(sample, entry)}
    return {"task": task, "key": sample.key, "group": group, **asked, **place}


def origin(sample: Sample, entry: Mapping[str, Any] | None = None) -> dict[str, str | int]:
    """What the set's own files call a sample and one of its items, so that answers can be re-scored beside them.

    Args:
        sample: its annotation may have `file_name` and `image_id`.
        entry: the item: a person (`id`), or a phrase (`ref_id`, `sent_id`).

    Returns:
        JSON-able; empty where the set names nothing.
    """
    known = {name: sample.annotation.get(name) for name in ("file_name", "image_id")}
    known |= {name: (entry or {}).get(name) for name in ("id", "ref_id", "sent_id")}
    return {name: value for name, value in known.items() if isinstance(value, str | int)}


def in_cell(query: Mapping[str, Any]) -> dict[str, Any]:
    """A query in the pixels of the cell that its answer is painted in; as it is where its image is no grid of cells."""
    if "cell" not in query:
        return dict(query)
    top, left, *_ = query["cell"]
    warp = np.asarray(query["warp"], dtype=np.float64) - [[0, 0, left], [0, 0, top]]
    return {name: value for name, value in query.items() if name != "cell"} | {"warp": matrix_list(warp)}


def cell_of(image: Tensor, query: Mapping[str, Any]) -> Tensor:
    """The part of an image (..., H, W) that an answer is painted in: all of it, or the query's `cell`: top, left, height, width."""
    if "cell" not in query:
        return image
    top, left, height, width = query["cell"]
    return image[..., top : top + height, left : left + width]


def original_view(source: Tensor, query: Mapping[str, Any]) -> Picture:
    """The original image as far as the model saw it, gray elsewhere, at its own size: for drawing answers over.

    Args:
        source: (3, H, W) in [-1, 1].
        query: names where its pixels lie in the original (`warp`) and the original's (height, width) (`size`).
    """
    source, query, size = cell_of(source, query), in_cell(query), (int(query["size"][0]), int(query["size"][1]))
    seen = seen_part(query["warp"], (source.shape[1], source.shape[2]), size)
    return to_picture(torch.where(torch.from_numpy(seen), unwarp(source.cpu(), query["warp"], size), 0.0))
