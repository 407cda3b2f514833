"""Answer about each image, write the files and print what was found."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from idiff.cli.arguments import say
from idiff.errors import ConfigError, IdiffError

if TYPE_CHECKING:
    from idiff.pipeline import Answer


def output_folder(word: str) -> Path:
    """A folder that files can be written to. It is made with the first of them, so that a refused call leaves nothing.

    Raises:
        ConfigError: it cannot be made or written.
    """
    out = Path(word)
    there = next(place for place in (out, *out.absolute().parents) if place.exists())
    if not there.is_dir():
        raise ConfigError(f"--out {out} cannot be made: {there} is a file. Name another folder.")
    if not os.access(there, os.W_OK):
        raise ConfigError(f"--out {out} cannot be written. Name another folder.")
    return out


def answer_all(
    ask: Callable[[str], Answer], words: Sequence[str], command: str, *, out: Path, compare: bool = False
) -> int:
    """Answer about images. Of several, one that cannot be used is named on stderr, and the others are answered.

    Args:
        ask: answers about one image.
        words: images, and folders of them.
        command: names the files.
        out: where they go, see `idiff.pipeline.files.answer_files`.
        compare: the image and the answer side by side, too.

    Returns:
        the exit code: 2 where one of several images could not be used.

    Raises:
        IdiffError: the only image cannot be used, a folder has none, or a file cannot be written.
    """
    from idiff.pipeline.files import write_answer
    from idiff.pipeline.many import answer_names, listed

    pictures, failed = listed(words), False
    for number, (picture, name) in enumerate(zip(pictures, answer_names(pictures, command), strict=True)):
        try:
            answer = ask(picture)
        except IdiffError as error:
            if len(pictures) == 1:
                raise
            sys.stderr.write(f"idiff: {error}\n")
            failed = True
            continue
        say(str(answer))
        for joint, (x, y, score) in (answer.keypoints or {}).items():
            say(f"{joint}: x {x:.1f}, y {y:.1f}, score {score:.2f}")
        out.mkdir(parents=True, exist_ok=True)
        for path in write_answer(answer, out, name, image_id=number, compare=compare):
            say(f"wrote {path}")
        if answer.notice:
            sys.stderr.write(f"idiff: {answer.notice}\n")
    return 2 if failed else 0
