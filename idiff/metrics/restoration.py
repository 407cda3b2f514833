"""Likeness of an image to its truth: `psnr ssim`. Images are float32 (3, H, W) in [-1, 1]."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from idiff.errors import ConfigError
from idiff.metrics.base import RatioMetric, same_shape
from idiff.predictions import ImagePrediction, ImageTruth
from idiff.types import Prediction, Truth

PSNR_LIMIT = 100.0
"""What equal images count, in dB, so that one does not make a mean infinite; near the least error of 8 bits."""

SSIM_WINDOW = 11
"""Side of the Gaussian window of SSIM (sigma 1.5), in pixels."""


def psnr(predicted: Tensor, true: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of one image: 10 log10(1 / MSE) over all pixels and channels in [0, 1].

    Args:
        predicted: float32 (3, H, W) in [-1, 1]; what lies outside is clipped.
        true: float32 (3, H, W) in [-1, 1].

    Returns:
        float32 () in dB, at most `PSNR_LIMIT`.

    Raises:
        ConfigError: the shapes differ.
    """
    same_shape(predicted, true, what="pictures")
    return peak_signal_noise_ratio(_unit(predicted), _unit(true), data_range=1.0).clamp(max=PSNR_LIMIT)


def ssim(predicted: Tensor, true: Tensor) -> Tensor:
    """Structural similarity of one image (Wang et al., 2004): Gaussian window 11, sigma 1.5, mean over channels.

    The mean is over the windows that lie whole inside the image, as in the paper and in scikit-image.

    Args:
        predicted: float32 (3, H, W) in [-1, 1]; what lies outside is clipped.
        true: float32 (3, H, W) in [-1, 1].

    Returns:
        float32 (), 1 for equal images.

    Raises:
        ConfigError: the shapes differ, or a side is below 11 pixels.
    """
    same_shape(predicted, true, what="pictures")
    if min(true.shape[-2:]) < SSIM_WINDOW:
        raise ConfigError(
            f"cannot take the SSIM of an image of shape {tuple(true.shape)}: expected sides >= {SSIM_WINDOW}. "
            "Leave `ssim` out of the metrics for images this small."
        )
    _, full = structural_similarity_index_measure(
        _unit(predicted)[None], _unit(true)[None], data_range=1.0, return_full_image=True
    )
    edge = SSIM_WINDOW // 2
    inside: Tensor = full[..., edge : full.shape[-2] - edge, edge : full.shape[-1] - edge]
    return inside.mean()


class PSNR(RatioMetric):
    """`psnr`: mean over images of an image's PSNR, in dB."""

    def __init__(self) -> None:
        super().__init__("psnr")

    def update(self, prediction: Prediction, truth: Truth) -> None:
        """Count one image: `prediction.picture` and `truth.picture`. Errors as in `psnr`."""
        self.add(psnr(*_pictures(prediction, truth, metric=self)))


class SSIM(RatioMetric):
    """`ssim`: mean over images of an image's SSIM; images with a side below 11 pixels have none and are left out."""

    def __init__(self) -> None:
        super().__init__("ssim")

    def update(self, prediction: Prediction, truth: Truth) -> None:
        """Count one image: `prediction.picture` and `truth.picture`. Errors as in `ssim`."""
        predicted, true = _pictures(prediction, truth, metric=self)
        if min(true.shape[-2:]) >= SSIM_WINDOW:
            self.add(ssim(predicted, true))


def _pictures(prediction: Prediction, truth: Truth, *, metric: RatioMetric) -> tuple[Tensor, Tensor]:
    """Predicted and true image on the predicted one's device."""
    found, true = metric.typed(prediction, truth, (ImagePrediction, ImageTruth))
    return found.picture, true.picture.to(found.picture.device)


def _unit(picture: Tensor) -> Tensor:
    """[-1, 1] -> [0, 1], float32, clipped."""
    return (picture.to(torch.float32).clamp(-1, 1) + 1) / 2
