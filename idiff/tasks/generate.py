"""The way back: a label map, an edge map or a depth map as the source image and a caption; the photograph is painted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import torch
from torch import Tensor

from idiff.checks import check_choice
from idiff.errors import BadSampleError
from idiff.predictions import ImagePrediction, ImageTruth
from idiff.tasks.base import Task
from idiff.tasks.captioned import describe
from idiff.tasks.common.dense import DenseTask
from idiff.tasks.common.examples import shapes
from idiff.tasks.common.image_targets import given_target, needed_picture, painted_pictures
from idiff.tasks.common.label_map import background, labels_and_classes
from idiff.tasks.common.view import ASKED, View, check_picture, check_size, needed_words, query_of, whole_view
from idiff.tasks.depth import DepthEstimation
from idiff.tasks.edges import EdgeDetection
from idiff.tasks.instructions import InstructionBank, Phrasings, Template
from idiff.transforms.geometry import unwarp, warp_map
from idiff.types import Picture, Prediction, Sample, Triplet, Truth, void_of
from idiff.utils import painting
from idiff.utils.images import to_picture, to_tensor
from idiff.utils.seeds import numpy_rng
from idiff.utils.settings import READING
from idiff.utils.tokens import fits

if TYPE_CHECKING:
    from torchmetrics import MetricCollection

Shown = Literal["labels", "edges", "depth"]

PAINTERS: Mapping[str, type[DenseTask]] = {"edges": EdgeDetection, "depth": DepthEstimation}
"""The tasks that paint a map, by its name."""

UNKNOWN = "the scene"
"""The caption of a sample that has none, and nothing to make one of."""

GRAY = (128, 128, 128)
"""The color of void pixels of a label map."""


class PictureFromMap(Task):
    """Paint the photograph that belongs to a painted map and a caption; the map is read from the result again.

    Shapes: images (3, H, W) float32 in [-1, 1]. Source: PromptDiffusion (Wang et al., NeurIPS 2023), by words alone. Edges and
    depth are painted as their own tasks do, a label map in `painting.class_color` of each class: background black, void gray. What
    is not known is gray. The caption is that of text-to-image training, see `Captioned`; words that do not fit the text encoder
    are cut off its end. A sample with a `target` has the painted map as its image already. Nothing is mirrored and no color is
    changed, since captions say left and right and name colors. `idiff evaluate` asks the same model for the map of what was
    painted, and scores it against the given map, see `Task.again`.

    Args:
        source: what the source image is a map of: `labels`, `edges` or `depth`.
        size: side of the model's image in pixels; the whole image is fitted into it.
        instructions: file of sentences with {caption}; None: the built-in ones.
        phrasings: `seen` or `unseen`: which sentences evaluation asks with, see `InstructionBank`.

    Raises:
        ConfigError: an argument that cannot be used.
    """

    kind, maps = "generate", ("depth", "edges")
    headline, headline_range = "psnr", 50.0
    clip_metrics = ("clip_sim", "aesthetic")

    def __init__(
        self,
        source: Shown = "labels",
        size: int = 64,
        instructions: str | None = None,
        phrasings: Annotated[Phrasings, READING] = "seen",
    ) -> None:
        check_choice("source", source, Shown)
        self.source, self.size = source, check_size(size)
        self.painter = PAINTERS[source](size=size) if source in PAINTERS else None
        self.again = "segmentation" if self.painter is None else self.painter.kind
        self.bank = InstructionBank(self.kind, instructions, phrasings=phrasings)

    def encode(self, sample: Sample, item: int, rng: np.random.Generator, *, train: bool) -> Triplet:
        """Paint the map of the whole image; the image is the target. See `Task.encode`."""
        return self._pair(sample, item, self.bank.draw(rng), rng)

    def queries(self, sample: Sample, item: int) -> list[Triplet]:
        """One, with the caption that the sample's key draws. See `Task.queries`."""
        template = self.bank.asking(f"{sample.key}/{item}")
        return [self._pair(sample, item, template, numpy_rng(0, "caption", sample.key))]

    def asked(self, picture: Picture, text: str) -> Sample:
        """Ask for the photograph of a painted map, with a caption. See `Task.asked`."""
        return Sample(ASKED, picture, {"caption": needed_words(text)}, target=picture)

    def asked_again(self, picture: Picture, annotation: dict[str, Any]) -> Sample | None:
        """The painted photograph with the given map. See `Task.asked_again`."""
        truth = annotation["truth"]
        return None if truth is None else Sample(annotation["key"], picture, {}, **truth)

    def decode(self, edited: Tensor, rendered: Tensor, queries: Sequence[dict[str, Any]]) -> Sequence[Prediction]:
        """The painted images themselves. See `Task.decode`."""
        return painted_pictures(edited, queries)

    def combine(self, predictions: Sequence[Prediction], queries: Sequence[dict[str, Any]]) -> Prediction:
        """The one image, at the original's size. See `Task.combine`."""
        query, painted = queries[0], needed_picture(predictions[0])
        picture = unwarp(painted, query["warp"], (int(query["size"][0]), int(query["size"][1])))
        return ImagePrediction(query=query, score=predictions[0].score, picture=picture)

    def truth(self, annotation: dict[str, Any]) -> Truth:
        """The photograph and its caption. See `Task.truth`."""
        picture = to_tensor(annotation["picture"])
        return ImageTruth(key=annotation["key"], picture=picture, caption=annotation["caption"])

    def metrics(self) -> MetricCollection:
        """`psnr` against the one photograph, for following a training: low by nature. See `Task.metrics`."""
        from torchmetrics import MetricCollection

        from idiff.metrics import PSNR

        return MetricCollection({"psnr": PSNR()})

    def baseline(self, truths: Iterable[Truth]) -> tuple[str, Callable[[dict[str, Any]], Prediction]] | None:
        """`mean_color`, the same everywhere. See `Task.baseline`."""
        colors = [truth.picture.mean(dim=(1, 2)) for truth in truths if isinstance(truth, ImageTruth)]
        if not colors:
            return None
        mean = torch.stack(colors).mean(dim=0)[:, None, None]
        return "mean_color", lambda query: ImagePrediction(query=query, picture=mean.expand(3, *query["size"]))

    def render(self, prediction: Prediction, picture: Picture) -> Picture:
        """The painted photograph. See `Task.render`."""
        return to_picture(needed_picture(prediction).cpu())

    @classmethod
    def example(cls, rng: np.random.Generator) -> Sample:
        """Filled shapes with their classes, outlines and depths. See `Task.example`."""
        drawn = shapes(rng)
        assert drawn.label is not None
        image, label = drawn.image[:48, :64].copy(), drawn.label[:48, :64].copy()
        edges = np.pad(label[:, 1:] != label[:, :-1], ((0, 0), (0, 1)))
        maps = {"edges": edges, "depth": (6000 - 900 * label.astype(np.int32)).astype(np.uint16)}
        return Sample("example", image, {}, meta=drawn.meta, label=label, maps=maps)

    def _pair(self, sample: Sample, item: int, template: Template, rng: np.random.Generator) -> Triplet:
        """Map and photograph of a sample, and what is asked."""
        check_picture(sample)
        caption, group = _caption(sample, rng), f"{sample.key}/{item}"
        photo = sample.image if sample.target is None else given_target(sample)
        view = whole_view(photo, self.size, frame=None)
        if sample.target is None:
            source, truth = self._painted(sample, view)
        else:
            source, truth = whole_view(sample.image, self.size, frame=None).source, None
        return Triplet(
            key=f"{group}/0",
            source=source,
            instruction=_told(template, caption),
            target=view.source,
            query=query_of(sample, {"map": self.source}, task=self.kind, group=group, matrix=view.matrix),
            annotation={"key": sample.key, "picture": photo, "caption": caption, "truth": truth},
        )

    def _painted(self, sample: Sample, view: View) -> tuple[Tensor, dict[str, Any]]:
        """The map of a sample as a source image, and what `asked_again` needs of it."""
        if self.painter is not None:
            colors, known = self.painter.paint(self.painter.known(sample), view)
            truth: dict[str, Any] = {"maps": {self.source: sample.maps[self.source]}}
            return torch.where(known & view.seen, (2 * colors.float() - 1).clamp(-1, 1), 0.0), truth
        labels, classes = labels_and_classes(sample)
        table = np.array([*map(painting.class_color, range(len(classes))), GRAY], np.uint8)
        ground = background(classes)
        if ground is not None:
            table[ground] = 0
        seen = warp_map(labels, view.matrix, view.size, outside=void_of(labels))
        drawn = to_tensor(table[np.minimum(seen, len(classes))])
        return torch.where(view.seen, drawn, 0.0), {"label": labels, "meta": dict(sample.meta)}


def _caption(sample: Sample, rng: np.random.Generator) -> str:
    """What the photograph shows, in words."""
    try:
        return describe(sample, rng).strip(" .")
    except BadSampleError:
        return UNKNOWN


def _told(template: Template, caption: str) -> str:
    """The instruction, with as much of the caption as fits the text encoder."""
    words = caption.split()
    while not fits(told := template.fill([{"caption": " ".join(words)}])) and len(words) > 1:
        words.pop()
    return told
