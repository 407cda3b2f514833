"""What a pipeline is asked, checked and put into prompts."""

from __future__ import annotations

from numbers import Real
from typing import Any

from idiff.errors import ConfigError
from idiff.pipeline.image_input import AnyPicture, read_picture
from idiff.tasks.base import Task
from idiff.tasks.example_pair import ExamplePair
from idiff.types import Picture, Triplet

Example = tuple[Picture, Picture]
"""An image and the same with its answer painted, uint8 (H, W, 3) each."""


def read_example(picture: AnyPicture, answer: AnyPicture) -> Example:
    """An example as a person gives it.

    Raises:
        ConfigError: an image cannot be used, or the two differ in size.
    """
    source, target = read_picture(picture), read_picture(answer)
    if source.shape != target.shape:
        sizes = [f"{one.shape[1]} x {one.shape[0]}" for one in (source, target)]
        raise ConfigError(f"the example's image has {sizes[0]} pixels and its answer {sizes[1]}: expected one size.")
    return source, target


def questions(task: Task, pixels: Picture, text: str, example: Example | None) -> list[Triplet]:
    """The prompts of an image that is asked about in words.

    Raises:
        ConfigError: the words cannot be used, or an example is missing or not wanted.
    """
    sample = task.asked(pixels, text)
    if isinstance(task, ExamplePair):
        return task.queries(sample, 0) if example is None else task.queries_beside(sample, 0, *example)
    if example is not None:
        raise ConfigError(
            f"an example is given, and the model's task '{task.kind}' takes none: it was trained without `example: pair`. Ask "
            "without `with_example`."
        )
    return task.queries(sample, 0)


def check_whole(task: Task) -> None:
    """Refuse to paint an image in pieces, or at its own size, where an example stands beside it.

    Raises:
        ConfigError: the task shows an example.
    """
    if isinstance(task, ExamplePair):
        raise ConfigError(
            f"the task '{task.kind}' has an example pair beside each question (example: pair): its images are not painted in tiles "
            "or at their own size. `ask` it about an image as a whole."
        )


def one_way(tile: bool, native: bool) -> bool:
    """Whether the image is painted whole at its own size.

    Raises:
        ConfigError: tiles are asked for as well.
    """
    if tile and native:
        raise ConfigError("both tiles and the image's own size are asked for: choose one of them.")
    return native


def check_text(text: object) -> None:
    """Refuse what is no text.

    Raises:
        ConfigError: it is of another type.
    """
    if not isinstance(text, str):
        raise ConfigError(f"the text is of type {type(text).__name__}: expected words in a str.")


def check_threshold(value: Any) -> None:
    """Refuse a threshold that is no gray level.

    Raises:
        ConfigError: it lies outside of (0, 255].
    """
    if not isinstance(value, Real) or not 0 < float(value) <= 255:
        raise ConfigError(f"the threshold is {value}: expected more than 0 and at most 255 gray levels.")
