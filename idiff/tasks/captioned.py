"""Text-to-image: an image and a sentence that describes it, no source image."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from idiff.errors import BadSampleError
from idiff.predictions import ImageTruth
from idiff.tasks.base import Task
from idiff.tasks.common.examples import shapes
from idiff.tasks.common.image_targets import needed_picture, painted_pictures
from idiff.tasks.common.label_map import background
from idiff.tasks.common.marks import marked
from idiff.tasks.common.scene_captions import MOST, caption
from idiff.tasks.common.view import check_share, check_size, matrix_list, warp_sample
from idiff.transforms.frames import frame_whole
from idiff.types import Picture, Prediction, Sample, Triplet, Truth
from idiff.utils import painting
from idiff.utils.images import to_picture
from idiff.utils.seeds import numpy_rng
from idiff.utils.strings import join_words, name_words, normalise_prompt
from idiff.utils.tokens import fits

if TYPE_CHECKING:
    from torchmetrics import MetricCollection

_SIDES = re.compile(r"\b(left|right)", re.IGNORECASE)


class Captioned(Task):
    """Paint an image from words: text-to-image training of the base model.

    The caption is `annotation["captions"]` (one is drawn) or `annotation["caption"]` where the data gives one; else a drawn
    scene is described; else the labels that are seen are named. Images float32 (3, size, size) in [-1, 1].

    Args:
        size: side of the model's image in pixels; the whole image is fitted into it.
        flip: share of training images that are mirrored, where the caption says nothing about places.
        marks: share of training images over which areas of color or discs are painted, and whose caption says so (stage 1 of
            InstructDiffusion, section 3.3), where both fit the text encoder. Evaluation paints none.
        palette: of the marks.
        transparency: share of the image that shows through a marked area.
        radius_share: radius of a disc as a share of the side.

    Raises:
        ConfigError: an argument that cannot be used.
    """

    kind = "captioned"
    unit = "picture"
    headline = "psnr"

    def __init__(
        self,
        size: int = 64,
        flip: float = 0.0,
        marks: float = 0.0,
        palette: painting.PaletteName = "saturated",
        transparency: float = 0.3,
        radius_share: float = 0.0625,
    ) -> None:
        self.size = check_size(size)
        self.flip, self.marks = check_share("flip", flip), check_share("marks", marks)
        self.colors, self.transparency = painting.palette(palette), painting.check_transparency(transparency)
        self.radius = max(1.0, check_share("radius_share", radius_share) * size)

    def encode(self, sample: Sample, item: int, rng: np.random.Generator, *, train: bool) -> Triplet:
        """Fit the image, and describe it. See `Task.encode`."""
        height, width = sample.image.shape[:2]
        text = normalise_prompt(describe(sample, rng))
        mirror = train and rng.random() < self.flip and not _SIDES.search(text)
        view = warp_sample(sample.image, frame_whole((height, width), self.size, mirror=mirror), self.size, rng=rng)
        picture = view.source
        if train and self.marks and rng.random() < self.marks:
            painted, said = marked(
                picture,
                text,
                rng,
                colors=self.colors,
                transparency=self.transparency,
                radius=self.radius,
                seen=view.seen,
            )
            if fits(said):
                picture, text = painted, said
        return Triplet(
            key=f"{sample.key}/{item}",
            source=None,
            instruction=text,
            target=picture,
            query={
                "task": self.kind,
                "key": sample.key,
                "group": f"{sample.key}/{item}",
                "warp": matrix_list(view.matrix),
                "size": [height, width],
            },
            annotation={"key": sample.key, "picture": picture},
        )

    def queries(self, sample: Sample, item: int) -> list[Triplet]:
        """One: the caption that the sample's key draws. See `Task.queries`."""
        return [self.encode(sample, item, numpy_rng(0, "caption", sample.key), train=False)]

    def decode(self, edited: Tensor, rendered: Tensor, queries: Sequence[dict[str, Any]]) -> Sequence[Prediction]:
        """The painted images themselves. See `Task.decode`."""
        return painted_pictures(edited, queries)

    def combine(self, predictions: Sequence[Prediction], queries: Sequence[dict[str, Any]]) -> Prediction:
        """The one image. See `Task.combine`."""
        return predictions[0]

    def truth(self, annotation: dict[str, Any]) -> Truth:
        """The image that was described. See `Task.truth`."""
        return ImageTruth(key=annotation["key"], picture=annotation["picture"])

    def metrics(self) -> MetricCollection:
        """`psnr` against the described image, for following a training: low by nature. See `Task.metrics`."""
        from torchmetrics import MetricCollection

        from idiff.metrics import PSNR

        return MetricCollection({"psnr": PSNR()})

    def baseline(self, truths: Iterable[Truth]) -> tuple[str, Callable[[dict[str, Any]], Prediction]] | None:
        """None. See `Task.baseline`."""
        return None

    def render(self, prediction: Prediction, picture: Picture) -> Picture:
        """The painted image. See `Task.render`."""
        return to_picture(needed_picture(prediction))

    @classmethod
    def example(cls, rng: np.random.Generator) -> Sample:
        """Filled shapes. See `Task.example`."""
        return shapes(rng)


def describe(sample: Sample, rng: np.random.Generator) -> str:
    """A caption of a sample: given, of a drawn scene, or made of the names of its labels.

    Raises:
        BadSampleError: the sample has nothing that a caption could be made of.
    """
    facts = sample.annotation
    given = facts.get("captions") or ([facts["caption"]] if facts.get("caption") else [])
    if given:
        return str(given[int(rng.integers(len(given)))])
    if "scene" in facts:
        return caption(facts["scene"], rng, size=sample.image.shape[0])[0]
    names: list[str] = []
    if sample.label is not None and "classes" in sample.meta:
        classes = sample.meta["classes"]
        present = [int(value) for value in np.unique(sample.label) if value < len(classes)]
        names = [classes[value] for value in present if value != background(classes) and classes[value].strip()]
    names = names or list(
        dict.fromkeys(str(one["category"]) for one in facts.get("instances", []) if one.get("category"))
    )
    if not names:
        raise BadSampleError(sample.key, "captions", "got no caption, no scene, no labels: nothing describes the image")
    chosen = [name_words(names[index]) for index in rng.permutation(len(names))[:MOST].tolist()]
    return f"a picture of {join_words(chosen)}"
