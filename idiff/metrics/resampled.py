"""Average precision from matches that COCO's evaluation made once: of all images, and of resamples of them."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from pycocotools.cocoeval import COCOeval
from torch import Tensor

_AT_ONCE = 2_000_000


def coco_figures(evaluation: COCOeval) -> dict[str, float]:
    """`ap`, `ap50` and `ap75`: means over the categories that have a true object.

    Args:
        evaluation: after `evaluate()`, with one range of areas, one number of results, and a true object.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.accumulate()
    # by threshold, recall and class; -1 for a class without a true object
    precision = evaluation.eval["precision"][:, :, :, 0, 0]
    known = precision[:, :, (precision > -1).all(axis=(0, 1))].mean(axis=(1, 2))
    return {"ap": float(np.mean(known)), "ap50": float(known[0]), "ap75": float(known[5])}


def resampled_precision(evaluation: COCOeval, counts: Mapping[int, NDArray[np.int64]]) -> NDArray[np.float64]:
    """What COCO's evaluation gives for R resamples, each image counted as often as it was drawn.

    It is what pycocotools would find if the images were copied so often, because matching never crosses images.

    Args:
        evaluation: after `evaluate()`, with one range of areas.
        counts: image -> int64 (R,): how often each resample has it.

    Returns:
        float64 (3, R): `ap`, `ap50`, `ap75`, means over the categories that a resample has a true object of; nan where it
        has none.
    """
    resamples, pictures = len(next(iter(counts.values()))), len(evaluation.params.imgIds)
    recalls = torch.from_numpy(evaluation.params.recThrs)
    total, known = np.zeros((3, resamples)), np.zeros(resamples)
    for start in range(0, len(evaluation.evalImgs), pictures):
        found = [one for one in evaluation.evalImgs[start : start + pictures] if one is not None]
        if not found:
            continue
        weights = torch.from_numpy(np.stack([counts[one["image_id"]] for one in found], axis=1)).double()
        objects = [np.count_nonzero(np.equal(one["gtIgnore"], 0)) for one in found]
        positives = weights @ torch.tensor(objects, dtype=torch.float64)
        scores = np.concatenate([one["dtScores"] for one in found])
        order = np.argsort(-scores, kind="mergesort")
        place = torch.from_numpy(np.repeat(np.arange(len(found)), [len(one["dtScores"]) for one in found])[order])
        hit = torch.from_numpy(np.concatenate([one["dtMatches"] for one in found], axis=1)[:, order] > 0)
        ignored = np.concatenate([one["dtIgnore"] for one in found], axis=1)[:, order].astype(bool)
        valid = torch.from_numpy(~ignored)
        part = max(1, _AT_ONCE // max(1, len(order)))
        for first in range(0, resamples, part):
            rows = slice(first, first + part)
            precision = _precision(weights[rows][:, place], hit, valid, positives[rows], recalls)
            there = (positives[rows] > 0).numpy()
            figures = np.stack([precision.mean(dim=0).numpy(), precision[0].numpy(), precision[5].numpy()])
            total[:, rows] += np.where(there, figures, 0.0)
            known[rows] += there
    return np.divide(total, known, out=np.full_like(total, np.nan), where=known > 0)


def _precision(drawn: Tensor, hit: Tensor, valid: Tensor, positives: Tensor, recalls: Tensor) -> Tensor:
    """Precision averaged over recalls, as COCO's evaluation interpolates it.

    Args:
        drawn: float64 (R, D): how often each result was drawn, results by falling score.
        hit: bool (T, D): matched to a true object at each threshold.
        valid: bool (T, D): not ignored.
        positives: float64 (R,): true objects drawn.
        recalls: float64 (N,).

    Returns:
        float64 (T, R); without meaning where nothing is positive.
    """
    found = []
    wanted = recalls.expand(len(drawn), -1).contiguous()
    for hits, counted in zip(hit, valid, strict=True):
        right, wrong = (drawn * (hits & counted)).cumsum(1), (drawn * (~hits & counted)).cumsum(1)
        best = (right / (right + wrong + np.spacing(1))).flip(1).cummax(1).values.flip(1)
        reached = torch.searchsorted(right / positives.clamp(min=1)[:, None], wanted)
        padded = torch.cat([best, best.new_zeros(len(best), 1)], dim=1)
        found.append(padded.gather(1, reached).mean(dim=1))
    return torch.stack(found)
