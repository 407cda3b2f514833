"""How well boxes are found: box average precision (`ap ap50 ap75`) by pycocotools (COCO detection evaluation).

True boxes are (M, 5): x, y, w, h, class index; found ones (N, 6): x, y, w, h, score, class index. x and y are the left
and upper edge as COCO counts them, w and h the size, all in pixels.
"""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor

from idiff.errors import ConfigError
from idiff.metrics.base import ItemMetric
from idiff.metrics.resampled import coco_figures, resampled_precision
from idiff.predictions import BoxPrediction, BoxTruth, expect
from idiff.types import Prediction, Truth
from idiff.utils.seeds import hash64

MOST = 100
"""Found boxes of one image and class that count, the surest first (COCO)."""

_COLUMNS = 8
"""Image, 1 for found and 0 for true, class, x, y, w, h, score."""


def box_average_precision(true: Tensor, found: Tensor) -> dict[str, float]:
    """Average precision of boxes over images and classes, by pycocotools.

    Args:
        true: float64 (M, 6): image number, class index, x, y, w, h.
        found: float64 (N, 7): the same, and the score. Boxes of one image, class and score are matched in their order.

    Returns:
        `ap` (mean over IoU thresholds 0.50:0.05:0.95 and over the classes that have a true box), `ap50`, `ap75`, in [0, 1];
        nan where there is no true box.
    """
    if not len(true):
        return {"ap": math.nan, "ap50": math.nan, "ap75": math.nan}
    if not len(found):
        return {"ap": 0.0, "ap50": 0.0, "ap75": 0.0}
    return coco_figures(_evaluated(true, found))


def _evaluated(true: Tensor, found: Tensor) -> COCOeval:
    """Match found and true boxes by image and class; see `box_average_precision`."""
    annotations = [
        {
            "id": number,
            "image_id": int(picture),
            "category_id": int(category),
            "bbox": box,
            "area": box[2] * box[3],
            "iscrowd": 0,
        }
        for number, (picture, category, *box) in enumerate(true.tolist(), start=1)
    ]
    results = [
        {"image_id": int(picture), "category_id": int(category), "bbox": box, "score": score}
        for picture, category, *box, score in found.tolist()
    ]
    pictures = sorted({entry["image_id"] for entry in (*annotations, *results)})
    classes = sorted({entry["category_id"] for entry in (*annotations, *results)})
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [{"id": picture} for picture in pictures],
            "categories": [{"id": category} for category in classes],
            "annotations": annotations,
        }
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0.0, math.inf]], ["all"]
        evaluation.params.maxDets = [MOST]
        evaluation.evaluate()
    return evaluation


class BoxAP(ItemMetric):
    """`ap ap50 ap75`: average precision of boxes over all images (COCO detection evaluation).

    Reads `prediction.boxes` and `truth.boxes`. Each image is one item; images are told apart by `truth.key`. A box in a
    class that an image does not show is a false positive of that class, and counts where the set shows the class somewhere.
    The result hangs on no order of the updates and on no number of ranks.
    """

    boxes_rows: list[Tensor] | Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("boxes_rows", [], dist_reduce_fx="cat")

    def update(self, prediction: Prediction, truth: Truth) -> None:
        """Count one image. Errors as in `ItemMetric.update`, and where boxes are not finite or have another shape."""
        predicted, told = self.typed(prediction, truth, (BoxPrediction, BoxTruth))
        picture = float(hash64(truth.key) >> 10)  # the 53 bits that a float64 holds exactly
        rows = []
        for boxes, columns, what in ((told.boxes, 5, "true"), (predicted.boxes, 6, "found")):
            if boxes.ndim != 2 or boxes.shape[1] != columns or not bool(boxes.isfinite().all()):
                raise ConfigError(
                    f"the {what} boxes of '{truth.key}' have shape {tuple(boxes.shape)} or are not finite; "
                    f"expected finite numbers, (N, {columns}). Correct the task's combine() or truth()."
                )
            values = boxes.detach().cpu().double()
            head = torch.tensor([[picture, columns - 5.0]], dtype=torch.float64).expand(len(values), -1)
            score = values[:, 4:5] if columns == 6 else torch.zeros(len(values), 1, dtype=torch.float64)
            rows.append(torch.cat([head, values[:, -1:], values[:, :4], score], dim=1))
        assert isinstance(self.boxes_rows, list)
        self.boxes_rows.append(torch.cat(rows).to(self.device))

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """Gather boxes from all ranks. A rank without any sends no rows, but of the right type."""
        if isinstance(self.boxes_rows, list) and not self.boxes_rows:
            self.boxes_rows = [torch.zeros(0, _COLUMNS, dtype=torch.float64, device=self.device)]
        super().sync(*args, **kwargs)

    def compute(self) -> dict[str, Tensor]:
        """`ap`, `ap50`, `ap75`: each float32 () in [0, 1]; nan where no image has a true box."""
        values = box_average_precision(*self._boxes())
        return {name: torch.tensor(value, device=self.device) for name, value in values.items()}

    def resampled(self, keys: Sequence[str], counts: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """`compute` of R resamples of the images. All ranks must call it together.

        Args:
            keys: every `truth.key` that was counted, each once.
            counts: int64 (R, N), how often each resample has each key.

        Returns:
            `ap`, `ap50`, `ap75`: each float64 (R,); nan where no true box was drawn.
        """
        drawn = dict(zip((hash64(key) >> 10 for key in keys), counts.T, strict=True))
        with self.sync_context():
            true, found = self._boxes()
        if len(true) and len(found):
            figures = resampled_precision(_evaluated(true, found), drawn)
        else:
            boxes = sum((drawn[int(picture)] for picture in true[:, 0].tolist()), np.zeros(len(counts)))
            figures = np.tile(np.where(boxes > 0, 0.0, math.nan), (3, 1))
        return dict(zip(("ap", "ap50", "ap75"), figures, strict=True))

    def _boxes(self) -> tuple[Tensor, Tensor]:
        """True and found boxes as `box_average_precision` takes them, in an order that depends on nothing but them."""
        parts = [self.boxes_rows] if isinstance(self.boxes_rows, Tensor) else self.boxes_rows
        rows = torch.cat([*parts, torch.zeros(0, _COLUMNS, dtype=torch.float64, device=self.device)]).cpu()
        ordered = torch.tensor(sorted(rows.tolist()), dtype=torch.float64).reshape(-1, _COLUMNS)
        true, found = ordered[ordered[:, 1] == 0], ordered[ordered[:, 1] == 1]
        return true[:, [0, 2, 3, 4, 5, 6]], found[:, [0, 2, 3, 4, 5, 6, 7]]


def coco_detection_results(prediction: Prediction, *, image_id: int) -> list[dict[str, Any]]:
    """The boxes of one image as entries of COCO's detection results format, ready for pycocotools' `COCO.loadRes`.

    Args:
        prediction: a combined `BoxPrediction`. Its query may hold `category_ids`, the set's own id of each class; without them
            the id is the class index.
        image_id: the image's id in the ground-truth file.

    Returns:
        for each box `image_id`, `category_id`, `bbox` [x, y, w, h] in pixels and `score`.

    Raises:
        ConfigError: the prediction is of another kind.
    """
    found = expect(prediction, BoxPrediction, by="COCO detection results", key=f"image {image_id}")
    ids = prediction.query.get("category_ids")
    return [
        {
            "image_id": image_id,
            "category_id": int(index) if ids is None else int(ids[int(index)]),
            "bbox": [round(value, 3) for value in box],
            "score": score,
        }
        for *box, score, index in found.boxes.tolist()
    ]
