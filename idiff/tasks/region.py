"""Tasks that answer by color: what they name is painted over the image, and read back as score maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
from torch import Tensor

from idiff.checks import check_choice, check_number
from idiff.decoders import query_colors
from idiff.errors import ConfigError
from idiff.tasks.base import Task
from idiff.tasks.common.view import (
    Ask,
    View,
    build_augment,
    build_decoder,
    check_frame,
    check_share,
    check_size,
    query_of,
    warp_sample,
    whole_view,
)
from idiff.tasks.instructions import InstructionBank, Phrasings
from idiff.transforms.frames import FrameName, frame_crop, frame_whole
from idiff.types import AnyLabels, Sample
from idiff.utils import painting
from idiff.utils.settings import READING

_ALL_CLASSES = 20


class RegionTask(Task):
    """Base of the tasks that tint regions of an image, each in a color that the prompt names.

    Shapes: images (3, H, W) float32 in [-1, 1]. Source: InstructDiffusion, section 3.1. A subclass takes its own arguments and
    passes `**options` on.

    Args:
        size: side of the model's image in pixels; with `frame: native64` the longer side in evaluation.
        palette: one of `PALETTES`, see `idiff.utils.painting`.
        transparency: the share of the image that shows through what is painted, in [0, 1); the paper's is 0.5.
        frame: how an image that is not square is seen, see `idiff.transforms.frames.FrameName`; None: `letterbox`.
        crop: training draws a crop; otherwise it sees the whole image.
        min_score: a region with a lower mean score is not an answer; 0 takes all.
        instructions: file of templates with the slots of the task's kind; None: the built-in ones.
        augment: albumentations transforms of training, each `{name: ..., arguments}`; None: the task's default, which is light
            color changes unless the task says otherwise; []: none.
        decoder: name of the decoder.
        decoder_args: its arguments; None: the task's default.
        phrasings: `seen` or `unseen`: which sentences evaluation asks with, see `InstructionBank`.

    Raises:
        ConfigError: an argument that cannot be used.
    """

    default_augment: ClassVar[Sequence[Mapping[str, Any]] | None] = None
    default_decoder_args: ClassVar[Mapping[str, Any]] = {}

    def __init__(
        self,
        *,
        size: int = 64,
        palette: painting.PaletteName = "saturated",
        transparency: float = 0.3,
        frame: FrameName | None = None,
        crop: bool = True,
        min_score: Annotated[float, READING] = 0.0,
        instructions: str | None = None,
        augment: list[dict[str, Any]] | None = None,
        decoder: Annotated[str, READING] = "color",
        decoder_args: Annotated[dict[str, Any] | None, READING] = None,
        phrasings: Annotated[Phrasings, READING] = "seen",
    ) -> None:
        self.size, self.frame, self.crop = check_size(size), check_frame(frame), crop
        self.one_size = frame != "native64"
        self.palette, self.colors = palette, painting.palette(palette)
        self.transparency = painting.check_transparency(transparency)
        self.min_score = check_share("min_score", min_score)
        self.phrasings, self.bank = phrasings, InstructionBank(self.kind, instructions, phrasings=phrasings)
        self.augment = build_augment(self.default_augment if augment is None else augment)
        self.decoder = build_decoder(decoder, decoder_args, default=self.default_decoder_args)

    def _scores(self, edited: Tensor, rendered: Tensor, queries: Sequence[Mapping[str, Any]]) -> Tensor:
        """How sure each pixel is painted in each color of its query: float (B, K, H, W) in [0, 1], K the most colors of a query.

        Args as in `Task.decode`; `rgbs` of a query are its colors, or `rgb` its only one.
        """
        colors = query_colors([query.get("rgbs") or [query["rgb"]] for query in queries], edited)
        return self.decoder.scores(edited, rendered, colors, self.transparency)

    def _query(
        self,
        sample: Sample,
        asked: Mapping[str, Any],
        *,
        group: str,
        view: View,
        entry: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """A query with what was asked; see `query_of`."""
        asked = {**asked, "transparency": self.transparency}
        return query_of(sample, asked, task=self.kind, group=group, matrix=view.matrix, entry=entry)

    def _color(self, rng: np.random.Generator) -> str:
        """Draw the name of a color."""
        return list(self.colors)[int(rng.integers(len(self.colors)))]

    def _check_colors(self, name: str, count: int, *, least: int) -> int:
        """Return how many classes a prompt may name, each in its own color.

        Raises:
            ConfigError: fewer than `least`, or more than there are colors.
        """
        check_number(name, count, whole=True)
        if not least <= count <= len(self.colors):
            raise ConfigError(
                f"{name}={count} must lie between {least} and the {len(self.colors)} colors of '{self.palette}'."
            )
        return count


class ClassRegionTask(RegionTask):
    """Base of the region tasks that ask for classes by their names.

    Args:
        negatives: how often training asks for classes that are nowhere in the image; the target is the source then.
        flip: how often training mirrors the image.
        ask: which classes evaluation asks for: `all`; `present`, those in the image and absent ones chosen by key; `auto`, which
            is `all` for up to 20 classes.
        options: arguments of `RegionTask`.

    Raises:
        ConfigError: an argument that cannot be used.
    """

    def __init__(
        self,
        *,
        negatives: float = 0.2,
        flip: float = 0.5,
        ask: Annotated[Ask, READING] = "auto",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        check_choice("ask", ask, Ask)
        self.ask = ask
        self.negatives, self.flip = check_share("negatives", negatives), check_share("flip", flip)

    def _asks(self, classes: int) -> str:
        """`all` or `present`: which of so many classes evaluation asks for."""
        if self.ask != "auto":
            return self.ask
        return "present" if classes > _ALL_CLASSES else "all"

    def _look(self, sample: Sample, rng: np.random.Generator, *, train: bool, labels: AnyLabels | None = None) -> View:
        """The whole image; in training mirrored now and then, cropped along its long side, and augmented."""
        if not train:
            return whole_view(sample.image, self.size, frame=self.frame, labels=labels)
        original = (sample.image.shape[0], sample.image.shape[1])
        mirror = rng.random() < self.flip
        if self.crop:
            zoom = self.frame in {None, "letterbox"}
            frame = frame_crop(original, self.size, rng, mirror=mirror, zoom=zoom)
        else:
            frame = frame_whole(original, self.size, mirror=mirror)
        return warp_sample(sample.image, frame, self.size, augment=self.augment, rng=rng, labels=labels)
