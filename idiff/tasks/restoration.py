"""Restoration as painting: a damaged image in, the clean one out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import cv2
import numpy as np
from torch import Tensor

from idiff.checks import check_number
from idiff.predictions import ChangedImageTruth, ImagePrediction
from idiff.tasks.base import Task
from idiff.tasks.common.examples import shapes
from idiff.tasks.common.flip_test import merge_maps
from idiff.tasks.common.image_targets import given_target, needed_picture, painted_pictures
from idiff.tasks.common.view import ASKED, check_share, check_size, matrix_list, query_of, warp_sample
from idiff.tasks.instructions import InstructionBank, Phrasings, Template
from idiff.transforms.cover import cover, stitch
from idiff.transforms.geometry import Matrix, mirrored
from idiff.transforms.windows import frame_window, window_slices
from idiff.types import Picture, Prediction, Sample, Triplet, Truth
from idiff.utils.images import to_picture, to_tensor
from idiff.utils.settings import READING

if TYPE_CHECKING:
    from torchmetrics import MetricCollection


class Restoration(Task):
    """Base of the tasks whose target is given: the sample's image is damaged, its target is clean. Nothing is painted.

    Shapes: images (3, H, W) float32 in [-1, 1]. Source: InstructDiffusion, section 3.1, "image enhancement". The
    model sees a square of the image pixel on pixel: shrinking first, as released for GoPro and REDS, would shrink
    the blur as well. A side that is not longer than the square is seen whole, with padding around it. Training draws
    the square's place and mirrors; evaluation asks for the middle of the image, one query an image, and answer and
    truth are that part of it; `query["warp"]` says which. With `whole`, evaluation asks for all of the image in
    overlapping squares, a query each, and they are put together. Light and color are left alone.

    Args:
        size: side of the model's image in pixels.
        flip: how often training mirrors the image.
        instructions: file of sentences, without slots; None: the built-in ones.
        phrasings: `seen` or `unseen`: which sentences evaluation asks with, see `InstructionBank`.
        whole: evaluation asks for the whole image, as benchmarks score it, not for its middle alone.
        overlap: what neighbouring squares of a whole image share, as a share of their side, in [0, 0.5].
        flip_test: evaluation asks about the mirrored image, too, and takes the mean, see `idiff.tasks.common.flip_test`.

    Raises:
        ConfigError: an argument that cannot be used.
    """

    unit = "picture"
    headline = "psnr"
    headline_range = 50.0

    def __init__(
        self,
        size: int = 64,
        flip: float = 0.5,
        instructions: str | None = None,
        phrasings: Annotated[Phrasings, READING] = "seen",
        whole: Annotated[bool, READING] = False,
        overlap: Annotated[float, READING] = 0.125,
        flip_test: Annotated[bool, READING] = False,
    ) -> None:
        self.size = check_size(size)
        check_number("overlap", overlap, least=0, most=0.5)
        self.whole, self.overlap, self.flip_test = whole, round(overlap * size), flip_test
        self.flip = check_share("flip", flip)
        self.bank = InstructionBank(self.kind, instructions, phrasings=phrasings)

    def encode(self, sample: Sample, item: int, rng: np.random.Generator, *, train: bool) -> Triplet:
        """Cut the same square out of both images. See `Task.encode`."""
        given_target(sample)
        original = (sample.image.shape[0], sample.image.shape[1])
        mirror = train and rng.random() < self.flip
        matrix = frame_window(original, self.size, rng if train else None, mirror=mirror)
        return self._pair(sample, item, [matrix], template=self.bank.draw(rng))[0]

    def queries(self, sample: Sample, item: int) -> list[Triplet]:
        """One: the middle of the image; or one for each square of the whole image; mirrored, too. See `Task.queries`."""
        given_target(sample)
        original = (sample.image.shape[0], sample.image.shape[1])
        windows = (
            cover(original, self.size, overlap=self.overlap) if self.whole else [frame_window(original, self.size)]
        )
        windows += [mirrored(matrix, self.size) for matrix in windows] if self.flip_test else []
        return self._pair(sample, item, windows, template=self.bank.asking(f"{sample.key}/{item}"))

    def asked(self, picture: Picture, text: str) -> Sample:
        """Ask for the image as the task's own sentence does: words are not needed. See `Task.asked`."""
        return Sample(ASKED, picture, {}, target=picture)

    def decode(self, edited: Tensor, rendered: Tensor, queries: Sequence[dict[str, Any]]) -> Sequence[Prediction]:
        """The painted images themselves. See `Task.decode`."""
        return painted_pictures(edited, queries)

    def combine(self, predictions: Sequence[Prediction], queries: Sequence[dict[str, Any]]) -> Prediction:
        """The part of the original that was seen, without padding; squares are put together. See `Task.combine`."""
        query, original = queries[0], (int(queries[0]["size"][0]), int(queries[0]["size"][1]))
        pictures = [needed_picture(one) for one in predictions]
        if self.flip_test:
            pictures, queries = merge_maps(pictures), queries[: len(queries) // 2]
        picture = stitch(pictures, [one["warp"] for one in queries], original)
        rows, columns = _seen(queries, original, self.size)
        return ImagePrediction(query=query, score=predictions[0].score, picture=picture[:, rows, columns])

    def truth(self, annotation: dict[str, Any]) -> Truth:
        """The same part of the clean image and of the damaged one. See `Task.truth`."""
        picture, source = to_tensor(annotation["target"]), to_tensor(annotation["source"])
        return ChangedImageTruth(key=annotation["key"], picture=picture, source=source)

    def metrics(self) -> MetricCollection:
        """`psnr` and `ssim`. See `Task.metrics`."""
        from torchmetrics import MetricCollection

        from idiff.metrics import PSNR, SSIM

        return MetricCollection({"psnr": PSNR(), "ssim": SSIM()})

    def baseline(self, truths: Iterable[Truth]) -> tuple[str, Callable[[dict[str, Any]], Prediction]] | None:
        """None: no image fits all. See `Task.baseline`."""
        return None

    def render(self, prediction: Prediction, picture: Picture) -> Picture:
        """The image with the part that was seen restored. See `Task.render`."""
        drawn, answer = picture.copy(), to_picture(needed_picture(prediction))
        whole = answer.shape == drawn.shape
        here, _ = window_slices(prediction.query["warp"], tuple(prediction.query["size"]), self.size)
        drawn[... if whole else here] = answer
        return drawn

    def _pair(self, sample: Sample, item: int, windows: list[Matrix], *, template: Template) -> list[Triplet]:
        """Look at both images through each window; the truth is what all of them show together."""
        target = given_target(sample)
        original = (sample.image.shape[0], sample.image.shape[1])
        group = f"{sample.key}/{item}"
        seen = _seen([{"warp": matrix_list(matrix)} for matrix in windows], original, self.size)
        annotation = {"key": sample.key, "source": sample.image[seen], "target": target[seen]}
        return [
            Triplet(
                key=f"{group}/{number}",
                source=warp_sample(sample.image, matrix, self.size).source,
                instruction=template.fill([{}]),
                target=warp_sample(target, matrix, self.size).source,
                query=query_of(sample, {}, task=self.kind, group=group, matrix=matrix),
                annotation=annotation,
            )
            for number, matrix in enumerate(windows)
        ]


def _seen(queries: Sequence[Mapping[str, Any]], original: tuple[int, int], size: int) -> tuple[slice, slice]:
    """Rows and columns of the image that a group of windows shows together."""
    places = [window_slices(query["warp"], original, size)[0] for query in queries]
    rows, columns = ([place[side] for place in places] for side in (0, 1))
    return tuple(slice(min(one.start for one in side), max(one.stop for one in side)) for side in (rows, columns))  # type: ignore[return-value]


class Denoise(Restoration):
    """Take the noise of a sensor out of an image. See `Restoration`."""

    kind = "denoise"

    @classmethod
    def example(cls, rng: np.random.Generator) -> Sample:
        """Shapes under strong grain. See `Task.example`."""
        clean = shapes(rng).image
        grain = np.rint(rng.normal(0, 35, clean.shape))
        return _example(np.clip(clean + grain, 0, 255).astype(np.uint8), clean)


class Deblur(Restoration):
    """Make an image sharp that was out of focus or shaken. See `Restoration`."""

    kind = "deblur"

    @classmethod
    def example(cls, rng: np.random.Generator) -> Sample:
        """Shapes out of focus. See `Task.example`."""
        clean = shapes(rng).image
        return _example(cv2.GaussianBlur(clean, (0, 0), float(rng.uniform(1.0, 2.5))), clean)


class Dewatermark(Restoration):
    """Take a see-through mark off an image. See `Restoration`."""

    kind = "dewatermark"

    @classmethod
    def example(cls, rng: np.random.Generator) -> Sample:
        """Shapes under a half-transparent word. See `Task.example`."""
        clean = shapes(rng).image
        mark = clean.copy()
        color = tuple(int(channel) for channel in rng.choice([0, 255], 3))
        cv2.putText(mark, "mark", (10, clean.shape[0] // 2 + 8), cv2.FONT_HERSHEY_SIMPLEX, 0.8, color, 3)
        return _example(cv2.addWeighted(clean, 0.5, mark, 0.5, 0), clean)


def _example(damaged: Picture, clean: Picture) -> Sample:
    return Sample(key="example", image=damaged, annotation={}, target=clean)
