"""Less memory for large images: diffusers' switches, set where an image asks for them."""

from __future__ import annotations

from idiff.errors import ConfigError
from idiff.models.backbone import LatentDiffusion

PLAIN = 1 << 20
"""Most pixels of an image that is encoded, painted and decoded at once."""

TILE = 512
"""Side in pixels of the autoencoder's tiles: that of the images that Stable Diffusion's was trained on."""


def spare_memory(backbone: LatentDiffusion, size: tuple[int, int]) -> bool:
    """Set the switches for images of (height, width).

    Above `PLAIN` pixels the autoencoder works image by image in overlapping tiles that are blended, and attention in slices. Slices
    are exact up to rounding. Tiles are close: normalisation and attention see a tile and not all of an image.

    Returns:
        whether memory is spared.
    """
    large, vae, unet = size[0] * size[1] > PLAIN, backbone.autoencoder.net, backbone.unet
    if large:
        vae.tile_sample_min_size, vae.tile_latent_min_size = TILE, TILE // backbone.autoencoder.factor
        vae.enable_tiling()
        vae.enable_slicing()
        unet.set_attention_slice("auto")
    elif vae.use_tiling:
        vae.disable_tiling()
        vae.disable_slicing()
        unet.set_attention_slice(None)
    return large


def check_side(backbone: LatentDiffusion, size: int | None) -> None:
    """Refuse the side of a square that the networks cannot work at: it is a multiple of what a cell of the coarsest map covers.

    Raises:
        ConfigError: names the nearest sides that can be used.
    """
    step = int(backbone.autoencoder.factor * 2 ** (len(backbone.unet.config.block_out_channels) - 1))
    if size is not None and size % step:
        below = max(step, size // step * step)
        raise ConfigError(
            f"size {size} is no multiple of {step} pixels, as this model needs: take {below} or {below + step}."
        )
