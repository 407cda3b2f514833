"""An answer as files: images as PNG, whatever was read, because JPEG would smear what is painted; numbers as COCO's results."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from idiff.errors import ConfigError
from idiff.pipeline.overlay import drawn
from idiff.pipeline.results import Answer, to_coco
from idiff.utils.files import atomic
from idiff.utils.images import WRITABLE
from idiff.utils.picture_files import encode_map, encode_png
from idiff.utils.strings import safe_name

VIEW = "_view.png"
"""The end of a drawn answer beside a map."""


def answer_files(answer: Answer, *, image_id: int = 0, compare: bool = False) -> dict[str, bytes]:
    """What is kept of an answer, by the end of the file's name.

    | end | what it is |
    |---|---|
    | `.png` | the answer drawn large with names and a legend; of edits and restoration the new image itself |
    | `_view.png` | the answer drawn large, where its numbers are an image themselves |
    | `_mask.png` | 0 and 255, at the size of the image |
    | `_depth.png` and the like | what `Task.stored` gives, at the size of the image |
    | `.json` | COCO's results format, see `to_coco` |
    | `_compare.png` | with `compare`: what was asked about beside the answer |
    """
    numbers = (answer.mask, answer.keypoints, answer.instances)
    new = answer.values is None and all(each is None for each in numbers)
    files = {VIEW if answer.stored else ".png": encode_png(answer.overlay if new else drawn(answer))}
    if answer.mask is not None:
        files["_mask.png"] = encode_png(answer.mask.astype(np.uint8) * 255)
    files |= {end: encode_map(values) for end, values in answer.stored.items()}
    if any(each is not None for each in numbers):
        files[".json"] = (json.dumps(to_coco(answer, image_id=image_id), indent=1) + "\n").encode()
    if compare:
        files["_compare.png"] = encode_png(drawn(answer, compare=True))
    return files


def write_answer(answer: Answer, folder: Path, name: str, *, image_id: int = 0, compare: bool = False) -> list[Path]:
    """Write the files of an answer, `folder/NAME` and the ends of `answer_files`; each whole or not at all.

    A map whose end NAME already says, as `cat_depth` does `_depth.png`, is `NAME.png`.

    Raises:
        ConfigError: the folder cannot be written.
    """
    written = []
    for end, content in answer_files(answer, image_id=image_id, compare=compare).items():
        said = end in answer.stored and end.removesuffix(".png") in name
        path = folder / (safe_name(name) + (".png" if said else end))
        with atomic(path, error=ConfigError, remedy=WRITABLE) as stream:
            stream.write(content)
        written.append(path)
    return written
