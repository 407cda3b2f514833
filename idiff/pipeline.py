"""Three lines of Python: load a model, ask it about a picture, look at the answer.

from idiff import Pipeline
pipe = Pipeline("tiny")
answer = pipe.segment("photo.png", "the red star")
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from idiff.errors import BadSampleError, ConfigError, missing, unknown
from idiff.models.checkpoints import load
from idiff.models.familiarity import Familiarity
from idiff.tasks.base import Task
from idiff.tasks.parts import original_view
from idiff.tasks.saved import TaskChoice, restore_task
from idiff.types import Picture, Prediction, Triplet
from idiff.utils.images import to_tensor
from idiff.utils.picture_files import decode_picture

RESTORATIONS = ("denoise", "deblur", "dewatermark")
"""What `restore` can be asked for, and the kinds of the tasks that do it."""

EXAMPLE = "example:"
"""What the name of a picture begins with that comes with the package."""

UNFAMILIAR = 0.5
"""Below this familiarity an answer comes with a warning."""

_ROWS = 32


@dataclass(slots=True)
class Answer:
    """What the model says about a picture.

    Attributes:
        task: kind of the task. prompts: what the model was told.
        picture: uint8 (H, W, 3), what was asked about.
        overlay: uint8 (H, W, 3), the answer drawn over it; for edits and restoration the new picture.
        score: confidence in [0, 1]: of the decoder, times familiarity where the model knows its own pictures.
        familiarity: in [0, 1], how like the pictures it was trained on; None where the model does not
            say, and for restoration: a damaged picture is unlike the others anyway.
        notice: one sentence where the answer should not be trusted; else None.
        mask: bool (H, W), of segmentation.
        keypoints: name -> (x, y, score) in the picture's pixels, of keypoints that were found.
    """

    task: str
    prompts: list[str]
    picture: Picture
    overlay: Picture
    score: float
    familiarity: float | None = None
    notice: str | None = None
    mask: NDArray[np.bool_] | None = None
    keypoints: dict[str, tuple[float, float, float]] | None = None


class Pipeline:
    """A trained model, and the tasks it was trained on, ready to be asked.

    Args:
        checkpoint: a `.ckpt` file, a folder that `idiff export` wrote, or an embedded model's name.
        steps: sampling steps; None: each task's own.
        seed: of the sampled pictures.
        device: where the network runs.

    Raises:
        CheckpointError: the checkpoint cannot be used.
    """

    def __init__(
        self, checkpoint: str | Path = "tiny", *, steps: int | None = None, seed: int = 0, device: str = "cpu"
    ) -> None:
        self.loaded = load(checkpoint)
        self.backbone = self.loaded.backbone.to(device)
        self.backbone.sample_seed = seed
        self.steps, self.device = steps, device
        known = self.loaded.familiarity
        self.familiarity = None if known is None else Familiarity.of(known)

    def segment(self, picture: Picture | str | Path, text: str) -> Answer:
        """Find what a phrase names, such as `the red star`. A model of classes alone is asked for the class of that name."""
        return self.ask(self._first("referring", "segmentation"), picture, text)

    def keypoints(self, picture: Picture | str | Path, text: str) -> Answer:
        """Find joints of the one person that fills the picture, such as `left hand, right hand`."""
        return self.ask(self._first("keypoints"), picture, text)

    def edit(self, picture: Picture | str | Path, text: str) -> Answer:
        """Change a picture as a sentence says."""
        return self.ask(self._first("editing"), picture, text)

    def restore(self, picture: Picture | str | Path, text: str) -> Answer:
        """Restore a picture: `denoise`, `deblur` or `dewatermark`. A picture larger than the model's is done in tiles."""
        if text not in RESTORATIONS:
            raise ConfigError(
                f"restore knows no '{text}': expected {', '.join(RESTORATIONS[:-1])} or {RESTORATIONS[-1]}."
            )
        choice, pixels = self._first(text), _read(picture)
        size, (height, width) = int(choice.settings["size"]), pixels.shape[:2]
        restored = pixels.copy()
        answers = []
        for top in _tiles(height, size):
            for left in _tiles(width, size):
                place = (slice(top, min(top + size, height)), slice(left, min(left + size, width)))
                answers.append(self.ask(choice, np.ascontiguousarray(pixels[place]), text))
                restored[place] = answers[-1].overlay
        least = min(answers, key=lambda answer: answer.score)
        least.picture, least.overlay = pixels, restored
        return least

    @torch.no_grad()
    def ask(self, choice: TaskChoice, picture: Picture | str | Path, text: str) -> Answer:
        """Ask one of the model's tasks in words; see `Task.asked`.

        Raises:
            ConfigError: the words or the picture cannot be used.
        """
        task, pixels = choice.task, _read(picture)
        triplets = task.queries(task.asked(pixels, text), 0)
        source, edited, rendered = self._paint(triplets, choice)
        queries = [triplet.query for triplet in triplets]
        prediction = task.combine(task.decode(edited, rendered, queries), queries)
        familiarity = None
        if self.familiarity is not None and task.kind not in RESTORATIONS:  # a damaged picture is like no other
            familiarity = self._familiar(pixels, side=source.shape[-1])
        return _answer(task, pixels, triplets, prediction, familiarity=familiarity)

    def _familiar(self, pixels: Picture, *, side: int) -> float:
        """How familiar a picture is as a whole, without the borders that a task may see around it."""
        assert self.familiarity is not None
        small = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA)
        shown = to_tensor(np.asarray(small, dtype=np.uint8))[None]
        rendered = self.backbone.autoencoder.render(shown.to(self.device)).cpu()
        return float(self.familiarity(shown, rendered)[0])

    def _paint(self, triplets: Sequence[Triplet], choice: TaskChoice) -> tuple[Tensor, Tensor, Tensor]:
        """Sources, painted and rendered pictures of the prompts, each (B, 3, H, W)."""
        sampling = choice.sampling
        if self.steps is not None:
            sampling.steps = self.steps
        source = torch.stack([triplet.source for triplet in triplets if triplet.source is not None]).to(self.device)
        edited = torch.cat(
            [
                self.backbone.edit(
                    source[start : start + _ROWS],
                    [triplet.instruction for triplet in triplets[start : start + _ROWS]],
                    sampling=sampling,
                    seeds=range(start, min(start + _ROWS, len(triplets))),
                )
                for start in range(0, len(triplets), _ROWS)
            ]
        )
        rendered = self.backbone.autoencoder.render(source[:1]).expand_as(edited)
        return source, edited, rendered

    def _first(self, *kinds: str) -> TaskChoice:
        """The model's task of the first of these kinds that it knows."""
        for kind in kinds[:-1]:
            try:
                return restore_task(self.loaded.config, kind, data="", changes={})
            except ConfigError:
                continue
        return restore_task(self.loaded.config, kinds[-1], data="", changes={})


def _answer(
    task: Task, pixels: Picture, triplets: Sequence[Triplet], prediction: Prediction, *, familiarity: float | None
) -> Answer:
    """Put an answer into words and pictures."""
    query = triplets[0].query
    seen = original_view(triplets[0].source, query) if triplets[0].source is not None else pixels
    mask = None if prediction.mask is None else prediction.mask.cpu().numpy()
    if mask is None and prediction.masks is not None:
        mask = next(iter(prediction.masks.values())).cpu().numpy()
    points = None
    if prediction.keypoints is not None:
        names = {
            index: name
            for one in triplets
            for index, name in zip(one.query["indices"], one.query["joints"], strict=True)
        }
        rows = prediction.keypoints.tolist()
        points = {names[index]: (x, y, s) for index, (x, y, s) in enumerate(rows) if index in names and x == x}  # noqa: PLR0124
    notice = None
    if familiarity is not None and familiarity < UNFAMILIAR:
        notice = "This picture is unlike those the model was trained on: do not trust the answer."
    return Answer(
        task=task.kind,
        prompts=[triplet.instruction for triplet in triplets],
        picture=pixels,
        overlay=task.render(prediction, pixels if seen.shape == pixels.shape else seen),
        score=prediction.score * (1.0 if familiarity is None else familiarity),
        familiarity=familiarity,
        notice=notice,
        mask=mask,
        keypoints=points,
    )


def _read(picture: Picture | str | Path) -> Picture:
    """A picture given as pixels or as a file.

    Raises:
        ConfigError: it is no picture that can be used.
    """
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
            raise ConfigError(f"the picture is {picture.dtype} {picture.shape}: expected uint8 (H, W, 3) RGB.")
        return picture
    path = _example(str(picture)) if str(picture).startswith(EXAMPLE) else Path(picture)
    if not path.is_file():
        raise missing(path, what="a picture (JPEG, PNG or WebP)", remedy="Correct the path.")
    try:
        return decode_picture(path.read_bytes(), where=path.name)
    except BadSampleError as error:
        raise ConfigError(f"{path} cannot be used: {error}") from None


def _example(word: str) -> Path:
    """The file of a picture that comes with the package."""
    folder = Path(str(files("idiff") / "assets" / "examples"))
    known = {path.stem: path for path in sorted(folder.glob("*.png"))}
    name = word.removeprefix(EXAMPLE)
    if name not in known:
        raise unknown("example picture", name, known)
    return known[name]


def _tiles(length: int, size: int) -> list[int]:
    """Where tiles of a side begin: they cover it, and the last one ends with it."""
    if length <= size:
        return [0]
    return sorted({*range(0, length - size, size), length - size})


def to_coco(answer: Answer, *, image_id: int) -> list[dict[str, Any]]:
    """Keypoints in COCO's results format, with the joints' names beside them."""
    found = answer.keypoints or {}
    flat = [round(value, 3) for point in found.values() for value in point]
    return [
        {
            "image_id": image_id,
            "category_id": 1,
            "keypoints": flat,
            "names": list(found),
            "score": round(answer.score, 4),
        }
    ]
