"""What is asked, checked before it waits; and how the model answers it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from idiff.apps.serve.engine import RefusedError
from idiff.apps.serve.limits import Limits
from idiff.apps.serve.metrics import Metrics
from idiff.errors import BadSampleError
from idiff.models.memory import check_side
from idiff.pipeline import Answer, Pipeline
from idiff.pipeline.commands import choose, commands_of, steps_of
from idiff.pipeline.files import VIEW, answer_files
from idiff.pipeline.overlay import enlarged, marked
from idiff.tasks.asking import Asking
from idiff.types import Picture
from idiff.utils.picture_files import decode_picture, encode_png

SEEN = 1280
"""Most pixels of the longer side of what the page shows."""


@dataclass(frozen=True, slots=True)
class Question:
    """An image and what is asked of it.

    Attributes:
        picture: uint8 (H, W, 3).
        asked: for each sentence, the command, the words it is asked in, and the sentence.
        asking: how the model is asked.
        seed: of the sampled images.
    """

    picture: Picture
    asked: list[tuple[str, str, str]]
    asking: Asking
    seed: int


@dataclass(slots=True)
class Shown:
    """An answer as it is kept: words, numbers and files, no arrays.

    Attributes:
        command: what was done. sentence: what was asked.
        line: the answer in one line. prompts: what the model was told.
        score, notice, keypoints: as of `Answer`.
        pixels: of the mask; None: there is none.
        files: name -> content: `answer.png`, `mask.png`, `results.json`, `compare.png`, `painted.png`, and
            what the task stores, such as `depth.png`.
        seen: what the page shows: source, painted and answer as PNG, of one size.
        seconds: that it took.
    """

    command: str
    sentence: str
    line: str
    prompts: list[str]
    score: float | None
    notice: str | None
    keypoints: dict[str, tuple[float, float, float]] | None
    pixels: int | None
    seconds: float
    files: dict[str, bytes] = field(repr=False)
    seen: list[bytes] = field(repr=False)


class Asker:
    """Checks questions and answers them with one pipeline.

    Args:
        pipe: the model; used by one thread.
        limits: what a question may cost.
        metrics: counts answers.
    """

    def __init__(self, pipe: Pipeline, *, limits: Limits, metrics: Metrics) -> None:
        self.pipe, self.limits, self.metrics = pipe, limits, metrics
        self.commands = commands_of(pipe)

    def question(
        self, picture: bytes, sentences: Sequence[str], *, command: str | None = None, asking: Asking, seed: int
    ) -> Question:
        """Check what is asked.

        Raises:
            RefusedError: 413, too large; 422, beyond another limit, or no image.
            ConfigError: words or settings that cannot be used.
        """
        limits, texts = self.limits, [text for text in sentences if text.strip()]
        for what, got, most in (
            ("sentences", len(texts), limits.sentences),
            ("letters in a sentence", max(map(len, texts), default=0), limits.letters),
            ("steps", asking.steps or 1, limits.steps),
            ("pixels of size", asking.size or 1, limits.size),
            ("of guidance", max(abs(asking.guidance_text or 0), abs(asking.guidance_image or 0)), limits.guidance),
        ):
            if got > most:
                raise RefusedError(f"{got:g} {what}: expected at most {most:g}.", 422)
        if not texts:
            raise RefusedError("there is no sentence: expected one, such as 'the red star'.", 422)
        check_side(self.pipe.backbone, asking.size)
        asked = [(*choose(text, self.commands, command), text) for text in texts]
        return Question(self._decoded(picture), asked, asking, seed)

    def _decoded(self, data: bytes) -> Picture:
        if len(data) > self.limits.bytes:
            raise RefusedError(f"the image has {len(data):,} bytes: expected at most {self.limits.bytes:,}.", 413)
        try:
            return decode_picture(data, where="the file", field="image", max_pixels=self.limits.pixels)
        except BadSampleError as error:
            raise RefusedError(f"the image cannot be used: {error.reason}.", 422) from None

    def answer(self, question: Question, on: Callable[[float], None]) -> list[Shown]:
        """Answer each sentence. See `Engine`."""
        pipe, count = self.pipe.with_settings(question.asking, seed=question.seed), len(question.asked)
        shown: list[Shown] = []
        for number, (command, words, sentence) in enumerate(question.asked):
            steps = steps_of(pipe, command, words)
            taken = 0

            def step(number: int = number, steps: int = steps) -> None:
                nonlocal taken
                on((number + min(taken / steps, 0.99)) / count)
                taken += 1

            pipe.backbone.on_step = step
            began = time.monotonic()
            try:
                answer: Answer = getattr(pipe, command)(question.picture, words)
            finally:
                pipe.backbone.on_step = None
            on((number + 0.99) / count)
            shown.append(_shown(answer, command, sentence, seconds=time.monotonic() - began))
            self.metrics.answered(command, notice=answer.notice is not None)
        return shown


def weigh(shown: Sequence[Shown]) -> int:
    """Bytes that answers keep in memory."""
    return sum(len(content) for each in shown for content in [*each.files.values(), *each.seen])


def _shown(answer: Answer, command: str, sentence: str, *, seconds: float) -> Shown:
    answer = replace(answer, text=sentence if command != "restore" else answer.text)
    names = {".png": "answer.png", VIEW: "answer.png", ".json": "results.json"}
    files = {names.get(end, end[1:]): content for end, content in answer_files(answer, compare=True).items()}
    painted = answer.painted[0] if answer.painted else answer.overlay
    files["painted.png"] = encode_png(painted)
    return Shown(
        command=command,
        sentence=sentence,
        line=str(answer),
        prompts=answer.prompts,
        score=answer.score,
        notice=answer.notice,
        keypoints=answer.keypoints,
        pixels=None if answer.mask is None else int(answer.mask.sum()),
        seconds=seconds,
        files=files,
        seen=[encode_png(_fitted(each)) for each in (enlarged(answer.picture), enlarged(painted), marked(answer))],
    )


def _fitted(pixels: Picture) -> Picture:
    """An image of at most `SEEN` pixels a side."""
    height, width = pixels.shape[:2]
    scale = SEEN / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
