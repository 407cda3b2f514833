"""Editing by instruction: an image and a sentence in, the edited image out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from idiff.checks import check_number
from idiff.errors import BadSampleError
from idiff.predictions import EditTruth, ImagePrediction
from idiff.tasks.base import Task
from idiff.tasks.common.image_targets import given_target, needed_picture, painted_pictures
from idiff.tasks.common.view import (
    ASKED,
    View,
    check_frame,
    check_size,
    needed_words,
    query_of,
    warp_sample,
    whole_view,
)
from idiff.transforms.frames import FrameName, frame_crop, frame_keeping
from idiff.transforms.geometry import seen_slices, unwarp
from idiff.types import Picture, Prediction, Sample, Triplet, Truth
from idiff.utils.images import to_picture, to_tensor
from idiff.utils.masks import decode_mask, mask_size
from idiff.utils.settings import READING
from idiff.utils.strings import normalise_prompt

if TYPE_CHECKING:
    from torchmetrics import MetricCollection


class InstructEditing(Task):
    """Change an image as a sentence says. The sentence and the edited image are given; nothing is painted here.

    Shapes: images (3, H, W) float32 in [-1, 1]. Source: InstructDiffusion, section 3.1, and InstructPix2Pix (Brooks
    et al., CVPR 2023). A sample has `annotation["instruction"]`, one sentence, and a `target` of its image's size. Where
    it has `instructions`, several sentences, training draws one of them; evaluation asks `instruction`. The whole image
    is fitted into the model's square with its shape kept, or seen as `frame` says; training then sees a random square that holds
    all that the edit changes. Nothing is mirrored, since sentences say left and right, and no color is changed, since they name
    colors. Where a part of the image is not seen, answer and truth are the part that is. A `rejected` image, an answer that
    people found worse, is seen through the same frame as the target.

    The metrics tell the edited region from the rest: `annotation["region"]`, COCO's run-length encoding, where it is
    given; otherwise the pixels where a channel of the target differs from the source by more than `threshold`.

    Args:
        size: side of the model's image in pixels; with `frame: native64` the longer side in evaluation.
        threshold: 0 to 254, in gray levels of 255; above the traces of JPEG.
        keep: pixels that the model hardly changed are not edited: where the painted image differs from the rendered source
            by less than this many gray levels of 255 (root mean square over 3 x 3 pixels), the source is kept. 0 keeps nothing.
        frame: how an image that is not square is seen, see `idiff.transforms.frames.FrameName`; None: `letterbox`.

    Raises:
        ConfigError: an argument that cannot be used.
    """

    kind = "editing"
    unit = "picture"
    headline = "psnr_inside"
    headline_range = 50.0
    clip_metrics = ("clip_sim", "clip_dir", "aesthetic")

    def __init__(
        self,
        size: int = 64,
        threshold: int = 20,
        keep: Annotated[float, READING] = 0.0,
        frame: FrameName | None = None,
    ) -> None:
        for name, levels in {"threshold": threshold, "keep": keep}.items():
            check_number(name, levels, least=0, most=254)
        self.size, self.frame = check_size(size), check_frame(frame)
        self.one_size = frame != "native64"
        self.threshold, self.keep = threshold, keep

    def encode(self, sample: Sample, item: int, rng: np.random.Generator, *, train: bool) -> Triplet:
        """Both images whole, and the given sentence; of several, training draws one. See `Task.encode`."""
        target, instruction = given_target(sample), _sentence(sample, rng if train else None)
        region, group = self._region(sample, target), f"{sample.key}/{item}"
        shown = self._shown(region, rng if train else None)
        view = shown(sample.image)
        part = seen_slices(view.matrix, view.size, (sample.image.shape[0], sample.image.shape[1]))
        return Triplet(
            key=f"{group}/0",
            source=view.source,
            instruction=instruction,
            target=shown(target).source,
            rejected=None if sample.rejected is None else shown(_worse(sample)).source,
            query=query_of(sample, {}, task=self.kind, group=group, matrix=view.matrix),
            annotation={
                "key": sample.key,
                "source": sample.image[part],
                "target": target[part],
                "region": region[part],
                "captions": [sample.annotation.get(name) for name in ("source_caption", "target_caption")],
            },
        )

    def _shown(self, region: NDArray[np.bool_], rng: np.random.Generator | None) -> Callable[[Picture], View]:
        """How the images of a sample are seen, all alike; in training, with an rng, where they are not seen whole."""
        if rng is None or self.frame in {None, "letterbox"}:
            return partial(whole_view, size=self.size, frame=self.frame)
        original = (region.shape[0], region.shape[1])
        matrix = (
            frame_keeping(region, self.size, rng) if region.any() else frame_crop(original, self.size, rng, zoom=False)
        )
        return partial(warp_sample, matrix=matrix, size=self.size)

    def queries(self, sample: Sample, item: int) -> list[Triplet]:
        """One: the given sentence. See `Task.queries`."""
        return [self.encode(sample, item, np.random.default_rng(0), train=False)]

    def asked(self, picture: Picture, text: str) -> Sample:
        """Ask for an edit in a sentence. See `Task.asked`."""
        return Sample(ASKED, picture, {"instruction": needed_words(text)}, target=picture)

    def decode(self, edited: Tensor, rendered: Tensor, queries: Sequence[dict[str, Any]]) -> Sequence[Prediction]:
        """The painted images; what was hardly changed is kept as it was. See `Task.decode`."""
        if self.keep:
            change = F.avg_pool2d(
                (edited - rendered).square().mean(dim=1, keepdim=True), 3, 1, 1, count_include_pad=False
            )
            edited = torch.where(change.sqrt() < self.keep / 127.5, rendered, edited)
        return painted_pictures(edited, queries)

    def combine(self, predictions: Sequence[Prediction], queries: Sequence[dict[str, Any]]) -> Prediction:
        """The one image at the original's size, as far as it was seen. See `Task.combine`."""
        query, painted = queries[0], needed_picture(predictions[0])
        size = (int(query["size"][0]), int(query["size"][1]))
        rows, columns = seen_slices(query["warp"], (painted.shape[1], painted.shape[2]), size)
        picture = unwarp(painted, query["warp"], size)[:, rows, columns]
        return ImagePrediction(
            query=query | {"seen": _corners(rows, columns)}, score=predictions[0].score, picture=picture
        )

    def truth(self, annotation: dict[str, Any]) -> Truth:
        """The given target, the source, the edited region as `mask`, and the captions of both. See `Task.truth`."""
        source_caption, caption = annotation["captions"]
        return EditTruth(
            key=annotation["key"],
            picture=to_tensor(annotation["target"]),
            source=to_tensor(annotation["source"]),
            mask=torch.from_numpy(np.ascontiguousarray(annotation["region"])),
            caption=caption,
            source_caption=source_caption,
        )

    def metrics(self) -> MetricCollection:
        """`psnr_inside`, `psnr_outside` and `mse_ratio` (lower is better). See `Task.metrics`."""
        from torchmetrics import MetricCollection

        from idiff.metrics import MSERatio, PSNRInside, PSNROutside

        return MetricCollection({"psnr_inside": PSNRInside(), "psnr_outside": PSNROutside(), "mse_ratio": MSERatio()})

    def baseline(self, truths: Iterable[Truth]) -> tuple[str, Callable[[dict[str, Any]], Prediction]] | None:
        """None: no image fits all. See `Task.baseline`."""
        return None

    def render(self, prediction: Prediction, picture: Picture) -> Picture:
        """The edited image; what was not seen is the original. See `Task.render`."""
        answer, seen = to_picture(needed_picture(prediction)), prediction.query.get("seen")
        if seen is None or answer.shape == picture.shape:
            return answer
        drawn = picture.copy()
        drawn[seen[0] : seen[1], seen[2] : seen[3]] = answer
        return drawn

    @classmethod
    def example(cls, rng: np.random.Generator) -> Sample:
        """A square that changes its color. See `Task.example`."""
        names = {"red": (200, 60, 60), "green": (70, 160, 80), "blue": (60, 80, 200), "yellow": (220, 200, 70)}
        one, other = (list(names)[index] for index in rng.permutation(len(names))[:2])
        height, width = (48, 64) if rng.random() < 0.5 else (64, 48)
        ground = rng.integers(90, 166, (height, width, 3)).astype(np.uint8)
        x, y, side = (int(value) for value in rng.integers((4, 4, 14), (20, 20, 24)))
        image, target = (
            cv2.rectangle(ground.copy(), (x, y), (x + side, y + side), names[name], -1) for name in (one, other)
        )
        return Sample(
            key="example",
            image=np.asarray(image, np.uint8),
            annotation={"instruction": f"Make the {one} square {other}."},
            target=np.asarray(target, np.uint8),
        )

    def _region(self, sample: Sample, target: Picture) -> NDArray[np.bool_]:
        """The edited pixels of the original: bool (H, W)."""
        given, shape = sample.annotation.get("region"), sample.image.shape[:2]
        if given is None:
            change = np.abs(target.astype(np.int16) - sample.image.astype(np.int16))
            return np.asarray(change.max(axis=2) > self.threshold)
        field = "annotation.region"
        try:
            if mask_size(given) != shape:
                raise BadSampleError(sample.key, field, f"got {mask_size(given)}, expected {shape} as the image")
            return decode_mask(given)
        except ValueError as error:
            raise BadSampleError(sample.key, field, str(error)) from error


def _corners(rows: slice, columns: slice) -> list[int]:
    """First and end of rows, then of columns, as a query holds them."""
    return [rows.start, rows.stop, columns.start, columns.stop]


def _worse(sample: Sample) -> Picture:
    """The answer that people found worse than the target, of the image's size."""
    picture, expected = sample.rejected, sample.image.shape
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.shape != expected:
        got = f"{picture.dtype} {picture.shape}" if isinstance(picture, np.ndarray) else type(picture).__name__
        raise BadSampleError(sample.key, "rejected", f"got {got}, expected uint8 {expected} as the image")
    return picture


def _sentence(sample: Sample, rng: np.random.Generator | None) -> str:
    """The given instruction, as the tokenizer should see it; with an rng, one of several where there are several."""
    field = "instruction" if rng is None or not sample.annotation.get("instructions") else "instructions"
    given = sample.annotation.get(field)
    if rng is not None and field == "instructions" and isinstance(given, list):
        given = given[int(rng.integers(len(given)))]
    words = normalise_prompt(given) if isinstance(given, str) else ""
    if not words:
        raise BadSampleError(sample.key, f"annotation.{field}", f"got {given!r}, expected a sentence")
    return words
