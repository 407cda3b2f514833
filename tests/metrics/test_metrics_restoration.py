from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from idiff.errors import ConfigError
from idiff.metrics.restoration import PSNR, PSNR_LIMIT, SSIM, psnr, ssim
from idiff.predictions import ImagePrediction, ImageTruth
from idiff.types import Prediction


def pictures(seed):
    """A smooth true image and a noisy one that partly leaves [-1, 1], float32 (3, H, W)."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(11, 40, 2)
    coarse = torch.from_numpy(rng.uniform(-1, 1, (1, 3, 4, 4)).astype(np.float32))
    true = torch.nn.functional.interpolate(coarse, size=(int(height), int(width)), mode="bilinear")[0]
    noise = torch.from_numpy(rng.normal(0, rng.uniform(0.01, 0.5), true.shape).astype(np.float32))
    return true + noise, true


def unit(picture):
    return (picture.clamp(-1, 1).double().numpy().transpose(1, 2, 0) + 1) / 2


def reference_ssim(predicted, true):
    window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return structural_similarity(unit(predicted), unit(true), data_range=1.0, channel_axis=2, **window)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_psnr_and_ssim_are_those_of_scikit_image(seed):
    predicted, true = pictures(seed)
    assert float(psnr(predicted, true)) == pytest.approx(
        peak_signal_noise_ratio(unit(true), unit(predicted), data_range=1), abs=1e-3
    )
    assert float(ssim(predicted, true)) == pytest.approx(reference_ssim(predicted, true), abs=1e-4)


def test_metrics_are_means_over_pictures_of_any_size():
    pairs = [pictures(seed) for seed in range(4)]
    for metric, reference in (
        (PSNR(), lambda p, t: peak_signal_noise_ratio(unit(t), unit(p), data_range=1)),
        (SSIM(), reference_ssim),
    ):
        for predicted, true in pairs:
            metric.update(ImagePrediction(query={}, picture=predicted), ImageTruth(key="k", picture=true))
        assert float(metric.compute()) == pytest.approx(np.mean([reference(*pair) for pair in pairs]), abs=1e-3)


def test_equal_pictures_are_finite():
    _, true = pictures(0)
    assert float(psnr(true, true)) == PSNR_LIMIT
    assert float(ssim(true, true)) == pytest.approx(1.0, abs=1e-5)


def test_known_error_in_decibels():
    assert float(psnr(torch.full((3, 11, 11), -0.8), torch.full((3, 11, 11), -1.0))) == pytest.approx(20.0, abs=1e-4)


def test_refusals():
    with pytest.raises(ConfigError, match=r"shape \(3, 20, 20\), the truth \(3, 20, 21\)"):
        psnr(torch.zeros(3, 20, 20), torch.zeros(3, 20, 21))
    with pytest.raises(ConfigError, match="expected sides >= 11"):
        ssim(torch.zeros(3, 10, 20), torch.zeros(3, 10, 20))
    with pytest.raises(ConfigError, match=r"PSNR got a Prediction for 'k', expected an? ImagePrediction"):
        PSNR().update(Prediction(query={}), ImageTruth(key="k", picture=torch.zeros(3, 20, 20)))
