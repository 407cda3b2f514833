from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
import torch
from coco_judge import average_precision

from idiff.errors import ConfigError
from idiff.metrics import BoxAP, coco_detection_results
from idiff.predictions import BoxPrediction, BoxTruth
from idiff.types import Prediction

NAMES = ("ap", "ap50", "ap75")


def items(seed, *, pictures=6, classes=4, noise=0.15, extra=2):
    """Images with 0 to 4 true boxes, each found nearly or missed, and boxes of nothing; class 3 is never true."""
    rng = np.random.default_rng(seed)
    pairs = []
    for number in range(pictures):
        true = [[*rng.uniform(0, 60, 2), *rng.uniform(8, 40, 2), rng.integers(classes - 1)] for _ in range(number % 5)]
        found = [
            [x + noise * w * rng.normal(), y + noise * h * rng.normal(), w * rng.uniform(0.8, 1.2), h, rng.random(), c]
            for x, y, w, h, c in true
            if rng.random() < 0.8
        ]
        found += [[*rng.uniform(0, 60, 2), 12, 12, rng.random(), rng.integers(classes)] for _ in range(extra)]
        boxes = torch.tensor(np.array(found, dtype=np.float32).reshape(-1, 6))
        truth = torch.tensor(np.array(true, dtype=np.float32).reshape(-1, 5))
        pairs.append((BoxPrediction(query={}, boxes=boxes), BoxTruth(key=f"picture{number}", boxes=truth)))
    return pairs


def fed(pairs):
    metric = BoxAP()
    for pair in pairs:
        metric.update(*pair)
    return metric


def values(metric):
    return {name: float(value) for name, value in metric.compute().items()}


def judge(pairs, folder):
    """AP, AP50, AP75 by pycocotools with its own settings, run on JSON files."""
    boxes = [(number, box) for number, (_, truth) in enumerate(pairs) for box in truth.boxes.tolist()]
    truth = {
        "images": [{"id": number} for number in range(len(pairs))],
        "categories": [{"id": index} for index in range(4)],
        "annotations": [
            {"id": i, "image_id": n, "category_id": int(c), "bbox": [x, y, w, h], "area": w * h, "iscrowd": 0}
            for i, (n, (x, y, w, h, c)) in enumerate(boxes, start=1)
        ],
    }
    results = [
        entry for number, (prediction, _) in enumerate(pairs) for entry in coco_detection_results(prediction, image_id=number)
    ]  # fmt: skip
    return average_precision(truth, results, folder, "bbox")


@pytest.mark.parametrize("seed", range(4))
def test_it_is_what_pycocotools_says_of_the_written_files(seed, tmp_path):
    pairs = items(seed, pictures=12)
    got = values(fed(pairs))
    assert got == pytest.approx(judge(pairs, tmp_path), abs=1e-6)
    assert 0.02 < got["ap"] < got["ap50"] < 0.98


def test_the_truth_itself_is_perfect_and_boxes_of_nothing_cost():
    exact = items(0, noise=0.0, extra=0)
    for prediction, truth in exact:
        scores = torch.full((len(truth.boxes), 1), 0.9)
        prediction.boxes = torch.cat([truth.boxes[:, :4], scores, truth.boxes[:, 4:]], dim=1)
    assert values(fed(exact)) == {"ap": 1.0, "ap50": 1.0, "ap75": 1.0}
    other = torch.tensor([[500.0, 500.0, 9.0, 9.0, 1.0, float(exact[1][1].boxes[0, 4])]])
    exact[0][0].boxes = other
    assert 0.8 < values(fed(exact))["ap"] < 0.95


def test_a_class_without_a_true_box_costs_nothing_and_no_answer_is_zero():
    pairs = items(1, extra=0)
    before = values(fed(pairs))
    pairs[2][0].boxes = torch.cat([pairs[2][0].boxes, torch.tensor([[0.0, 0.0, 9.0, 9.0, 1.0, 3.0]])])
    assert values(fed(pairs)) == before
    for prediction, _ in pairs:
        prediction.boxes = torch.zeros(0, 6)
    assert values(fed(pairs)) == {"ap": 0.0, "ap50": 0.0, "ap75": 0.0}


def test_where_nothing_is_to_be_found_the_result_is_nan():
    assert all(math.isnan(value) for value in values(BoxAP()).values())
    empty = (BoxPrediction(query={}, boxes=torch.ones(1, 6)), BoxTruth(key="a", boxes=torch.zeros(0, 5)))
    assert all(math.isnan(value) for value in values(fed([empty])).values())


def test_order_split_and_pickle_change_nothing():
    pairs = items(3, pictures=10)
    for prediction, _ in pairs:
        prediction.boxes[:, 4] = 0.5  # all scores are equal
    expected = values(fed(pairs))
    assert values(fed(pairs[::-1])) == expected
    left, right = fed(pairs[:3]), fed(pairs[3:])
    left.merge_state(right)
    assert values(left) == expected
    metric = pickle.loads(pickle.dumps(fed(pairs)))
    assert values(metric) == expected
    metric.reset()
    assert math.isnan(values(metric)["ap"])


def test_ranks_are_joined_also_where_one_saw_nothing():
    pairs = items(4)
    rows = fed(pairs).boxes_rows

    def gather(tensor, group=None):
        return [tensor, torch.cat(rows)]

    metric = BoxAP()
    metric.sync(dist_sync_fn=gather, distributed_available=lambda: True)
    assert torch.equal(metric.boxes_rows, torch.cat(rows))
    assert metric.boxes_rows.dtype == torch.float64


@pytest.mark.parametrize(
    ("found", "true", "sentence"),
    [
        (torch.zeros(2, 5), torch.zeros(0, 5), r"found boxes of 'k' have shape \(2, 5\)"),
        (torch.full((1, 6), math.nan), torch.zeros(0, 5), "not finite"),
        (torch.zeros(0, 6), torch.zeros(3), r"true boxes of 'k' have shape \(3,\)"),
    ],
)
def test_what_cannot_be_scored_is_refused(found, true, sentence):
    with pytest.raises(ConfigError, match=sentence):
        BoxAP().update(BoxPrediction(query={}, boxes=found), BoxTruth(key="k", boxes=true))


def test_results_have_the_ids_of_the_set():
    boxes = torch.tensor([[1.0, 2.0, 3.0, 4.0, 0.5, 1.0]])
    (entry,) = coco_detection_results(BoxPrediction(query={"category_ids": [7, 90]}, boxes=boxes), image_id=5)
    assert entry == {"image_id": 5, "category_id": 90, "bbox": [1.0, 2.0, 3.0, 4.0], "score": 0.5}
    with pytest.raises(ConfigError, match="got a Prediction for 'image 5', expected a BoxPrediction"):
        coco_detection_results(Prediction(query={}), image_id=5)
