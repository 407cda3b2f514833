"""Base of the tasks that paint a number or a vector at every pixel and read it back densely."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from idiff.predictions import MapPrediction
from idiff.tasks.base import Task
from idiff.tasks.common.view import (
    ASKED,
    View,
    build_augment,
    check_picture,
    check_share,
    check_size,
    query_of,
    warp_sample,
)
from idiff.tasks.instructions import InstructionBank, Phrasings, Template
from idiff.transforms.frames import frame_whole
from idiff.transforms.geometry import unwarp
from idiff.types import Picture, Prediction, Sample, Triplet
from idiff.utils.settings import READING


class DenseTask(Task):
    """Every pixel whose value is known gets the color of its value; all others are those of the source.

    A subclass says what is known (`known`), its colors (`paint`), and what colors mean (`read`). The whole image is seen, with
    padding where it is not square.

    Args:
        size: side of the model's image in pixels.
        flip: share of training images that are mirrored.
        augment: albumentations that change colors alone or move pixels; None: light color changes; []: none.
        instructions: file of sentences; None: the built-in ones.
        phrasings: `seen` or `unseen`: which sentences evaluation asks with, see `InstructionBank`.
        flip_test: evaluation asks about the mirrored image, too, and takes the mean, see `idiff.tasks.common.flip_test`.

    Raises:
        ConfigError: an argument that cannot be used.

    Attributes:
        channels: numbers at each pixel of its map; None: one, without an axis of its own.
    """

    channels: ClassVar[int | None] = None

    def __init__(
        self,
        size: int = 64,
        flip: float = 0.5,
        augment: Sequence[Mapping[str, Any]] | None = None,
        instructions: str | None = None,
        phrasings: Annotated[Phrasings, READING] = "seen",
        flip_test: Annotated[bool, READING] = False,
    ) -> None:
        self.size, self.flip = check_size(size), check_share("flip", flip)
        self.augment, self.flip_test = build_augment(augment), flip_test
        self.bank = InstructionBank(self.kind, instructions, phrasings=phrasings)

    @abstractmethod
    def known(self, sample: Sample) -> NDArray[np.float32]:
        """The true values of a sample, (H, W) or (H, W, C), 0 where there is none.

        Raises:
            BadSampleError: the sample has none, or of another type or shape.
        """

    @abstractmethod
    def paint(self, values: NDArray[np.float32], view: View) -> tuple[Tensor, Tensor]:
        """Colors of true values as a view sees them: float (3, h, w) in [0, 1], and where there are any: bool (h, w)."""

    @abstractmethod
    def read(self, colors: Tensor, query: dict[str, Any]) -> MapPrediction:
        """What colors, float32 (3, h, w) in [0, 1], mean."""

    def encode(self, sample: Sample, item: int, rng: np.random.Generator, *, train: bool) -> Triplet:
        """Paint the whole image, in training mirrored or not. See `Task.encode`."""
        template, mirror = self.bank.draw(rng), train and rng.random() < self.flip
        return self._paint(sample, item, template, mirror=mirror, rng=rng if train else None)

    def queries(self, sample: Sample, item: int) -> list[Triplet]:
        """One: the whole image; mirrored, too. See `Task.queries`."""
        template, mirrors = self.bank.asking(f"{sample.key}/{item}"), (False, True)[: 1 + self.flip_test]
        return [self._paint(sample, item, template, mirror=mirror, rng=None) for mirror in mirrors]

    def asked(self, picture: Picture, text: str) -> Sample:
        """Ask as the task's own sentence does: words are not needed. See `Task.asked`."""
        shape = picture.shape[:2] + ((self.channels,) if self.channels else ())
        return Sample(ASKED, picture, {}, maps={name: np.zeros(shape, np.float32) for name in self.maps})

    def decode(self, edited: Tensor, rendered: Tensor, queries: Sequence[dict[str, Any]]) -> Sequence[Prediction]:
        """The value of each pixel, in the model's pixels. See `Task.decode`."""
        colors = torch.nan_to_num(edited.float(), nan=0.0).clamp(-1, 1) / 2 + 0.5
        return [self.read(one, query) for one, query in zip(colors, queries, strict=True)]

    def combine(self, predictions: Sequence[Prediction], queries: Sequence[dict[str, Any]]) -> Prediction:
        """What was read, on the original image; between pixels, and of two answers, the mean is taken. See `Task.combine`."""
        maps = [
            unwarp(self.planes(one, query), query["warp"], query["size"])
            for one, query in zip(predictions, queries, strict=True)
        ]
        return self.merged(replace(predictions[0], query=queries[0]), torch.stack(maps).mean(dim=0))

    def planes(self, prediction: Prediction, query: dict[str, Any]) -> Tensor:
        """A prediction in the model's pixels as numbers (C, h, w) whose mean has a meaning, as if nothing were mirrored."""
        assert isinstance(prediction, MapPrediction)
        return prediction.values[None]

    def merged(self, prediction: Prediction, planes: Tensor) -> Prediction:
        """A prediction with the values that the mean (C, H, W) of `planes` says."""
        assert isinstance(prediction, MapPrediction)
        return replace(prediction, values=planes[0])

    def _paint(
        self, sample: Sample, item: int, template: Template, *, mirror: bool, rng: np.random.Generator | None
    ) -> Triplet:
        check_picture(sample)
        values, group = self.known(sample), f"{sample.key}/{item}"
        frame = frame_whole((sample.image.shape[0], sample.image.shape[1]), self.size, mirror=mirror)
        view = warp_sample(sample.image, frame, self.size, augment=self.augment if rng else None, rng=rng)
        colors, painted = self.paint(values, view)
        return Triplet(
            key=f"{group}/mirrored" if mirror and not rng else f"{group}/0",
            source=view.source,
            instruction=template.fill([{}]),
            target=torch.where(painted, (2 * colors.float() - 1).clamp(-1, 1), view.source),
            query=query_of(sample, {}, task=self.kind, group=group, matrix=view.matrix),
            annotation={"key": sample.key, "values": values},
            answer=painted.float()[None],
        )


def room_with_a_box(rng: np.random.Generator) -> Sample:
    """A slanted wall and a box before it, with the maps `depth` (millimeters) and `normals` of both."""
    height, width, side, y, x = rng.integers((72, 72, 24, 0, 0), (100, 100, 48, 24, 24)).tolist()
    image = rng.integers(90, 166, (height, width, 3)).astype(np.uint8)
    depth = np.broadcast_to(np.linspace(6000, 14000, width)[None], (height, width)).astype(np.uint16)
    normals = np.broadcast_to(np.array([0.6, 0.0, 0.8], np.float32), (height, width, 3)).copy()
    image[y : y + side, x : x + side], depth[y : y + side, x : x + side] = rng.integers(60, 196, 3), 48000 // side
    normals[y : y + side, x : x + side] = (-0.48, 0.6, 0.64)
    return Sample(key="example", image=image, annotation={}, maps={"depth": depth, "normals": normals})
