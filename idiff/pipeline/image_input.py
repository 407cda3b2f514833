"""The image that is asked about: pixels, a file, or one that comes with the package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np

from idiff.errors import BadSampleError, ConfigError, missing, unknown
from idiff.types import Picture
from idiff.utils.foreign import read_regular
from idiff.utils.picture_files import decode_picture

MAX_BYTES = 256 << 20
"""A larger file is refused before it is read."""

EXAMPLE = "example:"
"""What the name of an image begins with that comes with the package."""


def read_picture(picture: Picture | str | Path) -> Picture:
    """An image given as pixels or as a file.

    Raises:
        ConfigError: it is not an image that can be used.
    """
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
            raise ConfigError(f"the image is {picture.dtype} {picture.shape}: expected uint8 (H, W, 3) RGB.")
        return picture
    path = _example(str(picture)) if str(picture).startswith(EXAMPLE) else Path(picture)
    if not path.is_file():
        raise missing(path, what="an image (JPEG, PNG or WebP)", remedy="Correct the path.")
    try:
        return decode_picture(read_regular(path, most=MAX_BYTES), where=path.name)
    except BadSampleError as error:
        raise ConfigError(f"{path} cannot be used: {error}") from None


def _example(word: str) -> Path:
    """The file of an image that comes with the package."""
    folder = Path(str(files("idiff") / "assets" / "examples"))
    known = {path.stem: path for path in sorted(folder.glob("*.png"))}
    name = word.removeprefix(EXAMPLE)
    if name not in known:
        raise unknown("example image", name, known)
    return known[name]
