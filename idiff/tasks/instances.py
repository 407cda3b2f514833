"""Instance segmentation as painting: every object of one class in a color of its own; masks are read off the colors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from idiff.errors import BadSampleError
from idiff.predictions import InstancesPrediction, InstancesTruth, expect
from idiff.tasks.common.baselines import median_masks
from idiff.tasks.common.examples import several_shapes
from idiff.tasks.common.objects import Thing, categories_of
from idiff.tasks.common.region_masks import original_scores, tint
from idiff.tasks.common.view import View
from idiff.tasks.objects import ObjectTask
from idiff.types import Labels, Picture, Prediction, Sample, Truth
from idiff.utils import painting
from idiff.utils.masks import check_mask, encode_mask

if TYPE_CHECKING:
    from torchmetrics import MetricCollection


class InstanceSegmentation(ObjectTask):
    """Paint each object of one class in a color of its own; the pixels of one color are one mask, its score their mean confidence.

    Shapes: images (3, H, W) float32 in [-1, 1]; masks (N, H, W). Which object has which color is settled by place, so that there
    is one right answer: the palette's first color is the leftmost object's, the next one the next one's. Where a class has more
    objects than there are colors, the largest are painted; the others count as missed, and `beyond_colors` counts them. Crowds,
    `annotation["crowds"]`, are not painted. Source: Gabeur et al., arXiv 2604.20329.

    Args:
        options: arguments of `ObjectTask`.

    Raises:
        ConfigError: an argument that cannot be used.
    """

    kind, scenes = "instances", "detection"
    headline = "ap"

    def asks(self, view: View, rng: np.random.Generator | None) -> dict[str, Any]:
        """All colors of the palette. See `ObjectTask.asks`."""
        return {"colors": list(self.colors), "rgbs": [list(rgb) for rgb in self.colors.values()]}

    def tint(self, view: View, numbers: Labels, asked: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """The largest objects, by place from left to right. See `ObjectTask.tint`."""
        target, answer = view.source, torch.zeros(len(asked["rgbs"]), *numbers.shape)
        for place, number in enumerate(_from_left(numbers, most=len(answer))):
            mask = torch.from_numpy(numbers == number)
            target, answer[place] = painting.blend(target, mask, asked["rgbs"][place], self.transparency), mask.float()
        return target, answer

    def facts(self, sample: Sample, things: Sequence[Thing]) -> dict[str, Any]:
        """All objects and crowds, and how many have no color. See `ObjectTask.facts`."""
        seen, names = [thing for thing in things if thing.box is not None], categories_of(sample)
        masks, classes = [encode_mask(thing.mask) for thing in seen], [thing.category for thing in seen]
        crowds, beyond = [False] * len(seen), sum(self._beyond(classes.count(index)) for index in set(classes))
        for number, crowd in enumerate(sample.annotation.get("crowds", ())):
            try:
                check_mask(crowd["mask"])
                masks, classes, crowds = (
                    [*masks, crowd["mask"]], [*classes, names.index(crowd["category"])], [*crowds, True]
                )  # fmt: skip
            except (ValueError, KeyError) as error:
                raise BadSampleError(sample.key, f"annotation.crowds[{number}]", f"cannot be used: {error}") from None
        return {"masks": masks, "classes": classes, "crowds": crowds, "beyond": beyond}

    def decode(self, edited: Tensor, rendered: Tensor, queries: Sequence[dict[str, Any]]) -> Sequence[Prediction]:
        """How sure each pixel is of each color, in the model's pixels. See `Task.decode`."""
        scores = self._scores(edited, rendered, queries)
        return [self._found([(query, maps)], query, least=1.0) for query, maps in zip(queries, scores, strict=True)]

    def combine(self, predictions: Sequence[Prediction], queries: Sequence[dict[str, Any]]) -> Prediction:
        """The masks of all colors of all classes, in the pixels of the original image. See `Task.combine`."""
        query = queries[0]
        maps = torch.split(original_scores(predictions, query).cpu(), len(query["rgbs"]))
        scale = abs(float(np.linalg.det(np.asarray(query["warp"], dtype=np.float64)[:, :2])))
        found = self._found(list(zip(queries, maps, strict=True)), query, least=self.min_pixels / scale)
        found.scores = None
        return found

    def truth(self, annotation: dict[str, Any]) -> Truth:
        """The annotated objects. See `Task.truth`."""
        return InstancesTruth(**annotation)

    def truth_of_prompt(self, annotation: dict[str, Any], query: dict[str, Any]) -> Truth:
        """Objects of the asked class alone. See `Task.truth_of_prompt`."""
        kept = [place for place, index in enumerate(annotation["classes"]) if index == query["class"]]
        chosen = {name: [annotation[name][place] for place in kept] for name in ("masks", "classes", "crowds")}
        return InstancesTruth(key=annotation["key"], **chosen, beyond=self._beyond(len(kept) - sum(chosen["crowds"])))

    def metrics(self) -> MetricCollection:
        """`ap ap50 ap75` of masks, `count_error` and `beyond_colors`. See `Task.metrics`."""
        from torchmetrics import MetricCollection

        from idiff.metrics.instances import BeyondColors, CountError, MaskAP

        return MetricCollection({"ap": MaskAP(), "count_error": CountError(), "beyond_colors": BeyondColors()})

    def baseline(self, truths: Iterable[Truth]) -> tuple[str, Callable[[dict[str, Any]], Prediction]] | None:
        """The median box of each class in every image, surer for frequent classes. See `Task.baseline`."""
        return median_masks(truths)

    def render(self, prediction: Prediction, picture: Picture) -> Picture:
        """Tint each object in its own color, the surest in front. See `Task.render`."""
        found, drawn = expect(prediction, InstancesPrediction, by=self.kind).masks.cpu().numpy(), picture
        for place in reversed(range(len(found))):
            drawn = tint(drawn, found[place], painting.class_color(place))
        return drawn.copy()

    def stored(self, prediction: Prediction) -> dict[str, NDArray[Any]]:
        """`_instances.png`: 16 bits, 1 and up in the order of the results, 0 for none. See `Task.stored`."""
        masks = expect(prediction, InstancesPrediction, by=self.kind).masks.cpu().numpy()
        numbers = np.zeros(masks.shape[1:], np.uint16)
        for place in reversed(range(len(masks))):
            numbers[masks[place]] = place + 1
        return {"_instances.png": numbers}

    @classmethod
    def example(cls, rng: np.random.Generator) -> Sample:
        """Discs and squares, some of one kind. See `Task.example`."""
        return several_shapes(rng)

    def _beyond(self, count: int) -> int:
        """How many of so many objects of a class get no color."""
        return max(count - len(self.colors), 0)

    def _found(
        self, rows: Sequence[tuple[dict[str, Any], Tensor]], query: dict[str, Any], *, least: float
    ) -> InstancesPrediction:
        """One object a color that is painted somewhere, the surest first; specks are left out.

        Args:
            rows: queries with their maps (K, H, W).
            query: that of the answer.
            least: pixels of the smallest connected part that counts.
        """
        found = []
        for asked, maps in rows:
            for one in maps:
                mask = _without_specks(one > 0.5, least)
                score = float(one[mask].mean()) if bool(mask.any()) else 0.0
                if score > 0 and score >= self.min_score:
                    found.append((score, int(asked["class"]), mask))
        found.sort(key=lambda row: -row[0])
        shape = rows[0][1].shape[1:]
        sure = torch.tensor([row[0] for row in found], dtype=torch.float32)
        return InstancesPrediction(
            query=query,
            score=float(sure.mean()) if found else 0.0,
            masks=torch.stack([row[2] for row in found]) if found else torch.zeros(0, *shape, dtype=torch.bool),
            sure=sure,
            classes=torch.tensor([row[1] for row in found], dtype=torch.int64),
            scores=rows[0][1],
        )


def _from_left(numbers: Labels, *, most: int) -> list[int]:
    """The numbers of the largest objects, by their middle from left to right."""
    sizes = np.bincount(numbers.ravel(), minlength=2)
    columns = np.bincount(numbers.ravel(), np.tile(np.arange(numbers.shape[1]), numbers.shape[0]), minlength=2)
    there = np.flatnonzero(sizes[1:]) + 1
    kept = sorted(there.tolist(), key=lambda number: -sizes[number])[:most]
    return sorted(kept, key=lambda number: (columns[number] / sizes[number], number))


def _without_specks(mask: Tensor, least: float) -> Tensor:
    """A mask without its connected parts (4 neighbours) of fewer than `least` pixels."""
    if least <= 1 or not bool(mask.any()):
        return mask
    _, parts, stats, _ = cv2.connectedComponentsWithStats(mask.cpu().numpy().astype(np.uint8), connectivity=4)
    large = stats[:, cv2.CC_STAT_AREA] >= least
    large[0] = False
    return torch.from_numpy(large[parts])
