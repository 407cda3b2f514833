"""Object detection as painting: all objects of one class a prompt, tinted in one color; boxes are read off the regions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from torch import Tensor

from idiff.checks import check_number
from idiff.predictions import BoxPrediction, BoxTruth, expect
from idiff.tasks.common.baselines import median_boxes
from idiff.tasks.common.objects import Thing, apart, regions
from idiff.tasks.common.region_masks import mask_prediction, original_scores
from idiff.tasks.common.view import View
from idiff.tasks.objects import ObjectTask
from idiff.types import Labels, Picture, Prediction, Sample, Truth
from idiff.utils import painting

if TYPE_CHECKING:
    from torchmetrics import MetricCollection


class ObjectDetection(ObjectTask):
    """Paint all objects of one class in one color; each connected painted region is one object, its extremes are the box.

    Shapes: images (3, H, W) float32 in [-1, 1]; boxes (N, 6) float32: x, y, w, h, score, class index. Source:
    InstructDiffusion, section 4.5 (detection is one of the tasks that its model was never trained on). Where objects of one
    class touch, a gap is left between them, so that they stay apart.

    Args:
        gap: pixels of the model's image left unpainted between objects that touch; 0: none. Measured behind a small autoencoder
            at 64 px, 241 drawn objects: the painted truth scores 0.747, 0.753, 0.787 ap with 0, 1, 2 pixels.
        options: arguments of `ObjectTask`.

    Raises:
        ConfigError: an argument that cannot be used.
    """

    kind = "detection"
    headline = "ap"

    def __init__(self, *, gap: int = 2, **options: Any) -> None:
        super().__init__(**options)
        check_number("gap", gap, least=0, most=self.size // 8, whole=True)
        self.gap = gap

    def asks(self, view: View, rng: np.random.Generator | None) -> dict[str, Any]:
        """One color: drawn, or the palette's that differs most from the image. See `ObjectTask.asks`."""
        color = self._color(rng) if rng else painting.contrasting(view.source[:, view.seen], self.colors)
        return {"color": color, "rgb": list(self.colors[color])}

    def tint(self, view: View, numbers: Labels, asked: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """All objects in one color, with gaps. See `ObjectTask.tint`."""
        mask = torch.from_numpy(apart(numbers, self.gap))
        return painting.blend(view.source, mask, asked["rgb"], self.transparency), mask.float()[None]

    def facts(self, sample: Sample, things: Sequence[Thing]) -> dict[str, Any]:
        """The annotated boxes. See `ObjectTask.facts`."""
        return {"boxes": [[*thing.box, float(thing.category)] for thing in things if thing.box is not None]}

    def decode(self, edited: Tensor, rendered: Tensor, queries: Sequence[dict[str, Any]]) -> Sequence[Prediction]:
        """One mask of all its objects a query, in the model's pixels. See `Task.decode`."""
        scores = self._scores(edited, rendered, queries)[:, 0]
        return [mask_prediction(query, score) for query, score in zip(queries, scores, strict=True)]

    def combine(self, predictions: Sequence[Prediction], queries: Sequence[dict[str, Any]]) -> Prediction:
        """The boxes of all connected regions of all classes, in the pixels of the original image. See `Task.combine`."""
        query = queries[0]
        scores = original_scores(predictions, query).cpu().numpy()
        scale = abs(float(np.linalg.det(np.asarray(query["warp"], dtype=np.float64)[:, :2])))
        rows = [
            [*box, score, float(other["class"])]
            for other, found in zip(queries, scores, strict=True)
            for box, score in regions(found, least=self.min_pixels / scale)
            if score >= self.min_score
        ]
        boxes = torch.tensor(sorted(rows, key=lambda row: -row[4]), dtype=torch.float32).reshape(-1, 6)
        return BoxPrediction(query=query, score=float(boxes[:, 4].mean()) if len(boxes) else 0.0, boxes=boxes)

    def truth(self, annotation: dict[str, Any]) -> Truth:
        """The annotated boxes. See `Task.truth`."""
        boxes = torch.tensor(annotation["boxes"], dtype=torch.float32).reshape(-1, 5)
        return BoxTruth(key=annotation["key"], boxes=boxes)

    def metrics(self) -> MetricCollection:
        """`ap ap50 ap75` of boxes. See `Task.metrics`."""
        from torchmetrics import MetricCollection

        from idiff.metrics import BoxAP

        return MetricCollection({"ap": BoxAP()})

    def baseline(self, truths: Iterable[Truth]) -> tuple[str, Callable[[dict[str, Any]], Prediction]] | None:
        """The median box of each class in every image, surer for frequent classes. See `Task.baseline`."""
        return median_boxes(truths)

    def render(self, prediction: Prediction, picture: Picture) -> Picture:
        """Draw each box in the color of its class. See `Task.render`."""
        found = expect(prediction, BoxPrediction, by=self.kind)
        drawn, width = picture.copy(), max(1, round(max(picture.shape[:2]) / 256))
        for x, y, w, h, _, index in found.boxes.tolist():
            low, high = (round(x), round(y)), (round(x + w - 1), round(y + h - 1))
            cv2.rectangle(drawn, low, high, painting.class_color(int(index)), width)
        return drawn
