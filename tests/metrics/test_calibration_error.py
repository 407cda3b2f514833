import pytest
import torch
from torchmetrics.classification import BinaryCalibrationError

from idiff.errors import ConfigError
from idiff.metrics.calibration_error import CalibrationError, calibration_counts, calibration_error, error_from_counts
from idiff.predictions import MaskPrediction, MaskTruth
from idiff.types import Truth


def drawn(seed, count=4000, *, bias=0.0):
    rng = torch.Generator().manual_seed(seed)
    scores = torch.rand(count, generator=rng)
    truth = torch.rand(count, generator=rng) < (scores + bias).clamp(0, 1)
    return scores, truth


@pytest.mark.parametrize("bins", [1, 10, 15])
@pytest.mark.parametrize("bias", [-0.3, 0.0, 0.2])
def test_equals_the_error_of_torchmetrics(bins, bias):
    scores, truth = drawn(0, bias=bias)
    theirs = BinaryCalibrationError(n_bins=bins)(scores, truth.int())
    assert float(calibration_error(scores, truth, bins=bins)) == pytest.approx(float(theirs), abs=1e-5)


def test_by_hand():
    scores = torch.tensor([[0.1, 0.1], [0.9, 1.0]])
    truth = torch.tensor([[1, 0], [1, 1]])
    assert float(calibration_error(scores, truth, bins=2)) == pytest.approx((0.8 + 0.1) / 4)


def test_honest_scores_have_a_small_error_and_shifted_ones_the_shift():
    assert float(calibration_error(*drawn(1, 40_000))) < 0.01
    scores, truth = drawn(2, 40_000)
    assert float(calibration_error(scores.square(), truth)) == pytest.approx(1 / 6, abs=0.01)  # mean of s - s^2


def test_counts_of_batches_add_up():
    scores, truth = drawn(3)
    parts = calibration_counts(scores[:1500], truth[:1500]) + calibration_counts(scores[1500:], truth[1500:])
    assert torch.allclose(parts, calibration_counts(scores, truth))
    assert float(error_from_counts(parts)) == pytest.approx(float(calibration_error(scores, truth)))


def test_the_metric_counts_items_with_score_maps():
    scores, truth = drawn(4, 64)
    maps, masks = scores.view(4, 4, 4), truth.view(4, 4, 4)
    metric = CalibrationError()
    assert metric.compute().isnan()
    for number in range(4):
        metric.update(
            MaskPrediction(query={}, mask=maps[number] > 0.5, scores=maps[number]),
            MaskTruth(key=str(number), mask=masks[number]),
        )
    metric.update(MaskPrediction(query={}, mask=masks[0]), MaskTruth(key="no map", mask=masks[0]))
    assert float(metric.compute()) == pytest.approx(float(calibration_error(scores, truth)))
    metric.reset()
    metric.add(scores, truth)
    assert float(metric.compute()) == pytest.approx(float(calibration_error(scores, truth)))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match="expected one shape"):
        calibration_error(torch.rand(3), torch.zeros(4))
    with pytest.raises(ConfigError, match="at least 1 bin"):
        calibration_error(torch.rand(3), torch.zeros(3), bins=0)
    with pytest.raises(ConfigError, match="CalibrationError got a Truth for 'a', expected a MaskTruth"):
        CalibrationError().update(MaskPrediction(query={}, mask=torch.ones(2, 2) > 0), Truth(key="a"))
