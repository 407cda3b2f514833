"""What can go wrong with paint: images that a decoder should still read. Drawn per example from its own generator."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from idiff.checks import check_number


@dataclass
class Disturbance:
    """How painted truth is disturbed before a decoder learns to read it.

    Each kind comes over an example with chance `share`, at a strength drawn evenly up to the most stated here. Images lie in
    [-1, 1].

    Attributes:
        share: chance of each kind, in [0, 1]; 0 disturbs nothing.
        shift: pixels by which the image is moved along each axis.
        fade: share of the paint that is lost, evenly or along a slope, in [0, 1].
        dropouts: places in which the paint is missing.
        patches: specks in any corner of the color cube.
        blur: sigma in pixels.
        shade: offset of each channel, and change of its contrast.
        noise: standard deviation.
    """

    share: float = 0.5
    shift: int = 1
    fade: float = 0.7
    dropouts: int = 3
    patches: int = 4
    blur: float = 1.0
    shade: float = 0.15
    noise: float = 0.15

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            most = 1 if name in {"share", "fade"} else None
            check_number(name, value, least=0, most=most, whole=name in {"shift", "dropouts", "patches"})

    def __call__(self, painted: Tensor, rendered: Tensor, transparency: float, rng: torch.Generator) -> Tensor:
        """Disturb one image.

        Args:
            painted: float32 (3, H, W) in [-1, 1], the truth as the autoencoder renders it.
            rendered: float32 (3, H, W) in [-1, 1], the source as it renders it: what shows where paint is missing.
            transparency: of the paint, in [0, 1).
            rng: CPU generator of this example; the same state gives the same image.

        Returns:
            float32 (3, H, W) in [-1, 1].
        """
        picture = painted
        if self._drawn(rng):
            dx, dy = (int(torch.randint(-self.shift, self.shift + 1, (), generator=rng)) for _ in range(2))
            picture = shifted(picture, dx, dy)
        if self._drawn(rng):
            picture = torch.lerp(picture, rendered, self._fading(picture, rng))
        if self._drawn(rng):
            for _ in range(int(torch.randint(0, self.dropouts + 1, (), generator=rng))):
                picture = torch.where(_spot(picture, rng, least=0.03, most=0.15), rendered, picture)
        if self._drawn(rng):
            for _ in range(int(torch.randint(0, self.patches + 1, (), generator=rng))):
                corner = torch.randint(0, 2, (3, 1, 1), generator=rng).to(picture) * 2 - 1
                blend = transparency * rendered + (1 - transparency) * corner
                strength = 0.3 + 0.7 * float(torch.rand((), generator=rng))
                spot = _spot(picture, rng, least=0.02, most=0.05)
                picture = torch.where(spot, torch.lerp(picture, blend, strength), picture)
        if self._drawn(rng):
            picture = blurred(picture, self.blur * float(torch.rand((), generator=rng)))
        if self._drawn(rng):
            change = (torch.rand(2, 3, 1, 1, generator=rng).to(picture) * 2 - 1) * self.shade
            picture = picture * (1 + change[0]) + change[1]
        if self._drawn(rng):
            noise = torch.randn(picture.shape, generator=rng).to(picture)
            picture = picture + self.noise * float(torch.rand((), generator=rng)) * noise
        return picture.clamp(-1, 1)

    def _drawn(self, rng: torch.Generator) -> bool:
        return float(torch.rand((), generator=rng)) < self.share

    def _fading(self, picture: Tensor, rng: torch.Generator) -> Tensor:
        """Share of the paint that is lost at each pixel, (H, W): a slope between two ends."""
        ends = (torch.rand(2, generator=rng) * self.fade).tolist()
        height, width = picture.shape[1:]
        if float(torch.rand((), generator=rng)) < 0.5:
            slope = torch.linspace(ends[0], ends[1], width)[None, :].expand(height, width)
        else:
            slope = torch.linspace(ends[0], ends[1], height)[:, None].expand(height, width)
        return slope.to(picture)


def shifted(picture: Tensor, dx: int, dy: int) -> Tensor:
    """Move an image (3, H, W) by whole pixels; the border is repeated."""
    height, width = picture.shape[1:]
    rows = (torch.arange(height, device=picture.device) - dy).clamp(0, height - 1)
    columns = (torch.arange(width, device=picture.device) - dx).clamp(0, width - 1)
    return picture[:, rows][:, :, columns]


def blurred(picture: Tensor, sigma: float) -> Tensor:
    """Blur an image (3, H, W) with a Gaussian, sigma in pixels; the border is repeated. Below 0.1 px nothing is done."""
    if sigma < 0.1:
        return picture
    reach = math.ceil(3 * sigma)
    steps = torch.arange(-reach, reach + 1, device=picture.device, dtype=picture.dtype)
    taps = torch.exp(-steps.square() / (2 * sigma * sigma))
    kernel = (taps / taps.sum()).expand(3, 1, -1)
    padded = F.pad(picture[None], (reach, reach, reach, reach), mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel[:, :, None, :], groups=3), kernel[:, :, :, None], groups=3)[0]


def _spot(picture: Tensor, rng: torch.Generator, *, least: float, most: float) -> Tensor:
    """An ellipse, bool (H, W), whose half axes are shares of the sides."""
    height, width = picture.shape[1:]
    cx, cy, a, b = torch.rand(4, generator=rng).tolist()
    x = torch.linspace(0, 1, width, device=picture.device)[None, :]
    y = torch.linspace(0, 1, height, device=picture.device)[:, None]
    rx, ry = least + (most - least) * a, least + (most - least) * b
    inside: Tensor = ((x - cx) / rx).square() + ((y - cy) / ry).square() <= 1
    return inside
