from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
import torch
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy

from idiff.errors import ConfigError
from idiff.metrics import BalancedAccuracy, Top1Accuracy, balanced_accuracy, top1
from idiff.predictions import ClassPrediction, ClassTruth


def collection():
    return MetricCollection({"accuracy": Top1Accuracy(), "balanced": BalancedAccuracy()})


def drawn(seed, count=60, classes=5):
    """Scores of five classes, class 0 eight times as frequent as another; every class occurs."""
    rng = np.random.default_rng(seed)
    truths = [*range(classes), *rng.choice([0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4], count - classes).tolist()]
    scores = rng.random((count, classes)) + 0.5 * np.eye(classes)[truths] * rng.random((count, 1))
    return truths, scores / 2


def fed(truths, scores):
    metrics = collection()
    for number, (truth, row) in enumerate(zip(truths, scores, strict=True)):
        answer = ClassPrediction(query={}, class_scores=dict(enumerate(row.tolist())))
        metrics.update(answer, ClassTruth(key=str(number), category=truth))
    return metrics


@pytest.mark.parametrize("seed", range(4))
def test_both_are_those_of_torchmetrics(seed):
    truths, scores = drawn(seed)
    got = fed(truths, scores).compute()
    for name, average in (("accuracy", "micro"), ("balanced", "macro")):
        reference = MulticlassAccuracy(5, average=average)
        reference.update(torch.tensor(scores), torch.tensor(truths))
        assert float(got[name]) == pytest.approx(float(reference.compute()), abs=1e-6)
    assert 0.1 < got["balanced"] < 0.95 and got["balanced"] != got["accuracy"]


def test_balanced_weighs_classes_alike():
    assert float(balanced_accuracy(torch.tensor([9, 0, 0]), torch.tensor([9, 1, 0]))) == 0.5
    assert math.isnan(float(balanced_accuracy(torch.tensor([0, 0]), torch.tensor([0, 0]))))


@pytest.mark.parametrize(
    ("scores", "answer"),
    [({}, None), ({3: 0.0, 4: 0.0}, None), ({3: 0.2, 1: 0.4}, 1), ({5: 0.3, 2: 0.3}, 2), ({0: 1e-6}, 0)],
)
def test_the_highest_score_above_zero_is_the_answer(scores, answer):
    assert top1(scores) == answer


def test_no_answer_is_a_wrong_one():
    metrics = collection()
    metrics.update(ClassPrediction(query={}, class_scores={0: 0.0}), ClassTruth(key="a", category=0))
    metrics.update(ClassPrediction(query={}, class_scores={0: 0.9}), ClassTruth(key="b", category=0))
    assert {name: float(value) for name, value in metrics.compute().items()} == {"accuracy": 0.5, "balanced": 0.5}


def test_nothing_is_nan_and_states_merge_and_pickle():
    assert all(math.isnan(float(value)) for value in collection().compute().values())
    truths, scores = drawn(0)
    whole = fed(truths, scores)
    for name, metric in whole.items():
        left, right = (fed(truths[part], scores[part])[name] for part in (slice(0, 7), slice(7, None)))
        left.merge_state(right)
        assert left.compute() == metric.compute() == pickle.loads(pickle.dumps(metric)).compute()


@pytest.mark.parametrize(
    ("scores", "category", "sentence"),
    [
        ({0: 1.0}, None, "class of 'k' is unknown: BalancedAccuracy needs it"),
        ({0: 1.0}, 1000, "class index 1000, expected 0 to 999"),
    ],
)
def test_what_cannot_be_scored_is_refused(scores, category, sentence):
    with pytest.raises(ConfigError, match=sentence):
        BalancedAccuracy().update(
            ClassPrediction(query={}, class_scores=scores), ClassTruth(key="k", category=category)
        )
