"""Semantic segmentation as painting: one class a prompt, tinted in one color; or several, each in its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from idiff.checks import check_number
from idiff.predictions import LabelMapPrediction, LabelMapTruth, expect
from idiff.tasks.common.baselines import largest_class
from idiff.tasks.common.examples import shapes
from idiff.tasks.common.label_map import absent_class, askable, background, labels_and_classes, labels_in, own_values
from idiff.tasks.common.legend import (
    Wording,
    Wordings,
    asked_classes,
    class_predictions,
    contrasting_colors,
    draw_classes,
)
from idiff.tasks.common.prompts import Write, fitting, prompts
from idiff.tasks.common.region_masks import original_scores, sure_regions, tint
from idiff.tasks.common.view import ASKED, View, needed_words, whole_view
from idiff.tasks.instructions import InstructionBank
from idiff.tasks.region import ClassRegionTask
from idiff.types import VOID, Parts, Picture, Prediction, Sample, Triplet, Truth, void_of
from idiff.utils import painting
from idiff.utils.settings import READING
from idiff.utils.strings import name_words

if TYPE_CHECKING:
    from torchmetrics import MetricCollection


class SemanticSegmentation(ClassRegionTask):
    """Paint all pixels of one class in one color, or of several classes in one color each; read masks back from the colors.

    Shapes: images (3, H, W) float32 in [-1, 1]; label map (H, W) uint8, 255 = void, or for more than 255 classes uint16,
    65535 = void. Source: InstructDiffusion, section 3.1. A class named `background` is never asked for and counts in `miou`.

    Args:
        min_pixels: how many of the model's pixels a class must cover to be drawn in training.
        classes_per_prompt: most classes of one prompt, 1 to the number of colors. Training then draws 1 to as many, evaluation
            spreads all asked classes over as few prompts as hold them. A prompt of one class is worded as always.
        legend: file of templates with {legend}, a bar, and a clause with {object} and {color}, for prompts of several classes;
            None: the built-in ones.
        flip_test: evaluation asks about the mirrored image, too, and takes the mean, see `idiff.tasks.common.flip_test`.
        options: arguments of `ClassRegionTask` and `RegionTask`.

    Raises:
        ConfigError: an argument that cannot be used.
    """

    kind = "segmentation"
    headline, headline_of_one_prompt = "miou", "mciou"

    default_decoder_args: ClassVar[dict[str, Any]] = {"smooth": 3}

    def __init__(
        self,
        *,
        min_pixels: int = 16,
        classes_per_prompt: int = 1,
        legend: str | None = None,
        flip_test: Annotated[bool, READING] = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.flip_test = flip_test
        check_number("min_pixels", min_pixels, least=1)
        self.min_pixels = min_pixels
        self.most = self._check_colors("classes_per_prompt", classes_per_prompt, least=1)
        several = InstructionBank("legend", legend, phrasings=self.phrasings) if self.most > 1 else None
        self.wordings = Wordings(self.bank, several)

    def encode(self, sample: Sample, item: int, rng: np.random.Generator, *, train: bool) -> Triplet:
        """Draw classes and colors, and paint. See `Task.encode`."""
        labels, classes = labels_and_classes(sample)
        view = self._look(sample, rng, train=train, labels=labels)
        assert view.labels is not None
        present = labels_in(labels)
        chosen = draw_classes(
            askable(classes), present, view.labels, rng,
            most=self.most, negatives=self.negatives, min_pixels=self.min_pixels,
        )  # fmt: skip
        colors = [self._color(rng)]
        wording = self.wordings.draw(rng)
        if len(chosen) > 1:
            colors += rng.permutation([color for color in self.colors if color not in colors]).tolist()
            chosen = fitting(chosen, _writer(classes, colors, wording), key=sample.key, field="meta.classes")
        truth = {"key": sample.key, "labels": labels, "absent": absent_class(sample.key, present, classes)}
        return self._paint(sample, f"{sample.key}/{item}", view, chosen, colors=colors, wording=wording, truth=truth)

    def queries(self, sample: Sample, item: int) -> list[Triplet]:
        """One prompt a class, or one for several, in the colors that differ most from the image. See `Task.queries`."""
        labels, classes = labels_and_classes(sample)
        views = [
            whole_view(sample.image, self.size, frame=self.frame, labels=labels, mirror=mirror)
            for mirror in (False, True)[: 1 + self.flip_test]
        ]
        view, asked = views[0], askable(classes)
        present = labels_in(labels)
        ask, absent = self._asks(len(asked)), absent_class(sample.key, present, classes)
        if ask == "present":
            wanted = {*present, absent}
            asked = [index for index in asked if index in wanted]
        colors = contrasting_colors(view.source[:, view.seen], self.colors, self.most)
        truth, group = {"key": sample.key, "labels": labels, "absent": absent}, f"{sample.key}/{item}"
        wording, parts = self.wordings.asking(group), [[index] for index in asked]
        if self.most > 1:
            write = _writer(classes, colors, wording)
            parts = prompts(asked, self.most, write, key=sample.key, field="meta.classes")
        triplets = [
            self._paint(sample, group, view, some, colors=colors, wording=wording, truth=truth)
            for view in views
            for some in parts
        ]
        for triplet in triplets[len(parts) :]:
            triplet.key += "/mirrored"
        for triplet in triplets:
            triplet.query |= {"asked": ask, "split": len(parts) - math.ceil(len(asked) / self.most)}
        return triplets

    def asked(self, picture: Picture, text: str) -> Sample:
        """Ask for one class by its name. See `Task.asked`."""
        empty = np.zeros(picture.shape[:2], np.uint8)
        return Sample(ASKED, picture, {}, meta={"classes": ["background", needed_words(text)]}, label=empty)

    def decode(self, edited: Tensor, rendered: Tensor, queries: Sequence[dict[str, Any]]) -> Sequence[Prediction]:
        """One mask an asked class, in the model's pixels. See `Task.decode`."""
        scores = self._scores(edited, rendered, queries)
        scores = sure_regions(scores.flatten(0, 1), score=self.min_score).view_as(scores)
        return [class_predictions(query, maps) for query, maps in zip(queries, scores, strict=True)]

    def combine(self, predictions: Sequence[Prediction], queries: Sequence[dict[str, Any]]) -> Prediction:
        """Merge classes by score into one label map, and keep each class's own mask. See `Task.combine`."""
        query = queries[0]
        count = len(queries) // 2 if self.flip_test else len(queries)
        scores = original_scores(predictions, query, flip_test=self.flip_test)
        indices = [index for other in queries[:count] for index in asked_classes(other)]
        best, which = scores.max(dim=0)
        labels = torch.tensor(indices, device=scores.device)[which]
        if query["background"] is not None:
            labels = torch.where(best > 0.5, labels, int(query["background"]))
        return LabelMapPrediction(
            query=query,
            score=float(best.mean()),
            labels=labels.to(torch.uint8 if int(query["classes"]) <= VOID else torch.uint16),
            masks={index: score > 0.5 for index, score in zip(indices, scores, strict=True)},
        )

    def truth(self, annotation: dict[str, Any]) -> Truth:
        """The label map of the original image and its one absent class. See `Task.truth`."""
        labels = torch.from_numpy(np.ascontiguousarray(annotation["labels"]))
        return LabelMapTruth(key=annotation["key"], labels=labels, absent=annotation["absent"])

    def metrics(self) -> MetricCollection:
        """`miou` over the set, and `mciou`. See `Task.metrics`."""
        from torchmetrics import MetricCollection

        from idiff.metrics import MeanClassIoU, MeanIoU

        return MetricCollection({"miou": MeanIoU(), "mciou": MeanClassIoU()})

    def baseline(self, truths: Iterable[Truth]) -> tuple[str, Callable[[dict[str, Any]], Prediction]] | None:
        """The class with the most pixels, everywhere. See `Task.baseline`."""
        return largest_class(truths)

    def render(self, prediction: Prediction, picture: Picture) -> Picture:
        """Tint each class in its own color; a background stays as it is. See `Task.render`."""
        found = expect(prediction, LabelMapPrediction, by=self.kind)
        drawn, labels = picture.copy(), found.labels.cpu().numpy()
        for index in np.unique(labels).tolist():
            if index not in {void_of(labels), prediction.query["background"]}:
                drawn = tint(drawn, labels == index, painting.class_color(index))
        return drawn

    @classmethod
    def example(cls, rng: np.random.Generator) -> Sample:
        """Filled shapes on a noisy background. See `Task.example`."""
        return shapes(rng)

    def _paint(
        self,
        sample: Sample,
        group: str,
        view: View,
        chosen: Sequence[int],
        *,
        colors: Sequence[str],
        wording: Wording,
        truth: dict[str, Any],
    ) -> Triplet:
        """Paint classes into a view, and write down what was asked and what is true."""
        assert view.labels is not None and sample.label is not None
        classes: Sequence[str] = sample.meta["classes"]
        names, used = [name_words(classes[index]) for index in chosen], list(colors[: len(chosen)])
        masks = torch.from_numpy(np.stack([view.labels == index for index in chosen]))
        rgbs, target = [list(self.colors[color]) for color in used], view.source
        for mask, rgb in zip(masks, rgbs, strict=True):
            target = painting.blend(target, mask, rgb, self.transparency)
        asked: dict[str, Any] = {"class": chosen[0], "name": names[0], "color": used[0], "rgb": rgbs[0]}
        if len(chosen) > 1:
            asked = {"indices": list(chosen), "names": names, "colors": used, "rgbs": rgbs}
        asked |= {
            "classes": len(classes),
            "background": background(classes),
            "values": own_values(sample, *chosen),
        }
        return Triplet(
            key=f"{group}/{chosen[0]}",
            source=view.source,
            instruction=wording.write(names, used),
            target=target,
            query=self._query(sample, asked, group=group, view=view),
            annotation=truth,
            answer=masks.float(),
            parts=None if len(classes) > VOID else Parts(torch.from_numpy(view.labels), [*map(name_words, classes)]),
        )


def _writer(classes: Sequence[str], colors: Sequence[str], wording: Wording) -> Write:
    """What writes the instruction for some classes, given by their indices."""
    return lambda some: wording.write([classes[index] for index in some], colors)
