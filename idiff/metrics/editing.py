"""How well an edit hits its region and leaves the rest alone: `psnr_inside psnr_outside mse_ratio`.

Images are float32 (3, H, W) in [-1, 1]; a region is bool (H, W), True where the edit is.
"""

from __future__ import annotations

import torch
from torch import Tensor

from idiff.errors import ConfigError
from idiff.metrics.base import ItemMetric, RatioMetric, same_shape
from idiff.metrics.restoration import PSNR_LIMIT
from idiff.predictions import EditTruth, ImagePrediction, expect
from idiff.types import Prediction, Truth


def region_error(predicted: Tensor, true: Tensor, region: Tensor) -> tuple[Tensor, Tensor]:
    """Squared error of an image within a region, on the scale of [0, 1].

    Args:
        predicted: float32 (3, H, W) in [-1, 1]; what lies outside is clipped.
        true: float32 (3, H, W) in [-1, 1].
        region: bool (H, W).

    Returns:
        float64 (): the sum over the region's pixels and channels; int64 (): how many numbers were summed.

    Raises:
        ConfigError: images or region differ in shape.
    """
    same_shape(predicted, true, what="pictures")
    if region.shape != true.shape[-2:] or region.dtype != torch.bool:
        raise ConfigError(
            f"cannot score an edit within a region of shape {tuple(region.shape)} and type {region.dtype}: expected "
            f"bool {tuple(true.shape[-2:])} as the image. Let the task's truth() draw it in the original's pixels."
        )
    error = ((_unit(predicted) - _unit(true)) ** 2).sum(dim=0)
    return error[region].sum(), region.sum() * true.shape[0]


def region_psnr(predicted: Tensor, true: Tensor, region: Tensor) -> Tensor:
    """PSNR over the pixels of a region: 10 log10(1 / MSE), all channels together.

    Returns:
        float32 () in dB, at most `PSNR_LIMIT`; nan where the region is empty. Arguments and errors as in `region_error`.
    """
    error, count = region_error(predicted, true, region)
    mean = error / count.clamp(min=1)
    decibels = torch.where(mean > 0, -10 * torch.log10(mean), PSNR_LIMIT).clamp(max=PSNR_LIMIT)
    return torch.where(count > 0, decibels, torch.nan).float()


class PSNRInside(RatioMetric):
    """`psnr_inside`: mean PSNR within the edited region, in dB, over the images that have one."""

    def __init__(self) -> None:
        super().__init__("psnr_inside")

    def update(self, prediction: Prediction, truth: Truth) -> None:
        """Count one image: `prediction.picture`, `truth.picture`, `truth.mask`. Errors as in `region_error`."""
        predicted, true, region = _parts(prediction, truth, metric=self)
        if bool(region.any()):
            self.add(region_psnr(predicted, true, region))


class PSNROutside(RatioMetric):
    """`psnr_outside`: mean PSNR of what lies around the edited region, in dB, over the images where something does."""

    def __init__(self) -> None:
        super().__init__("psnr_outside")

    def update(self, prediction: Prediction, truth: Truth) -> None:
        """Count one image: `prediction.picture`, `truth.picture`, `truth.mask`. Errors as in `region_error`."""
        predicted, true, region = _parts(prediction, truth, metric=self)
        if not bool(region.all()):
            self.add(region_psnr(predicted, true, ~region))


class MSERatio(ItemMetric):
    """`mse_ratio`: squared error within the edited regions over that of the untouched sources, both summed over the set.

    0 is a perfect edit, 1 is what doing nothing gets, above 1 is worse than that; nan where no source differs from its
    target.
    """

    higher_is_better = False

    def __init__(self) -> None:
        super().__init__()
        for name in ("mse_ratio_edit", "mse_ratio_source"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.mse_ratio_edit: Tensor
        self.mse_ratio_source: Tensor

    def update(self, prediction: Prediction, truth: Truth) -> None:
        """Count one image: `prediction.picture`, `truth.picture`, `.source`, `.mask`. Errors as in `region_error`."""
        predicted, true, region = _parts(prediction, truth, metric=self)
        source = expect(truth, EditTruth, by="MSERatio", key=truth.key).source.to(predicted.device)
        self.mse_ratio_edit = self.mse_ratio_edit + region_error(predicted, true, region)[0]
        self.mse_ratio_source = self.mse_ratio_source + region_error(source, true, region)[0]

    def compute(self) -> Tensor:
        """The ratio, float32 ()."""
        ratio = self.mse_ratio_edit / self.mse_ratio_source
        return torch.where(self.mse_ratio_source > 0, ratio, torch.nan).float()


def _parts(prediction: Prediction, truth: Truth, *, metric: ItemMetric) -> tuple[Tensor, Tensor, Tensor]:
    """Predicted image, true image and region on the predicted one's device."""
    found, true = metric.typed(prediction, truth, (ImagePrediction, EditTruth))
    device = found.picture.device
    return found.picture, true.picture.to(device), true.mask.to(device)


def _unit(picture: Tensor) -> Tensor:
    """[-1, 1] -> [0, 1], float64, clipped."""
    return (picture.to(torch.float64).clamp(-1, 1) + 1) / 2
