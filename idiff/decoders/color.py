"""Read painted pixels by their color: is a pixel nearer to the asked blend, or to the source?"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from idiff.errors import ConfigError


def color_scores(
    edited: Tensor,
    rendered: Tensor,
    colors: Tensor,
    transparency: float,
    *,
    smooth: int = 1,
    noise_floor: float = 0.03,
) -> Tensor:
    """Score pixels by squared distances d in RGB: `(d_other + f) / (d_other + d_asked + 2 f)`.

    `d_asked` is the distance to the asked blend, `d_other` the least distance to the source or to another asked
    blend, `f` the noise floor, which keeps pixels that look alike under both answers near 0.5.

    Args:
        edited: float32 (B, 3, H, W) in [-1, 1].
        rendered: float32 (B, 3, H, W) in [-1, 1].
        colors: float32 (B, K, 3) in [-1, 1]; rows of NaN are not asked for.
        transparency: the share of the image that shows through, in [0, 1).
        smooth: side of the box over which distances are averaged first; odd, 1 is off.
        noise_floor: squared error that a pixel has anyway, summed over RGB (0.03 is 26 dB).

    Returns:
        float32 (B, K, H, W) in [0, 1], see `Decoder.scores`.
    """
    asked = colors.isfinite().all(dim=2)
    values = colors.nan_to_num(0.0).to(edited)[:, :, :, None, None]
    blends = transparency * rendered[:, None] + (1.0 - transparency) * values
    painted = (edited[:, None] - blends).square().sum(dim=2)
    untouched = (edited - rendered).square().sum(dim=1, keepdim=True)
    distances = torch.cat([untouched, painted], dim=1)
    if smooth > 1:
        distances = F.avg_pool2d(distances, smooth, stride=1, padding=smooth // 2, count_include_pad=False)
    absent = torch.cat([torch.zeros_like(asked[:, :1]), ~asked], dim=1)
    distances = distances.masked_fill(absent[:, :, None, None], float("inf"))
    least, which = distances.topk(2, dim=1, largest=False, sorted=True).values, distances.argmin(dim=1, keepdim=True)
    numbers = torch.arange(1, distances.shape[1], device=distances.device).view(1, -1, 1, 1)
    other = torch.where(which == numbers, least[:, 1:2], least[:, :1])
    mine = distances[:, 1:]
    scores = (other + noise_floor) / (other + mine + 2 * noise_floor)
    return torch.where(asked[:, :, None, None], scores, torch.zeros_like(scores)).nan_to_num(0.0)


class ColorDecoder:
    """The decoder without weights: `color_scores` with fixed settings.

    Args:
        smooth: side in pixels of the box over which distances are averaged before they are compared; odd, 1 is off.
        noise_floor: squared error, summed over RGB in [-1, 1], that a pixel has anyway.

    Raises:
        ConfigError: `smooth` is even or less than 1, or the noise floor is not larger than 0.
    """

    def __init__(self, smooth: int = 1, noise_floor: float = 0.03) -> None:
        if smooth < 1 or smooth % 2 == 0:
            raise ConfigError(f"{smooth=} is not a side of a centred box: use 1 (off), 3, 5, ...")
        if not noise_floor > 0:
            raise ConfigError(f"{noise_floor=} must be larger than 0; 0.03 stands for an image at 26 dB.")
        self.smooth, self.noise_floor = smooth, noise_floor

    def describe(self) -> dict[str, Any]:
        """Plain values that name this decoder in a metric card."""
        return {"name": "color", "smooth": self.smooth, "noise_floor": self.noise_floor}

    def scores(self, edited: Tensor, rendered: Tensor, colors: Tensor, transparency: float) -> Tensor:
        """Score pixels; shapes and ranges as `idiff.decoders.base.Decoder.scores` states."""
        return color_scores(edited, rendered, colors, transparency, smooth=self.smooth, noise_floor=self.noise_floor)
