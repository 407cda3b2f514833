"""Image files that shards do not hold: BMP, TIFF and GIF become PNG without loss when a set is built."""

from __future__ import annotations

import io
import warnings
from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from idiff.data.shards.schema import decode_named
from idiff.data.sources.base import Stored, read_file
from idiff.errors import BadSampleError
from idiff.utils.foreign import decoding
from idiff.utils.picture_files import MAX_PIXELS, decode_picture, encode_png

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from idiff.types import Labels

CONVERTED = (".bmp", ".tif", ".tiff", ".gif")
"""Suffixes of files that are converted, in any case of letters."""

UNREAD = (
    ".avif", ".cr2", ".dng", ".exr", ".hdr", ".heic", ".heif", ".jp2", ".jxl", ".mat", ".nef", ".npy", ".npz", ".pgm", ".ppm",
    ".psd", ".raw", ".svg", ".tga",
)  # fmt: skip
"""Suffixes of images and arrays that no source reads: they are counted, so that nobody misses them in silence."""

_MAGIC = {b"BM": "BMP", b"II*\0": "TIFF", b"MM\0*": "TIFF", b"GIF8": "GIF"}
_PALETTE = b"\x03"  # the color type in a PNG header
_GRAY = {"L", "P", "1"}


def foreign_format(data: bytes) -> str | None:
    """BMP, TIFF or GIF by the first bytes; None for everything else."""
    return next((name for magic, name in _MAGIC.items() if data.startswith(magic)), None)


def read_picture(path: Path | Stored, *, where: str, field: str) -> bytes:
    """Read an image file, or an image inside of a file; BMP, TIFF and GIF (its first frame) come as PNG, others as they are.

    Raises:
        BadSampleError: it is missing, unreadable, or cannot be converted.
    """
    read = path.read if isinstance(path, Stored) else partial(read_file, path)
    data = read(where=where, field=field)
    form = foreign_format(data)
    return data if form is None else decode_foreign(data, form, where=where, field=field, gray=False)


def read_label(path: Path, *, where: str, field: str = "label") -> bytes:
    """Read a label map; BMP, TIFF and GIF come as gray PNG with the file's own values, others as they are.

    Raises:
        BadSampleError: it is missing, unreadable, or holds colors.
    """
    data = read_file(path, where=where, field=field)
    form = foreign_format(data)
    return data if form is None else decode_foreign(data, form, where=where, field=field, gray=True)


def decode_foreign(data: bytes, form: str, *, where: str, field: str, gray: bool) -> bytes:
    """Convert a BMP, TIFF or GIF file to PNG.

    Args:
        data: the whole file.
        form: BMP, TIFF or GIF.
        where: names the sample in errors.
        field: names the member in errors.
        gray: keep values of one channel of 8 bits, as label maps have it; colors are refused.

    Raises:
        BadSampleError: damaged, too large, or of a kind that cannot be kept without loss.
    """
    with (
        decoding(lambda reason: BadSampleError(where, field, f"cannot be decoded as {form}: {reason}")),
        warnings.catch_warnings(action="ignore"),
        Image.open(io.BytesIO(data), formats=(form,)) as image,
    ):
        if image.width * image.height > MAX_PIXELS:
            raise BadSampleError(where, field, f"{image.width}x{image.height} pixels, expected {MAX_PIXELS:,} in all")
        if image.mode == "F" or (gray and image.mode not in _GRAY):
            expected = "one channel of 8 bits, whose values are classes" if gray else "8 or 16 bits"
            raise BadSampleError(where, field, f"a {form} file of mode {image.mode}, expected {expected}")
        if gray:
            return encode_png(np.asarray(image).astype(np.uint8))
        stream = io.BytesIO()
        image.convert("RGB" if image.mode in {"CMYK", "LAB", "YCbCr"} else image.mode).save(stream, "PNG")
        return encode_png(decode_picture(stream.getvalue(), where=where, field=field))


def gray_levels(data: bytes, label: Labels, named: NDArray[np.bool_]) -> Labels | None:
    """A label map's gray levels, where a program stored them as a palette of the levels that occur.

    Such programs (PNG optimizers, image editors) number the levels 0, 1, ...; a palette of classes has colors, or gray levels
    that are no classes.

    Args:
        data: the PNG file.
        label: its indices, uint8 (H, W).
        named: of the 256 values, those that are classes or void.

    Returns:
        uint8 (H, W); None where the indices are the classes.
    """
    if data[25:26] != _PALETTE:
        return None
    used = np.unique(label)
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        colors = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    if used[-1] != len(used) - 1 or used[-1] >= len(colors):
        return None
    levels = colors[: len(used)]
    own = levels[:, 0]
    telling = (own != used) & (own != 0) & (own != np.iinfo(np.uint8).max)
    is_gray = (levels == own[:, None]).all() and len(set(own.tolist())) == len(own)
    return own[label] if is_gray and telling.any() and named[own].all() else None


def suffix_notes(files: Iterable[Path], others: Iterable[Path] = ()) -> list[str]:
    """What a person should know of a set's files: how many are converted, and which are not read.

    Args:
        files: those that are read.
        others: files of the same folders, of which those with a suffix of `UNREAD` are named.
    """
    converted, unread = (
        Counter(path.suffix.lower() for path in listed if path.suffix.lower() in suffixes)
        for listed, suffixes in ((files, CONVERTED), (others, UNREAD))
    )
    told = []
    if converted:
        told.append(f"stored as PNG, without loss: {_counted(converted)}")
    if unread:
        told.append(f"not read: {_counted(unread)}. Convert them to PNG or JPEG")
    return told


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {suffix}" for suffix, count in sorted(counts.items()))


def check_known(stored: bytes | NDArray[Any], *, where: str, field: str, file: str) -> None:
    """Refuse a map of depth or normals, as `RawSample` holds it, in which no pixel has a value: nothing is learnt from it.

    Raises:
        BadSampleError: every pixel is 0, which stands for unknown.
    """
    values = decode_named(stored, where=where, field=field) if isinstance(stored, bytes) else stored
    if field in {"depth", "normals"} and not values.any():
        raise BadSampleError(
            where, field, f"no pixel of {file} has a value; 0 and numbers that are not finite are unknown"
        )
