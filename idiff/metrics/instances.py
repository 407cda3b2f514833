"""How well objects are found with their pixels: mask average precision by pycocotools, and how far the counts are off."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pycocotools import mask as coco_masks
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor

from idiff.errors import ConfigError
from idiff.metrics.base import ItemMetric, RatioMetric
from idiff.metrics.resampled import coco_figures, resampled_precision
from idiff.predictions import InstancesPrediction, InstancesTruth, expect
from idiff.types import Prediction, Truth
from idiff.utils.masks import encode_mask
from idiff.utils.seeds import hash64

MOST = 100
"""Found objects of one image and class that count, the surest first (COCO)."""

_HEAD = 4


@dataclass(slots=True, frozen=True)
class Matches:
    """The objects of one class in one image, as far as COCO's evaluation needs them.

    Attributes:
        picture: the image's number; 53 bits.
        category: class index.
        scores: float64 (D,) of what was found, falling.
        crowds: float64 (G,): 1 for a true crowd, 0 for a true object.
        ious: float64 (D, G), as pycocotools gives them.
    """

    picture: int
    category: int
    scores: NDArray[np.float64]
    crowds: NDArray[np.float64]
    ious: NDArray[np.float64]

    def packed(self) -> Tensor:
        """All of it in one float64 (4 + D + G + D G,), so that ranks can exchange any number of objects in one tensor."""
        head = [self.picture, self.category, len(self.scores), len(self.crowds)]
        return torch.from_numpy(np.concatenate([head, self.scores, self.crowds, self.ious.ravel()]))


def unpacked(records: Tensor) -> Iterator[Matches]:
    """Read back what `Matches.packed` gave, joined end to end: float64 (sum of lengths,)."""
    values, start = records.cpu().numpy(), 0
    while start < len(values):
        picture, category, found, true = (int(value) for value in values[start : start + _HEAD])
        rest = values[start + _HEAD : start + _HEAD + found + true + found * true]
        scores, crowds, ious = np.split(rest, [found, found + true])
        yield Matches(picture, category, scores, crowds, ious.reshape(found, true))
        start += _HEAD + len(rest)


def matches_of(prediction: InstancesPrediction, truth: InstancesTruth) -> list[Matches]:
    """What an image's found and true objects have in common, by class.

    Raises:
        ConfigError: masks are of another shape than the truth's, or scores are not finite.
    """
    masks, sure = prediction.masks.cpu().numpy(), prediction.sure.detach().cpu().double().numpy()
    if (
        masks.ndim != 3
        or len(masks) != len(sure)
        or len(sure) != len(prediction.classes)
        or not np.isfinite(sure).all()
    ):
        raise ConfigError(
            f"the found objects of '{truth.key}' have masks of shape {masks.shape} and {len(sure)} scores; expected (N, H, W) and "
            "N finite scores. Correct the task's combine()."
        )
    if truth.masks and masks.shape[1:] != tuple(truth.masks[0]["size"]):
        raise ConfigError(
            f"cannot score '{truth.key}': found masks have shape {masks.shape[1:]}, true ones {tuple(truth.masks[0]['size'])}. "
            "combine() and truth() must both answer in the pixels of the original image."
        )
    picture, told = (
        hash64(truth.key) >> 10,
        np.asarray(truth.classes, np.int64),
    )  # the 53 bits that a float64 holds exactly
    known = np.asarray(truth.crowds or [False] * len(told), np.float64)
    classes, rows = prediction.classes.cpu().numpy(), []
    for category in sorted({*told.tolist(), *classes.tolist()}):
        there, mine = np.flatnonzero(told == category), np.flatnonzero(classes == category)
        mine = mine[np.argsort(-sure[mine], kind="stable")]
        ious = np.zeros((len(mine), len(there)))
        if ious.size:
            found, true = [encode_mask(masks[place]) for place in mine], [truth.masks[place] for place in there]
            ious = coco_masks.iou(found, true, known[there].astype(np.uint8).tolist())
        rows.append(Matches(picture, category, sure[mine], known[there], np.asarray(ious, np.float64)))
    return rows


class _Measured(COCOeval):  # type: ignore[misc]
    """COCO's evaluation of objects whose overlaps are known; each class in each image counts as an image of its own."""

    def __init__(self, rows: Sequence[Matches]) -> None:
        self._rows = rows
        box = {"bbox": [0.0, 0.0, 1.0, 1.0]}
        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO()
            truth.dataset = {
                "images": [{"id": number} for number in range(len(rows))],
                "categories": [{"id": category} for category in sorted({row.category for row in rows})],
                "annotations": [
                    {"image_id": number, "category_id": row.category, "iscrowd": int(crowd), "area": 1.0, **box}
                    for number, row in enumerate(rows)
                    for crowd in row.crowds
                ],
            }
            for number, entry in enumerate(truth.dataset["annotations"], start=1):
                entry["id"] = number
            truth.createIndex()
            found = [
                {"image_id": number, "category_id": row.category, "score": float(score), **box}
                for number, row in enumerate(rows)
                for score in row.scores
            ]
            super().__init__(truth, truth.loadRes(found), "bbox")
            self.params.areaRng, self.params.areaRngLbl = [[0.0, math.inf]], ["all"]
            self.params.maxDets = [MOST]
            self.evaluate()

    def computeIoU(self, imgId: int, catId: int) -> NDArray[np.float64] | list[Any]:  # noqa: N802, N803
        """The overlaps of the surest found objects with all true ones."""
        row = self._rows[imgId]
        return row.ious[:MOST] if row.category == catId and row.ious.size else []


class MaskAP(ItemMetric):
    """`ap ap50 ap75`: average precision of masks over images and classes (COCO evaluation, IoU of masks).

    Reads an `InstancesPrediction` and an `InstancesTruth`. An object of a class that an image does not show is wrong, and counts
    where the set shows the class somewhere. The result hangs on no order of the updates and on no number of ranks.
    """

    masks_rows: list[Tensor] | Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("masks_rows", [], dist_reduce_fx="cat")

    def update(self, prediction: Prediction, truth: Truth) -> None:
        """Count one image. Errors as in `ItemMetric.update` and `matches_of`."""
        rows = matches_of(*self.typed(prediction, truth, (InstancesPrediction, InstancesTruth)))
        assert isinstance(self.masks_rows, list)
        self.masks_rows.extend(row.packed().to(self.device) for row in rows)

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """Gather from all ranks. A rank without anything sends nothing, but of the right type."""
        if isinstance(self.masks_rows, list) and not self.masks_rows:
            self.masks_rows = [torch.zeros(0, dtype=torch.float64, device=self.device)]
        super().sync(*args, **kwargs)

    def compute(self) -> dict[str, Tensor]:
        """`ap`, `ap50`, `ap75`: each float32 () in [0, 1]; nan where no image has a true object."""
        rows = self._rows()
        figures = dict.fromkeys(("ap", "ap50", "ap75"), math.nan if not _objects(rows) else 0.0)
        if _objects(rows) and any(len(row.scores) for row in rows):
            figures = coco_figures(_Measured(rows))
        return {name: torch.tensor(value, device=self.device) for name, value in figures.items()}

    def resampled(self, keys: Sequence[str], counts: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """`compute` of R resamples of the images. All ranks must call it together.

        Args:
            keys: every `truth.key` that was counted, each once.
            counts: int64 (R, N), how often each resample has each key.

        Returns:
            `ap`, `ap50`, `ap75`: each float64 (R,); nan where no true object was drawn.
        """
        drawn = dict(zip((hash64(key) >> 10 for key in keys), counts.T, strict=True))
        with self.sync_context():
            rows = self._rows()
        if _objects(rows) and any(len(row.scores) for row in rows):
            of_rows = {number: drawn[row.picture] for number, row in enumerate(rows)}
            figures = resampled_precision(_Measured(rows), of_rows)
        else:
            objects = sum((drawn[row.picture] * _objects([row]) for row in rows), np.zeros(len(counts)))
            figures = np.tile(np.where(objects > 0, 0.0, math.nan), (3, 1))
        return dict(zip(("ap", "ap50", "ap75"), figures, strict=True))

    def _rows(self) -> list[Matches]:
        """All that was counted, in an order that depends on nothing but it."""
        parts = [self.masks_rows] if isinstance(self.masks_rows, Tensor) else self.masks_rows
        rows = [row for part in parts for row in unpacked(part)]
        return sorted(rows, key=lambda row: (row.picture, row.category, row.packed().tolist()))


def _objects(rows: Sequence[Matches]) -> int:
    """True objects that are no crowds."""
    return sum(int((row.crowds == 0).sum()) for row in rows)


class CountError(RatioMetric):
    """How far the number of found objects is off: mean over images and classes with a true or a found object, crowds left out."""

    higher_is_better = False

    def __init__(self) -> None:
        super().__init__("count_error")

    def update(self, prediction: Prediction, truth: Truth) -> None:
        """Count one image. Errors as in `ItemMetric.update`."""
        found, true = self.typed(prediction, truth, (InstancesPrediction, InstancesTruth))
        crowds = true.crowds or [False] * len(true.classes)
        told = [index for index, crowd in zip(true.classes, crowds, strict=True) if not crowd]
        seen = found.classes.tolist()
        for category in {*told, *seen}:
            self.add(abs(seen.count(category) - told.count(category)))


class BeyondColors(RatioMetric):
    """The share of true objects that no answer can find, because their class has more objects than there are colors."""

    higher_is_better = False

    def __init__(self) -> None:
        super().__init__("beyond_colors")

    def update(self, prediction: Prediction, truth: Truth) -> None:
        """Count one image. Errors as in `ItemMetric.update`."""
        _, true = self.typed(prediction, truth, (InstancesPrediction, InstancesTruth))
        self.add(true.beyond, len(true.classes) - sum(true.crowds))


def coco_instance_results(prediction: Prediction, *, image_id: int) -> list[dict[str, Any]]:
    """The objects of one image as entries of COCO's results format, ready for pycocotools' `COCO.loadRes`.

    Args:
        prediction: a combined `InstancesPrediction`. Its query may hold `category_ids`, the set's own id of each class; without
            them the id is the class index.
        image_id: the image's id in the ground-truth file.

    Returns:
        for each object `image_id`, `category_id`, `segmentation` (compressed run-length encoding) and `score`.

    Raises:
        ConfigError: the prediction is of another kind.
    """
    found = expect(prediction, InstancesPrediction, by="COCO instance results", key=f"image {image_id}")
    ids: Sequence[int] | Mapping[int, int] | None = prediction.query.get("category_ids")
    return [
        {
            "image_id": image_id,
            "category_id": int(index) if ids is None else int(ids[int(index)]),
            "segmentation": encode_mask(mask),
            "score": float(score),
        }
        for mask, score, index in zip(found.masks.cpu().numpy(), found.sure, found.classes, strict=True)
    ]
