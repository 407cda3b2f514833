"""Object detection as painting: all objects of one class a prompt, tinted in one color; boxes are read off the regions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import cv2
import numpy as np
import torch
from torch import Tensor

from idiff.checks import check_number
from idiff.predictions import BoxPrediction, BoxTruth, expect
from idiff.tasks.common.baselines import median_boxes
from idiff.tasks.common.examples import object_shapes
from idiff.tasks.common.objects import (
    Thing,
    absent_category,
    apart,
    categories_of,
    known_parts,
    numbered,
    regions,
    things_of,
)
from idiff.tasks.common.region_masks import mask_prediction, original_scores
from idiff.tasks.common.skeleton import image_id
from idiff.tasks.common.view import ASKED, View, needed_words, warp_sample, whole_view
from idiff.tasks.instructions import Template
from idiff.tasks.region import ClassRegionTask
from idiff.transforms.frames import frame_keeping, frame_whole
from idiff.transforms.geometry import chain, warp_labels
from idiff.types import VOID, Labels, Picture, Prediction, Sample, Triplet, Truth
from idiff.utils import painting
from idiff.utils.settings import READING
from idiff.utils.strings import name_words

if TYPE_CHECKING:
    from torchmetrics import MetricCollection


class ObjectDetection(ClassRegionTask):
    """Paint all objects of one class in one color; each connected painted region is one object, its extremes are the box.

    Shapes: images (3, H, W) float32 in [-1, 1]; boxes (N, 6) float32: x, y, w, h, score, class index. Source:
    InstructDiffusion, section 4.5 (detection is one of the tasks that its model was never trained on). Objects are the sample's
    `annotation["instances"]` with `mask` or `box` (then the filled box is painted); classes are `meta["categories"]`. Where
    objects of one class touch, a gap is left between them, so that they stay apart.

    Args:
        gap: pixels of the model's image left unpainted between objects that touch; 0: none. Measured behind a small autoencoder
            at 64 px, 241 drawn objects: the painted truth scores 0.747, 0.753, 0.787 ap with 0, 1, 2 pixels.
        min_pixels: regions with fewer of the model's pixels are specks, not objects.
        options: arguments of `ClassRegionTask` and `RegionTask`; `crop` keeps the asked objects whole.

    Raises:
        ConfigError: an argument that cannot be used.
    """

    kind = "detection"
    headline = "ap"

    def __init__(self, *, gap: int = 2, min_pixels: Annotated[int, READING] = 8, **options: Any) -> None:
        super().__init__(**options)
        check_number("min_pixels", min_pixels, least=1)
        check_number("gap", gap, least=0, most=self.size // 8, whole=True)
        self.gap, self.min_pixels = gap, min_pixels

    def encode(self, sample: Sample, item: int, rng: np.random.Generator, *, train: bool) -> Triplet:
        """Draw a class and a color, and paint. See `Task.encode`."""
        things, names = things_of(sample), categories_of(sample)
        present = sorted({thing.category for thing in things})
        absent = [index for index in range(len(names)) if index not in present]
        pool = (absent if rng.random() < self.negatives else present) or present or absent
        chosen = pool[int(rng.integers(len(pool)))]
        numbers = numbered(things, chosen, sample.image.shape)
        view = (
            self._view(sample, numbers, rng)
            if train
            else whole_view(sample.image, self.size, frame=self.frame, labels=numbers)
        )
        color = self._color(rng)
        return self._paint(
            sample, f"{sample.key}/{item}", view, things, chosen, color=color, template=self.bank.draw(rng)
        )

    def queries(self, sample: Sample, item: int) -> list[Triplet]:
        """One prompt a class, all in the palette's color that differs most from the image. See `Task.queries`."""
        things, total = things_of(sample), len(categories_of(sample))
        ask = self._asks(total)
        present = {thing.category for thing in things}
        wanted = set(range(total)) if ask == "all" else {*present, absent_category(sample.key, total, present)} - {None}
        plain, group = whole_view(sample.image, self.size, frame=self.frame), f"{sample.key}/{item}"
        color, template = painting.contrasting(plain.source[:, plain.seen], self.colors), self.bank.asking(group)
        triplets = []
        for index in sorted(index for index in wanted if index is not None):
            numbers = numbered(things, index, sample.image.shape)
            view = replace(plain, labels=warp_labels(numbers, plain.matrix, plain.size))
            triplets.append(self._paint(sample, group, view, things, index, color=color, template=template))
            triplets[-1].query["asked"] = ask
        return triplets

    def _view(self, sample: Sample, numbers: Labels, rng: np.random.Generator) -> View:
        """A training view: objects of the class stay whole where crops are drawn."""
        frame = frame_whole((numbers.shape[0], numbers.shape[1]), self.size)
        if self.crop and numbers.any():
            frame = frame_keeping(numbers > 0, self.size, rng)
        if rng.random() < self.flip:
            frame = chain(frame, np.array([[-1.0, 0.0, self.size - 1.0], [0.0, 1.0, 0.0]]))
        return warp_sample(sample.image, frame, self.size, augment=self.augment, rng=rng, labels=numbers)

    def asked(self, picture: Picture, text: str) -> Sample:
        """Ask for all objects of one class by its name. See `Task.asked`."""
        return Sample(ASKED, picture, {"instances": []}, meta={"categories": [needed_words(text)]})

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

    @classmethod
    def example(cls, rng: np.random.Generator) -> Sample:
        """Filled shapes on a noisy background. See `Task.example`."""
        return object_shapes(rng)

    def _paint(
        self,
        sample: Sample,
        group: str,
        view: View,
        things: Sequence[Thing],
        index: int,
        *,
        color: str,
        template: Template,
    ) -> Triplet:
        """Paint one class into a view, and write down what was asked and what is true."""
        assert view.labels is not None
        mask = torch.from_numpy(apart(np.where(view.labels == VOID, 0, view.labels).astype(np.uint8), self.gap))
        names = categories_of(sample)
        name = name_words(names[index])
        asked: dict[str, Any] = {
            "class": index,
            "name": name,
            "classes": len(names),
            "image_id": image_id(sample),
            "color": color,
            "rgb": list(self.colors[color]),
        }
        if "category_ids" in sample.meta:
            asked["category_ids"] = list(sample.meta["category_ids"])
        return Triplet(
            key=f"{group}/{index}",
            source=view.source,
            instruction=template.fill([{"object": name, "color": color}]),
            target=painting.blend(view.source, mask, self.colors[color], self.transparency),
            query=self._query(sample, asked, group=group, view=view),
            annotation={
                "key": sample.key,
                "boxes": [[*thing.box, float(thing.category)] for thing in things if thing.box is not None],
            },
            answer=mask.float()[None],
            parts=known_parts(sample, view.matrix, view.size),
        )
