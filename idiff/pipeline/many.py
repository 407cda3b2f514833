"""Several images in one call: files, folders of them, and a name for the answer to each."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from idiff.errors import DataError
from idiff.pipeline.image_input import EXAMPLE

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
"""Files of a folder that are images, in any case of letters."""


def listed(words: Iterable[str]) -> list[str]:
    """Images by file or `example:NAME`; a folder stands for the images in it, in the order of their names.

    Raises:
        DataError: a folder has none, or words of a text stand where images are expected.
    """
    words = list(words)
    lost = [word for word in words if not (word.startswith(EXAMPLE) or Path(word).suffix or Path(word).exists())]
    if lost and len(words) > 1:
        raise DataError(
            f"there is no image {' or '.join(map(repr, lost))}. A text of several words stands in quotes, such as "
            '"the red star".'
        )
    found: list[str] = []
    for word in words:
        folder = Path(word)
        if word.startswith(EXAMPLE) or not folder.is_dir():
            found.append(word)
            continue
        files = sorted(str(file) for file in folder.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())
        if not files:
            raise DataError(f"{word} has no image: expected files such as {', '.join(f'*{end}' for end in SUFFIXES)}.")
        found += files
    return found


def answer_names(pictures: Iterable[str], command: str) -> list[str]:
    """What the files of each answer begin with: `IMAGE_COMMAND`, and a number after it where two would be the same.

    >>> answer_names(["a/cat.png", "b/cat.jpg", "example:objects"], "segment")
    ['cat_segment', 'cat_segment_2', 'objects_segment']
    """
    names: dict[str, str] = {}
    for picture in pictures:
        name = first = f"{Path(picture.removeprefix(EXAMPLE)).stem}_{command}"
        number = 1
        while name.casefold() in names:
            number += 1
            name = f"{first}_{number}"
        names[name.casefold()] = name
    return list(names.values())
