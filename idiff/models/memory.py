"""Less memory for large images: diffusers' switches, set where an image asks for them."""

from __future__ import annotations

from idiff.errors import ConfigError
from idiff.models.backbone import LatentDiffusion

PLAIN, WHOLE = 1 << 20, 1 << 21
"""Most pixels of an image that is painted plainly, and that the autoencoder takes whole."""

TILE = 512
"""Side in pixels of the autoencoder's tiles: that of the images that Stable Diffusion's was trained on."""


def spare_memory(backbone: LatentDiffusion, size: tuple[int, int]) -> bool:
    """Set the switches for images of (height, width).

    Above `PLAIN` pixels attention is computed in slices and the autoencoder works image by image, which changes nothing but
    rounding. Above `WHOLE` pixels it also works in overlapping tiles that are blended, which is close: its normalisation and
    attention see a tile and not all of an image.

    Returns:
        whether memory is spared.
    """
    pixels, vae = size[0] * size[1], backbone.autoencoder.net
    sliced, tiled = pixels > PLAIN, pixels > WHOLE
    if sliced != vae.use_slicing:
        backbone.unet.set_attention_slice("max" if sliced else None)
        vae.use_slicing = sliced
    vae.use_tiling = tiled
    if tiled:
        vae.tile_sample_min_size, vae.tile_latent_min_size = TILE, TILE // backbone.autoencoder.factor
    return sliced


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
