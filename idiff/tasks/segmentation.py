"""Semantic segmentation as painting: one class a prompt, tinted in one colour."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torchmetrics import MetricCollection

from idiff.errors import ConfigError
from idiff.metrics import MeanClassIoU, MeanIoU
from idiff.tasks.base import Task
from idiff.tasks.classes import absent_class, askable, background, labels_and_classes, own_values
from idiff.tasks.examples import shapes
from idiff.tasks.guesses import largest_class
from idiff.tasks.instructions import InstructionBank, Template
from idiff.tasks.masks import mask_prediction, original_scores, region_scores, sure_regions, tint
from idiff.tasks.origin import origin
from idiff.tasks.parts import (
    ASKED,
    View,
    build_augment,
    build_decoder,
    check_share,
    check_size,
    look,
    matrix_list,
    needed_words,
)
from idiff.transforms.frames import frame_crop, frame_whole
from idiff.types import VOID, Labels, Parts, Picture, Prediction, Sample, Triplet, Truth
from idiff.utils import painting
from idiff.utils.text import name_words

_ALL_CLASSES = 20


class SemanticSegmentation(Task):
    """Paint all pixels of one class in one colour; read the mask back from the colour.

    Shapes: pictures (3, H, W) float32 in [-1, 1]; label map (H, W) uint8, 255 = void. Source: InstructDiffusion,
    section 3.1. A class named `background` is never asked for and counts in `miou`.

    Args:
        size: side of the model's picture in pixels.
        palette: `saturated` or `paper`, see `idiff.utils.painting.PALETTES`.
        transparency: the share of the picture that shows through the mask, in [0, 1); the paper's is 0.5.
        negatives: how often training asks for a class that is nowhere in the picture; the target is the source then.
        min_pixels: how many of the model's pixels a class must cover to be drawn in training.
        flip: how often training mirrors the picture.
        crop: training draws a crop along the long side; otherwise it sees the whole picture.
        ask: which classes evaluation asks for: `all`; `present` (those in the picture and one absent class, chosen by
            key); `auto`, which is `all` for up to 20 classes.
        instructions: file of templates with the slots {object} and {color}; None: the built-in ones.
        augment: albumentations transforms of training, each `{name: ..., arguments}`; None: light colour changes; []:
            none.
        decoder: name of the decoder.
        decoder_args: its arguments; None: the task's default.
        min_score: a class whose region has a lower mean score is not there; 0 takes all.
        phrasings: `seen` or `unseen`: which sentences evaluation asks with, see `InstructionBank`.

    Raises:
        ConfigError: an argument that cannot be used.
    """

    kind = "segmentation"
    unit = "picture"
    headline = "miou"

    def __init__(
        self,
        size: int = 64,
        palette: str = "saturated",
        transparency: float = 0.3,
        negatives: float = 0.2,
        min_pixels: int = 16,
        flip: float = 0.5,
        crop: bool = True,
        ask: Literal["auto", "all", "present"] = "auto",
        instructions: str | None = None,
        augment: list[dict[str, Any]] | None = None,
        decoder: str = "color",
        decoder_args: dict[str, Any] | None = None,
        min_score: float = 0.0,
        phrasings: str = "seen",
    ) -> None:
        if ask not in {"auto", "all", "present"}:
            raise ConfigError(f"{ask=} is unknown: use 'auto', 'all' or 'present'.")
        if min_pixels < 1:
            raise ConfigError(f"{min_pixels=} must be at least 1.")
        self.size = check_size(size)
        self.colors = painting.palette(palette)
        self.transparency = painting.check_transparency(transparency)
        self.negatives = check_share("negatives", negatives)
        self.min_pixels, self.crop, self.ask = min_pixels, crop, ask
        self.flip = check_share("flip", flip)
        self.min_score = check_share("min_score", min_score)
        self.bank = InstructionBank(self.kind, instructions, phrasings=phrasings)
        self.augment = build_augment(augment)
        self.decoder = build_decoder(decoder, decoder_args, default={"smooth": 3})

    def encode(self, sample: Sample, item: int, rng: np.random.Generator, *, train: bool) -> Triplet:
        """Draw a class and a colour, and paint. See `Task.encode`."""
        labels, classes = labels_and_classes(sample)
        original = (labels.shape[0], labels.shape[1])
        mirror = train and rng.random() < self.flip
        frame = (
            frame_crop(original, self.size, rng, mirror=mirror)
            if train and self.crop
            else frame_whole(original, self.size, mirror=mirror)
        )
        view = look(sample.image, frame, self.size, augment=self.augment if train else None, rng=rng, labels=labels)
        chosen = self._choose(askable(classes), labels, view, rng)
        color = list(self.colors)[int(rng.integers(len(self.colors)))]
        absent = absent_class(sample.key, labels, classes)
        template = self.bank.draw(rng)
        return self._paint(sample, f"{sample.key}/{item}", view, chosen, color=color, template=template, absent=absent)

    def queries(self, sample: Sample, item: int) -> list[Triplet]:
        """One prompt a class, all in the palette's colour that differs most from the picture. See `Task.queries`."""
        labels, classes = labels_and_classes(sample)
        frame = frame_whole((labels.shape[0], labels.shape[1]), self.size)
        view = look(sample.image, frame, self.size, labels=labels)
        asked = askable(classes)
        ask = self.ask if self.ask != "auto" else "present" if len(asked) > _ALL_CLASSES else "all"
        if ask == "present":
            wanted = {*np.unique(labels).tolist(), absent_class(sample.key, labels, classes)}
            asked = [index for index in asked if index in wanted]
        color = painting.contrasting(view.source[:, view.seen], self.colors)
        absent, group = absent_class(sample.key, labels, classes), f"{sample.key}/{item}"
        template = self.bank.asking(group)
        triplets = [
            self._paint(sample, group, view, index, color=color, template=template, absent=absent) for index in asked
        ]
        for triplet in triplets:
            triplet.query["asked"] = ask
        return triplets

    def asked(self, picture: Picture, text: str) -> Sample:
        """Ask for one class by its name. See `Task.asked`."""
        empty = np.zeros(picture.shape[:2], np.uint8)
        return Sample(ASKED, picture, {}, meta={"classes": ["background", needed_words(text)]}, label=empty)

    def decode(self, edited: Tensor, rendered: Tensor, queries: Sequence[dict[str, Any]]) -> list[Prediction]:
        """One mask a query, in the model's pixels. See `Task.decode`."""
        scores = region_scores(edited, rendered, queries, decoder=self.decoder, transparency=self.transparency)
        scores = sure_regions(scores, score=self.min_score)
        return [mask_prediction(query, score) for query, score in zip(queries, scores, strict=True)]

    def combine(self, predictions: Sequence[Prediction], queries: Sequence[dict[str, Any]]) -> Prediction:
        """Merge classes by score into one label map, and keep each class's own mask. See `Task.combine`."""
        query = queries[0]
        scores = original_scores(predictions, query)
        indices = [int(other["class"]) for other in queries]
        best, which = scores.max(dim=0)
        labels = torch.tensor(indices, device=scores.device)[which]
        if query["background"] is not None:
            labels = torch.where(best > 0.5, labels, int(query["background"]))
        return Prediction(
            query=query,
            score=float(best.mean()),
            labels=labels.to(torch.uint8),
            masks={index: score > 0.5 for index, score in zip(indices, scores, strict=True)},
        )

    def truth(self, annotation: dict[str, Any]) -> Truth:
        """The label map of the original picture and its one absent class. See `Task.truth`."""
        labels = torch.from_numpy(np.ascontiguousarray(annotation["labels"]))
        return Truth(key=annotation["key"], labels=labels, absent=annotation["absent"])

    def metrics(self) -> MetricCollection:
        """`miou` over the set, and `mciou`. See `Task.metrics`."""
        return MetricCollection({"miou": MeanIoU(), "mciou": MeanClassIoU()})

    def guess(self, truths: Iterable[Truth]) -> tuple[str, Callable[[dict[str, Any]], Prediction]] | None:
        """The class with the most pixels, everywhere. See `Task.guess`."""
        return largest_class(truths)

    def render(self, prediction: Prediction, picture: Picture) -> Picture:
        """Tint each class in its own colour; a background stays as it is. See `Task.render`."""
        drawn = picture.copy()
        if prediction.labels is None:
            return drawn
        labels = prediction.labels.cpu().numpy()
        for index in np.unique(labels).tolist():
            if index not in {VOID, prediction.query["background"]}:
                drawn = tint(drawn, labels == index, painting.class_color(index))
        return drawn

    @classmethod
    def example(cls, rng: np.random.Generator) -> Sample:
        """Filled shapes on a noisy background. See `Task.example`."""
        return shapes(rng)

    def _choose(self, asked: list[int], labels: Labels, view: View, rng: np.random.Generator) -> int:
        """Draw a class to ask for: one that is seen, or now and then one that is nowhere in the whole picture."""
        assert view.labels is not None
        seen = np.bincount(view.labels.ravel(), minlength=VOID + 1)
        anywhere = set(np.unique(labels).tolist())
        present = [index for index in asked if seen[index] >= self.min_pixels]
        absent = [index for index in asked if index not in anywhere]
        negative = rng.random() < self.negatives
        pool = (absent if negative else present) or present or absent or asked
        return pool[int(rng.integers(len(pool)))]

    def _paint(
        self, sample: Sample, group: str, view: View, index: int, *, color: str, template: Template, absent: int | None
    ) -> Triplet:
        """Paint one class into a view, and write down what was asked and what is true."""
        assert view.labels is not None and sample.label is not None
        classes: Sequence[str] = sample.meta["classes"]
        mask = torch.from_numpy(view.labels == index)
        name = name_words(classes[index])
        return Triplet(
            key=f"{group}/{index}",
            source=view.source,
            instruction=template.fill([{"object": name, "color": color}]),
            target=painting.blend(view.source, mask, self.colors[color], self.transparency),
            query={
                "task": self.kind,
                "key": sample.key,
                "group": group,
                "class": index,
                "name": name,
                "classes": len(classes),
                "background": background(classes),
                "color": color,
                "rgb": list(self.colors[color]),
                "transparency": self.transparency,
                "warp": matrix_list(view.matrix),
                "size": list(sample.label.shape),
                "values": own_values(sample, index),
                "origin": origin(sample),
            },
            annotation={"key": sample.key, "labels": sample.label, "absent": absent},
            answer=mask.float()[None],
            parts=Parts(torch.from_numpy(view.labels), [name_words(one) for one in classes]),
        )
