"""Referring segmentation as painting: whatever a phrase names is tinted in one color."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from idiff.checks import check_number
from idiff.predictions import MaskPrediction, MaskTruth, expect
from idiff.tasks.common.baselines import everything
from idiff.tasks.common.examples import named_shapes
from idiff.tasks.common.objects import named_objects
from idiff.tasks.common.referring_phrases import referred, speaks_of_place
from idiff.tasks.common.region_masks import mask_prediction, original_scores, sure_regions, tint
from idiff.tasks.common.view import ASKED, View, needed_words, warp_sample, whole_view
from idiff.tasks.instructions import Template
from idiff.tasks.region import RegionTask
from idiff.transforms.frames import frame_keeping, frame_whole
from idiff.types import Picture, Prediction, Sample, Triplet, Truth
from idiff.utils import painting
from idiff.utils.settings import READING

if TYPE_CHECKING:
    from torchmetrics import MetricCollection


class ReferringSegmentation(RegionTask):
    """Paint the objects that a phrase names in one color; read the mask back from the color.

    A phrase may name one object, several, or none; for none the target is the source. Shapes: images (3, H, W) float32
    in [-1, 1]; mask (H, W) bool, the union of the named objects. Source: InstructDiffusion, section 3.1; RefCOCO (Yu et
    al., ECCV 2016); phrases with several targets or none: gRefCOCO (GRES, Liu et al., CVPR 2023).

    Phrases speak of left and right, of the largest and of the one beside another, so that a mirror or a crop would make
    them false. Evaluation sees the whole image, padded to a square. Training crops images that are not square along
    their longer side, but only where the words stay true: the phrase names something, speaks of no place, order or
    comparison (`idiff.tasks.common.referring_phrases`), and all that it names lies whole inside of the crop. Nothing is
    ever mirrored. Nor may an augmentation change colors, which phrases name, or places: there is none unless it is asked for.

    Args:
        min_pixels: how many of the model's pixels must be painted for anything to count as named; fewer are specks, and
            the answer is empty. Measured at 64 px behind a small autoencoder: errors of up to 20 dB leave at most 4 specks
            in an image that was not painted; the smallest target of the drawn scenes has 58 pixels.
        options: arguments of `RegionTask`; `crop` as above.

    Raises:
        ConfigError: an argument that cannot be used.
    """

    kind = "referring"
    unit = "phrases"
    headline = "ciou"

    default_augment = ()
    default_decoder_args: ClassVar[dict[str, Any]] = {"smooth": 3}

    def __init__(self, *, min_pixels: Annotated[int, READING] = 8, **options: Any) -> None:
        super().__init__(**options)
        check_number("min_pixels", min_pixels, least=1)
        self.min_pixels = min_pixels

    def encode(self, sample: Sample, item: int, rng: np.random.Generator, *, train: bool) -> Triplet:
        """Draw a color and a sentence, and paint. See `Task.encode`."""
        text, mask = referred(sample, item)
        view = self._look(sample, mask, text, rng=rng if train else None)
        color = self._color(rng)
        return self._paint(sample, item, view, text, mask, color=color, template=self.bank.draw(rng))

    def queries(self, sample: Sample, item: int) -> list[Triplet]:
        """One prompt, in the palette's color that differs most from the image. See `Task.queries`."""
        text, mask = referred(sample, item)
        view = self._look(sample, mask, text, rng=None)
        color = painting.contrasting(view.source[:, view.seen], self.colors)
        template = self.bank.asking(f"{sample.key}/{item}")
        return [self._paint(sample, item, view, text, mask, color=color, template=template)]

    def asked(self, picture: Picture, text: str) -> Sample:
        """Ask for what a phrase names. See `Task.asked`."""
        return Sample(ASKED, picture, {"phrases": [{"text": needed_words(text), "instances": []}], "instances": []})

    def decode(self, edited: Tensor, rendered: Tensor, queries: Sequence[dict[str, Any]]) -> Sequence[Prediction]:
        """One mask a query, in the model's pixels; empty where it is a speck or unsure. See `Task.decode`."""
        scores = self._scores(edited, rendered, queries)[:, 0]
        scores = sure_regions(scores, pixels=self.min_pixels, score=self.min_score)
        return [mask_prediction(query, score) for query, score in zip(queries, scores, strict=True)]

    def combine(self, predictions: Sequence[Prediction], queries: Sequence[dict[str, Any]]) -> Prediction:
        """The mask in the pixels of the original image; where a group has several prompts, their mean. See `Task`."""
        return mask_prediction(queries[0], original_scores(predictions, queries[0]).mean(dim=0))

    def truth(self, annotation: dict[str, Any]) -> Truth:
        """The union of the named objects in the original image. See `Task.truth`."""
        mask = torch.from_numpy(np.ascontiguousarray(annotation["mask"]))
        return MaskTruth(key=annotation["key"], mask=mask, held_out=annotation["held_out"])

    def metrics(self) -> MetricCollection:
        """`ciou`, `giou`, `n_acc` of phrases without a target, `ciou_held_out` of new ones, `ece` of pixels. See `Task.metrics`."""
        from torchmetrics import MetricCollection

        from idiff.metrics import CalibrationError, CumulativeIoU, HeldOutIoU, MeanMaskIoU, NoTargetAccuracy

        overlaps = {"ciou": CumulativeIoU(), "giou": MeanMaskIoU(), "ciou_held_out": HeldOutIoU()}
        return MetricCollection({**overlaps, "n_acc": NoTargetAccuracy(), "ece": CalibrationError()})

    def baseline(self, truths: Iterable[Truth]) -> tuple[str, Callable[[dict[str, Any]], Prediction]] | None:
        """The whole image. The other constant, nothing at all, is what the untouched source says. See `Task.baseline`."""
        return everything(truths)

    def render(self, prediction: Prediction, picture: Picture) -> Picture:
        """Tint the mask in the asked color. See `Task.render`."""
        found = expect(prediction, MaskPrediction, by=self.kind)
        return tint(picture, found.mask.cpu().numpy(), prediction.query["rgb"])

    @classmethod
    def example(cls, rng: np.random.Generator) -> Sample:
        """Filled shapes on a noisy background: one is named, then all, then one that is not there. See `Task.example`."""
        return named_shapes(rng)

    def _look(self, sample: Sample, mask: NDArray[np.bool_], text: str, *, rng: np.random.Generator | None) -> View:
        """The whole image; where an rng is given, augmented, and cropped where the words allow it."""
        if rng is not None and self.crop and mask.any() and not speaks_of_place(text):
            frame = frame_keeping(mask, self.size, rng)
        elif rng is not None:
            frame = frame_whole((mask.shape[0], mask.shape[1]), self.size)
        else:
            return whole_view(sample.image, self.size, frame=self.frame, labels=mask.astype(np.uint8))
        return warp_sample(sample.image, frame, self.size, augment=self.augment, rng=rng, labels=mask.astype(np.uint8))

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
        group, entry = f"{sample.key}/{item}", sample.annotation["phrases"][item]
        asked = {"phrase": text, "color": color, "rgb": list(self.colors[color])}
        return Triplet(
            key=group,
            source=view.source,
            instruction=template.fill([{"object": text, "color": color}]),
            target=painting.blend(view.source, named, self.colors[color], self.transparency),
            query=self._query(sample, asked, group=group, view=view, entry=entry),
            annotation={
                "key": sample.key,
                "mask": mask,
                "held_out": bool(entry.get("held_out", False)),
            },
            answer=named.float()[None],
            parts=named_objects(sample, view.matrix, view.size),
        )
