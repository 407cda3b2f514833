"""The image that is asked about: pixels, a PIL image, a tensor, a file, or one that comes with the package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from idiff.errors import BadSampleError, ConfigError, missing, unknown
from idiff.types import Picture
from idiff.utils.foreign import read_regular
from idiff.utils.picture_files import MAX_PIXELS, decode_picture, upright_rgb

MAX_BYTES = 256 << 20
"""A larger file is refused before it is read."""

EXAMPLE = "example:"
"""What the name of an image begins with that comes with the package."""

AnyPicture: TypeAlias = "str | Path | Image.Image | NDArray[np.uint8] | NDArray[np.floating] | Tensor"
"""What can be asked about: a file or `example:NAME`; a PIL image; an array (H, W, 3) or a tensor (3, H, W), RGB, uint8 or float
in [0, 1]."""


def read_picture(picture: AnyPicture) -> Picture:
    """An image in any of the forms of `AnyPicture`, as uint8 (H, W, 3).

    Raises:
        ConfigError: it is not an image that can be used.
        DataError: its file is missing.
    """
    if isinstance(picture, np.ndarray):
        return _pixels(picture, "H, W, 3")
    if isinstance(picture, Tensor):
        shown = picture.detach().cpu()
        shown = shown[0] if shown.ndim == 4 and len(shown) == 1 else shown
        if shown.ndim != 3 or shown.shape[0] != 3:
            raise _refused(f"{shown.dtype}".removeprefix("torch."), tuple(picture.shape), "3, H, W")
        return _pixels((shown.float() if shown.is_floating_point() else shown).permute(1, 2, 0).numpy(), "3, H, W")
    if isinstance(picture, Image.Image):
        return _pil(picture)
    if isinstance(picture, str | Path):
        return _file(picture)
    raise ConfigError(
        f"the image is of type {type(picture).__name__}: expected a path, a PIL image, an array (H, W, 3) or a tensor (3, H, W)."
    )


def _pixels(array: NDArray[np.generic], order: str) -> Picture:
    """An array (H, W, 3) as uint8."""
    if array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise _refused(str(array.dtype), array.shape, order)
    _check_area(array.shape[1], array.shape[0])
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array, dtype=np.uint8)
    if not np.issubdtype(array.dtype, np.floating):
        raise _refused(str(array.dtype), array.shape, order)
    values = array.astype(np.float32)
    least, most = float(values.min()), float(values.max())
    if not (least >= 0 and most <= 1):  # NaN, too
        raise ConfigError(
            f"the image is {array.dtype} with values from {least:g} to {most:g}: expected uint8 ({order}) RGB, or floats in "
            "[0, 1]. Divide 0 to 255 by 255; turn -1 to 1 into (values + 1) / 2."
        )
    return np.rint(values * 255).astype(np.uint8)


def _refused(kind: str, shape: tuple[int, ...], order: str) -> ConfigError:
    return ConfigError(f"the image is {kind} {tuple(shape)}: expected uint8 ({order}) RGB, or floats in [0, 1].")


def _check_area(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise ConfigError(
            f"the image has {width} x {height} pixels: expected at most {MAX_PIXELS:,} in all. Shrink it."
        )


def _pil(image: Image.Image) -> Picture:
    """A PIL image, upright, by the rules of image files."""
    _check_area(*image.size)
    try:
        return _pixels(upright_rgb(image), "H, W, 3")
    except (OSError, ValueError, SyntaxError) as error:
        raise ConfigError(f"the PIL image cannot be decoded ({error}): open its file again.") from None


def _file(picture: str | Path) -> Picture:
    path = _example(str(picture)) if str(picture).startswith(EXAMPLE) else Path(picture)
    if path.is_dir():
        raise ConfigError(f"{path} is a folder: expected an image file (JPEG, PNG or WebP). Name one of its files.")
    if not path.is_file():
        raise missing(path, what="an image (JPEG, PNG or WebP)", remedy="Correct the path.")
    try:
        return decode_picture(read_regular(path, most=MAX_BYTES), where=path.name)
    except BadSampleError as error:
        raise ConfigError(f"{path} cannot be used: {error}") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}. Correct its permissions.") from None


def examples() -> dict[str, Path]:
    """Images that come with the package, by name."""
    folder = Path(str(files("idiff") / "assets" / "examples"))
    return {path.stem: path for path in sorted(folder.glob("*.png"))}


def _example(word: str) -> Path:
    """The file of an image that comes with the package."""
    known, name = examples(), word.removeprefix(EXAMPLE)
    if name not in known:
        raise unknown("example image", name, known)
    return known[name]
