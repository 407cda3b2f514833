"""Images: between uint8 and the model's range, onto disk, and into labelled grids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from idiff.errors import ConfigError
from idiff.types import Picture
from idiff.utils.files import atomic
from idiff.utils.strings import safe_name

WRITABLE = "Choose a folder that can be written."

_GAP = 4
_LINE = 14
_UNDER = 2 * _LINE
_PAPER = (255, 255, 255)
_INK = (20, 20, 20)


def to_tensor(picture: Picture) -> Tensor:
    """Turn uint8 (H, W, 3) into float32 (3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1).float().div_(127.5).sub_(1.0).contiguous()


def to_picture(image: Tensor) -> Picture:
    """Turn float (3, H, W) in [-1, 1] into uint8 (H, W, 3); values beyond are clipped, NaN becomes mid gray."""
    scaled = torch.nan_to_num(image.detach().float().cpu(), nan=0.0).add(1.0).mul(127.5).round().clamp(0, 255)
    picture: Picture = scaled.to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    return picture


def write_png(pixels: NDArray[np.unsignedinteger] | NDArray[np.bool_], folder: Path | str, name: str) -> Path:
    """Write an image as `folder/name.png`, whole or not at all, and never outside of the folder.

    Args:
        pixels: uint8 (H, W, 3) colors, uint8 or uint16 (H, W) gray values or labels, or bool (H, W) written as 0 and 255.
        folder: made where missing.
        name: any text, such as a key or a prompt; see `idiff.utils.strings.safe_name`.

    Returns:
        the path of the file.

    Raises:
        ConfigError: the folder cannot be made or written.
    """
    folder = Path(folder)
    path = folder / f"{safe_name(name)}.png"
    array = pixels.astype(np.uint8) * 255 if pixels.dtype == np.bool_ else pixels
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}. {WRITABLE}") from error
    with atomic(path, error=ConfigError, remedy=WRITABLE) as stream:
        Image.fromarray(array).save(stream, format="PNG")
    return path


def grid(
    rows: Sequence[Sequence[Picture]],
    headers: Sequence[str],
    captions: Sequence[str] | None = None,
    *,
    cell: int = 160,
    below: bool = False,
) -> Picture:
    """Lay images out in rows under column headers, with one caption over each row.

    Args:
        rows: uint8 (H, W, 3) images of any size; each is scaled to fit its cell without changing its shape. Rows
            may be shorter than the headers.
        headers: one a column.
        captions: one a row, cut where it is too long.
        cell: side of a cell in pixels.
        below: the captions go under the rows instead, each in up to two lines.

    Returns:
        uint8 (H, W, 3).

    Raises:
        ConfigError: there are no columns, a row has more images than columns, or the captions do not match the rows.
    """
    columns = len(headers)
    if columns == 0 or any(len(row) > columns for row in rows):
        raise ConfigError(
            f"a grid of {columns} headers got rows of {[len(row) for row in rows]} images; give a header a column."
        )
    if captions is not None and len(captions) != len(rows):
        raise ConfigError(f"a grid of {len(rows)} rows got {len(captions)} captions; give one a row.")
    font = ImageFont.load_default(size=11)
    strip = 0 if captions is None else _UNDER if below else _LINE
    width = _GAP + columns * (cell + _GAP)
    step = strip + cell + _GAP
    page = Image.new("RGB", (width, _LINE + 2 * _GAP + len(rows) * step), _PAPER)
    draw = ImageDraw.Draw(page)
    for column, header in enumerate(headers):
        draw.text((_GAP + column * (cell + _GAP), _GAP), _fit(header, draw, font, cell), fill=_INK, font=font)
    for index, row in enumerate(rows):
        top = _LINE + 2 * _GAP + index * step
        if captions is not None:
            room, rest, line = width - 2 * _GAP, captions[index], top + cell if below else top
            for _ in range(2 if below else 1):
                fitting = _fit(rest, draw, font, room)
                if below and len(fitting) < len(rest) and " " in fitting:
                    fitting = fitting[: fitting.rindex(" ") + 1]
                draw.text((_GAP, line), fitting, fill=_INK, font=font)
                rest, line = rest[len(fitting) :], line + _LINE
        for column, picture in enumerate(row):
            image = _scaled(picture, cell)
            left = _GAP + column * (cell + _GAP) + (cell - image.width) // 2
            page.paste(image, (left, top + (0 if below else strip) + (cell - image.height) // 2))
    return np.asarray(page).copy()


def row_boxes(rows: int, columns: int, *, cell: int = 160) -> list[tuple[int, int, int, int]]:
    """Where `grid` puts the images of each row, captions below: left, top, right and bottom in pixels."""
    step = _UNDER + cell + _GAP
    tops = [_LINE + 2 * _GAP + row * step for row in range(rows)]
    return [(_GAP, top, columns * (cell + _GAP), top + cell) for top in tops]


def _scaled(picture: Picture, cell: int) -> Image.Image:
    """Fit an image into a cell: whole pixels when it grows, area means when it shrinks."""
    image = Image.fromarray(picture)
    scale = cell / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BOX)


def _fit(text: str, draw: ImageDraw.ImageDraw, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: int) -> str:
    """Cut a text to a width in pixels."""
    text = "".join(c if c.isprintable() else " " for c in text[:400])
    while text and draw.textlength(text, font=font) > width:
        text = text[:-1]
    return text
