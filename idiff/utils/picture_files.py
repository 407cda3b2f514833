"""The one decoder of image files: whatever the file holds, the same uint8 RGB comes out, or a named bad sample.

Rules, the same for images and targets: EXIF orientation is obeyed; gray, palette and CMYK become RGB; transparency is
laid over white; of 16-bit values the high byte is kept. JPEG, PNG and WebP only: no format that runs another program.
"""

from __future__ import annotations

import io
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from idiff.errors import BadSampleError
from idiff.utils.foreign import decoding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from idiff.types import Labels, Picture, WideLabels

MAX_PIXELS = 64_000_000
"""Larger images are refused by their header, before memory is spent on them."""

_FORMATS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
PNG = b"\x89PNG\r\n\x1a\n"
_END_OF_JPEG = b"\xff\xd9"
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@contextmanager
def _opened(data: bytes, *, where: str, field: str, max_pixels: int) -> Iterator[Image.Image]:
    """Read the header, refuse what is too large, and turn every fault of the file into one error."""

    def refused(reason: str) -> BadSampleError:
        return BadSampleError(where, field, f"cannot be decoded: {reason}")

    with decoding(refused), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = Image.open(io.BytesIO(data), formats=tuple(_FORMATS))
        except UnidentifiedImageError as error:
            raise refused(f"starts with {data[:12]!r}, expected a JPEG, PNG or WebP file") from error
        except Image.DecompressionBombError as error:
            raise refused(f"too many pixels, expected at most {max_pixels:,}; shrink the file") from error
        with image:
            width, height = image.size
            if width * height > max_pixels:
                reason = f"{width}x{height} pixels, expected at most {max_pixels:,} in all; shrink the file"
                raise BadSampleError(where, field, reason)
            if image.mode == "P" and image.palette is None:
                raise refused("its palette is missing")
            yield image


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8. A damaged EXIF block is not an orientation, as in other decoders."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
        return value if value in _UPRIGHT else 1
    except Exception:  # whatever the decoder of EXIF meets
        return 1


def _rgb(image: Image.Image) -> Image.Image:
    """Any mode to RGB."""
    if image.mode.startswith("I"):  # 16-bit gray
        high = (np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
        return Image.fromarray(high).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image)
    image.load()
    return image if image.mode == "RGB" else image.convert("RGB")


def decode_picture(
    data: bytes, *, where: str, field: str = "source", max_pixels: int = MAX_PIXELS, intact: bool = False
) -> Picture:
    """Decode an image file.

    Args:
        data: the whole file.
        where: names the file in errors: `shard:key` or a path.
        field: names the member in errors.
        max_pixels: more are refused by the header.
        intact: a checksum says that the file is what it was. A JPEG is then read by OpenCV: the same values in two thirds of the
            time, but of a damaged file it would fill in what is missing.

    Returns:
        uint8 (H, W, 3) RGB, upright.

    Raises:
        BadSampleError: not an image, damaged, cut short or too large.
    """
    with _opened(data, where=where, field=field, max_pixels=max_pixels) as image:
        if intact and image.format == "JPEG" and image.mode == "RGB" and _orientation(image) == 1:
            picture = _whole_jpeg(data)
            if picture is not None:
                return picture
        return upright_rgb(image)


def _whole_jpeg(data: bytes) -> Picture | None:
    """Decode a JPEG of three channels that ends as it should; None where it does not, or OpenCV refuses it."""
    if not data.endswith(_END_OF_JPEG):
        return None
    import cv2

    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        return None


def upright_rgb(image: Image.Image) -> Picture:
    """Turn a PIL image into uint8 (H, W, 3) by the rules of this module. It may raise whatever PIL raises."""
    orientation = _orientation(image)
    picture = _rgb(image)
    if orientation != 1:
        picture = picture.transpose(_UPRIGHT[orientation])
    return np.array(picture, dtype=np.uint8)


def decode_label(data: bytes, *, where: str, field: str = "label", max_pixels: int = MAX_PIXELS) -> Labels:
    """Decode a label map: a gray PNG of 8 bits, or a palette PNG, whose values are class indices.

    Returns:
        uint8 (H, W), 255 = void. Never rotated: label maps lie as the upright image does.

    Raises:
        BadSampleError: not such a PNG, damaged, cut short or too large.
    """
    labels = decode_map(data, where=where, field=field, max_pixels=max_pixels)
    if labels.dtype != np.uint8:
        raise BadSampleError(
            where, field, "a PNG of 16 bits, expected an 8-bit gray or a palette PNG whose values are class indices"
        )
    return labels.astype(np.uint8, copy=False)


def decode_map(data: bytes, *, where: str, field: str, max_pixels: int = MAX_PIXELS) -> Labels | WideLabels:
    """Decode a map of whole numbers, such as labels or depth: a gray PNG of 8 or 16 bits, or a palette PNG.

    Returns:
        (H, W), uint16 of 16 bits, else uint8; the file's own values. Never rotated: maps lie as the upright image does.

    Raises:
        BadSampleError: not such a PNG, damaged, cut short or too large.
    """
    depth, color = (data[24], data[25]) if data.startswith(PNG) and len(data) > 25 else (-1, -1)
    if (depth, color) not in ((8, 0), (16, 0)) and color != 3:
        got = f"a PNG of {depth} bits and color type {color}" if depth > 0 else f"a file that starts with {data[:12]!r}"
        raise BadSampleError(
            where, field, f"{got}, expected a gray PNG of 8 or 16 bits or a palette PNG, whose values are the map's"
        )
    with _opened(data, where=where, field=field, max_pixels=max_pixels) as image:
        return np.array(image).astype(np.uint16) if depth == 16 else np.array(image, dtype=np.uint8)


def decode_alpha(
    data: bytes, *, where: str, field: str = "mask", max_pixels: int = MAX_PIXELS
) -> NDArray[np.uint8] | None:
    """How opaque each pixel of an image file is.

    Returns:
        uint8 (H, W), 0 = transparent, upright; None where the file has no transparency.

    Raises:
        BadSampleError: not an image, damaged, cut short or too large.
    """
    with _opened(data, where=where, field=field, max_pixels=max_pixels) as image:
        if not image.has_transparency_data:
            return None
        orientation = _orientation(image)
        alpha = image.convert("RGBA").getchannel("A")
        return np.array(alpha.transpose(_UPRIGHT[orientation]) if orientation != 1 else alpha, dtype=np.uint8)


def picture_size(data: bytes, *, where: str, field: str = "source", max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Read the upright (height, width) from the header alone.

    Raises:
        BadSampleError: not an image, or too large.
    """
    with _opened(data, where=where, field=field, max_pixels=max_pixels) as image:
        width, height = image.size
        return (width, height) if _orientation(image) >= 5 else (height, width)


def picture_format(data: bytes, *, where: str, field: str = "source") -> str:
    """Tell `jpg`, `png` or `webp` by the content.

    Raises:
        BadSampleError: none of them.
    """
    with _opened(data, where=where, field=field, max_pixels=MAX_PIXELS) as image:
        return _FORMATS.get(image.format or "", "jpg")  # a JPEG may hold further images (MPO)


def encode_map(values: NDArray[Any]) -> bytes:
    """Write uint8 or uint16 numbers, (H, W) or (H, W, 3) RGB, as PNG of 8 or 16 bits."""
    import cv2

    ordered = values if values.ndim == 2 else values[..., ::-1]
    return bytes(cv2.imencode(".png", np.ascontiguousarray(ordered))[1])


def encode_png(picture: Picture | Labels | WideLabels) -> bytes:
    """Write uint8 (H, W, 3) RGB, or uint8 or uint16 (H, W) labels, as PNG. The same array gives the same bytes."""
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(stream, format="PNG")
    return stream.getvalue()
