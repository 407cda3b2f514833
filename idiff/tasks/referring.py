"""Referring segmentation as painting: whatever a phrase names is tinted in one colour."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import MetricCollection

from idiff.checks import check_number
from idiff.errors import BadSampleError
from idiff.metrics import CalibrationError, CumulativeIoU, HeldOutIoU, MeanMaskIoU, NoTargetAccuracy
from idiff.tasks.base import Task
from idiff.tasks.common.baselines import everything
from idiff.tasks.common.examples import named_shapes
from idiff.tasks.common.masks import mask_prediction, original_scores, region_scores, sure_regions, tint
from idiff.tasks.common.origin import origin
from idiff.tasks.common.phrases import speaks_of_place
from idiff.tasks.common.view import (
    ASKED,
    View,
    build_augment,
    build_decoder,
    check_picture,
    check_share,
    check_size,
    look,
    matrix_list,
    needed_words,
)
from idiff.tasks.instructions import InstructionBank, Phrasings, Template
from idiff.transforms.frames import frame_keeping, frame_whole
from idiff.transforms.geometry import Matrix, warp_labels
from idiff.types import Parts, Picture, Prediction, Sample, Triplet, Truth
from idiff.utils import painting
from idiff.utils.masks import decode_mask, mask_size
from idiff.utils.settings import READING
from idiff.utils.text import name_words, normalise_prompt


class ReferringSegmentation(Task):
    """Paint the objects that a phrase names in one colour; read the mask back from the colour.

    A phrase may name one object, several, or none; for none the target is the source. Shapes: pictures (3, H, W) float32
    in [-1, 1]; mask (H, W) bool, the union of the named objects. Source: InstructDiffusion, section 3.1; RefCOCO (Yu et
    al., ECCV 2016); phrases with several targets or none: gRefCOCO (GRES, Liu et al., CVPR 2023).

    Phrases speak of left and right, of the largest and of the one beside another, so that a mirror or a crop would make
    them false. Evaluation sees the whole picture, padded to a square. Training crops pictures that are not square along
    their longer side, but only where the words stay true: the phrase names something, speaks of no place, order or
    comparison (`idiff.tasks.common.phrases`), and all that it names lies whole inside of the crop. Nothing is ever mirrored.
    Nor may an augmentation change colours, which phrases name, or places: there is none unless it is asked for.

    Args:
        size: side of the model's picture in pixels.
        palette: `saturated` or `paper`, see `idiff.utils.painting.PALETTES`.
        transparency: the share of the picture that shows through the mask, in [0, 1); the paper's is 0.5.
        crop: train on random crops, as above; otherwise on the whole picture.
        min_pixels: how many of the model's pixels must be painted for anything to count as named; fewer are specks, and
            the answer is empty. Measured at 64 px behind a small autoencoder: errors of up to 20 dB leave at most 4 specks
            in a picture that was not painted; the smallest target of the drawn scenes has 58 pixels.
        min_score: a region whose mean score is lower is no answer, either; 0 takes all.
        instructions: file of templates with the slots {object} and {color}; None: the built-in ones.
        augment: albumentations transforms of training, each `{name: ..., arguments}`; None or []: none.
        decoder: name of the decoder.
        decoder_args: its arguments; None: the task's default.
        phrasings: `seen` or `unseen`: which sentences evaluation asks with, see `InstructionBank`.

    Raises:
        ConfigError: an argument that cannot be used.
    """

    kind = "referring"
    unit = "phrases"
    headline = "ciou"

    def __init__(
        self,
        size: int = 64,
        palette: painting.PaletteName = "saturated",
        transparency: float = 0.3,
        min_pixels: Annotated[int, READING] = 8,
        min_score: Annotated[float, READING] = 0.0,
        instructions: str | None = None,
        augment: list[dict[str, Any]] | None = None,
        decoder: Annotated[str, READING] = "color",
        decoder_args: Annotated[dict[str, Any] | None, READING] = None,
        phrasings: Annotated[Phrasings, READING] = "seen",
        crop: bool = True,
    ) -> None:
        check_number("min_pixels", min_pixels, least=1)
        self.size = check_size(size)
        self.colors = painting.palette(palette)
        self.transparency = painting.check_transparency(transparency)
        self.min_pixels, self.crop = min_pixels, crop
        self.min_score = check_share("min_score", min_score)
        self.bank = InstructionBank(self.kind, instructions, phrasings=phrasings)
        self.augment = build_augment(augment or [])
        self.decoder = build_decoder(decoder, decoder_args, default={"smooth": 3})

    def encode(self, sample: Sample, item: int, rng: np.random.Generator, *, train: bool) -> Triplet:
        """Draw a colour and a sentence, and paint. See `Task.encode`."""
        text, mask = referred(sample, item)
        view = self._look(sample, mask, text, rng=rng if train else None)
        color = list(self.colors)[int(rng.integers(len(self.colors)))]
        return self._paint(sample, item, view, text, mask, color=color, template=self.bank.draw(rng))

    def queries(self, sample: Sample, item: int) -> list[Triplet]:
        """One prompt, in the palette's colour that differs most from the picture. See `Task.queries`."""
        text, mask = referred(sample, item)
        view = self._look(sample, mask, text, rng=None)
        color = painting.contrasting(view.source[:, view.seen], self.colors)
        template = self.bank.asking(f"{sample.key}/{item}")
        return [self._paint(sample, item, view, text, mask, color=color, template=template)]

    def asked(self, picture: Picture, text: str) -> Sample:
        """Ask for what a phrase names. See `Task.asked`."""
        return Sample(ASKED, picture, {"phrases": [{"text": needed_words(text), "instances": []}], "instances": []})

    def decode(self, edited: Tensor, rendered: Tensor, queries: Sequence[dict[str, Any]]) -> list[Prediction]:
        """One mask a query, in the model's pixels; empty where it is a speck or unsure. See `Task.decode`."""
        scores = region_scores(edited, rendered, queries, decoder=self.decoder, transparency=self.transparency)
        scores = sure_regions(scores, pixels=self.min_pixels, score=self.min_score)
        return [mask_prediction(query, score) for query, score in zip(queries, scores, strict=True)]

    def combine(self, predictions: Sequence[Prediction], queries: Sequence[dict[str, Any]]) -> Prediction:
        """The mask in the pixels of the original picture; where a group has several prompts, their mean. See `Task`."""
        return mask_prediction(queries[0], original_scores(predictions, queries[0]).mean(dim=0))

    def truth(self, annotation: dict[str, Any]) -> Truth:
        """The union of the named objects in the original picture. See `Task.truth`."""
        mask = torch.from_numpy(np.ascontiguousarray(annotation["mask"]))
        return Truth(key=annotation["key"], mask=mask, held_out=annotation["held_out"])

    def metrics(self) -> MetricCollection:
        """`ciou`, `giou`, `n_acc` of phrases without a target, `ciou_held_out` of new ones, `ece` of pixels. See `Task.metrics`."""
        overlaps = {"ciou": CumulativeIoU(), "giou": MeanMaskIoU(), "ciou_held_out": HeldOutIoU()}
        return MetricCollection({**overlaps, "n_acc": NoTargetAccuracy(), "ece": CalibrationError()})

    def guess(self, truths: Iterable[Truth]) -> tuple[str, Callable[[dict[str, Any]], Prediction]] | None:
        """The whole picture. The other constant, nothing at all, is what the untouched source says. See `Task.guess`."""
        return everything(truths)

    def render(self, prediction: Prediction, picture: Picture) -> Picture:
        """Tint the mask in the asked colour. See `Task.render`."""
        if prediction.mask is None:
            return picture.copy()
        return tint(picture, prediction.mask.cpu().numpy(), prediction.query["rgb"])

    @classmethod
    def example(cls, rng: np.random.Generator) -> Sample:
        """Filled shapes on a noisy background: one is named, then all, then one that is not there. See `Task.example`."""
        return named_shapes(rng)

    def _look(self, sample: Sample, mask: NDArray[np.bool_], text: str, *, rng: np.random.Generator | None) -> View:
        """The whole picture; where an rng is given, augmented, and cropped where the words allow it."""
        if rng is not None and self.crop and mask.any() and not speaks_of_place(text):
            frame = frame_keeping(mask, self.size, rng)
        else:
            frame = frame_whole((mask.shape[0], mask.shape[1]), self.size)
        return look(sample.image, frame, self.size, augment=self.augment, rng=rng, labels=mask.astype(np.uint8))

    def _paint(
        self,
        sample: Sample,
        item: int,
        view: View,
        text: str,
        mask: NDArray[np.bool_],
        *,
        color: str,
        template: Template,
    ) -> Triplet:
        """Paint what is named into a view, and write down what was asked and what is true."""
        assert view.labels is not None
        named = torch.from_numpy(view.labels == 1)
        group = f"{sample.key}/{item}"
        return Triplet(
            key=group,
            source=view.source,
            instruction=template.fill([{"object": text, "color": color}]),
            target=painting.blend(view.source, named, self.colors[color], self.transparency),
            query={
                "task": self.kind,
                "key": sample.key,
                "group": group,
                "phrase": text,
                "color": color,
                "rgb": list(self.colors[color]),
                "transparency": self.transparency,
                "warp": matrix_list(view.matrix),
                "size": [int(side) for side in mask.shape],
                "origin": origin(sample, sample.annotation["phrases"][item]),
            },
            annotation={
                "key": sample.key,
                "mask": mask,
                "held_out": bool(sample.annotation["phrases"][item].get("held_out", False)),
            },
            answer=named.float()[None],
            parts=named_objects(sample, view.matrix, self.size),
        )


def referred(sample: Sample, item: int) -> tuple[str, NDArray[np.bool_]]:
    """Read one entry of `annotation["phrases"]`: its words, and the union of the objects it names.

    Objects may overlap: a pixel in several of them belongs to the union (adding masks up would leave holes).

    Returns:
        the phrase, and bool (H, W) in the picture's pixels, empty where nothing is named.

    Raises:
        BadSampleError: the picture, the phrase, or a named object's mask is missing or does not fit.
    """
    check_picture(sample)
    phrases, instances = (sample.annotation.get(name) for name in ("phrases", "instances"))
    if not isinstance(phrases, Sequence) or not 0 <= item < len(phrases):
        count = len(phrases) if isinstance(phrases, Sequence) else "no"
        raise BadSampleError(sample.key, "annotation.phrases", f"got {count} phrases, expected number {item}")
    where, phrase = f"annotation.phrases[{item}]", phrases[item]
    text = normalise_prompt(str(phrase.get("text", "")))
    if not text:
        raise BadSampleError(sample.key, f"{where}.text", f"got {phrase.get('text')!r}, expected words")
    named = phrase.get("instances")
    known = len(instances) if isinstance(instances, Sequence) else 0
    if not isinstance(named, Sequence) or not all(type(index) is int and 0 <= index < known for index in named):
        reason = f"got {named!r}, expected a list of indices of the {known} instances; an empty one where nothing fits"
        raise BadSampleError(sample.key, f"{where}.instances", reason)
    shape = (sample.image.shape[0], sample.image.shape[1])
    union = np.zeros(shape, np.bool_)
    for index in named:
        field, mask = f"annotation.instances[{index}].mask", sample.annotation["instances"][index].get("mask")
        try:
            if mask_size(mask) != shape:
                raise ValueError(f"the size is {list(mask_size(mask))}, expected {list(shape)} as the picture")
            union |= decode_mask(mask)
        except ValueError as error:
            raise BadSampleError(sample.key, field, str(error)) from None
    return text, union


def named_objects(sample: Sample, matrix: Matrix, size: int) -> Parts | None:
    """What all of a picture shows, where the set says that its instances are all there is.

    Args:
        sample: `meta["categories"]` lists the names of all kinds of instance; each instance has `category` and `mask`, those in
            front come last. Without that list nobody knows what lies beside the instances.
        matrix: from the original to the model's pixels.
        size: side of the model's picture.
    """
    categories = sample.meta.get("categories")
    if not categories:
        return None
    labels = np.zeros(sample.image.shape[:2], np.uint8)
    for instance in sample.annotation["instances"]:
        labels[decode_mask(instance["mask"])] = 1 + categories.index(instance["category"])
    return Parts(torch.from_numpy(warp_labels(labels, matrix, size)), ["background", *map(name_words, categories)])
