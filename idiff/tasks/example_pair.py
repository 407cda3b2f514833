"""Any task with an example beside the question: another sample's source and painted answer, in one image with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from idiff.checks import check_choice
from idiff.errors import BadSampleError, ConfigError
from idiff.tasks.base import Task
from idiff.tasks.common.shown_answers import names_something, shown_answer
from idiff.tasks.common.view import in_cell, matrix_list, whole_view
from idiff.tasks.instructions.suffixes import ExampleWords
from idiff.tasks.region import ClassRegionTask
from idiff.types import VOID, Parts, Picture, Prediction, Sample, Triplet, Truth
from idiff.utils.seeds import numpy_rng

if TYPE_CHECKING:
    from torchmetrics import MetricCollection

ExampleName = Literal["pair"]
"""What may stand beside a question."""

SMALLEST = 16
"""Pixels of the side of the smallest image that has cells."""

_OF_THE_TASK = (
    "kind", "unit", "maps", "headline", "headline_range", "headline_lower_is_better", "headline_of_one_prompt", "headline_share",
    "more_metrics",
)  # fmt: skip
"""What is said of a task, and holds with an example as well."""


class ExamplePair(Task):
    """A task whose images are grids of two by two cells, each of half the side: `example: pair`. `with_example` makes one.

    The upper row is another sample's source and its painted answer, the lower one the question's source, twice. The model
    paints the answer over the second. Decoding reads that cell alone. Source: Painter (Wang et al., CVPR 2023), PromptDiffusion
    (Wang et al., NeurIPS 2023).

    The task itself draws, paints and reads the cells, as one of half its `size`. The example is the first of `Sample.examples` that
    shows what the question names (a class, joints), painted again in the question's colors. Where none does, the upper row is gray
    and the instruction stays as it is; otherwise a sentence that speaks of the example follows it.

    Args:
        task: a task with a setting `size`, whose images all have this size and a source.

    Attributes:
        wrapped: the task as it was given.
        cell: the task of half its size.

    Raises:
        ConfigError: the task cannot be painted in cells.
    """

    def __init__(self, task: Task) -> None:
        size = task.settings.get("size")
        if not isinstance(size, int) or size % 2 or size < SMALLEST:
            raise ConfigError(
                f"example: pair: the task '{task.kind}' has the size {size}: expected a setting `size`, an even number of "
                f"{SMALLEST} pixels or more, because each of the four cells has half of it."
            )
        if not task.one_size:
            raise ConfigError(
                f"example: pair: the images of the task '{task.kind}' have several sizes (frame: native64): expected one. Leave "
                "out `frame` or `example`."
            )
        self.wrapped, self.size, self.side = task, size, size // 2
        vars(self).update({name: getattr(task, name) for name in _OF_THE_TASK} | {"example": self._drawn})
        self.settings = dict(task.settings)
        try:
            self.cell = type(task)(**{**task.settings, "size": self.side})
            few = (
                {"ask": "present"} if isinstance(task, ClassRegionTask) else {}
            )  # all classes of a sample, not of the set
            self._showing = type(task)(**{**task.settings, "size": self.side, **few})
        except ConfigError as error:
            raise ConfigError(
                f"example: pair: in cells of {self.side} px the task '{task.kind}' says: {error}"
            ) from None
        self._check_cells()
        self.words = ExampleWords(getattr(self.cell, "phrasings", "seen"))

    def __reduce__(self) -> tuple[Callable[[Task, ExampleName], Task], tuple[Task, ExampleName], dict[str, Any]]:
        """Made again of the task, for worker processes."""
        return with_example, (self.wrapped, "pair"), {"more_metrics": self.more_metrics}

    def encode(self, sample: Sample, item: int, rng: np.random.Generator, *, train: bool) -> Triplet:
        """Paint the question's cell, and an example above it. See `Task.encode`."""
        question = self.cell.encode(sample, item, rng, train=train)
        return self._beside(question, self._shown(self._others(sample), question), self.words.draw(rng))

    def queries(self, sample: Sample, item: int) -> list[Triplet]:
        """The task's own, each with an example. See `Task.queries`."""
        others, words = self._others(sample), self.words.asking(f"{sample.key}/{item}")
        return [self._beside(one, self._shown(others, one), words) for one in self.cell.queries(sample, item)]

    def queries_beside(self, sample: Sample, item: int, picture: Picture, answer: Picture) -> list[Triplet]:
        """The task's own, each with the example that a person gives.

        Args:
            sample: what is asked about.
            item: of it.
            picture: uint8 (H, W, 3), the example's source.
            answer: uint8 (H, W, 3), the same with its answer painted.
        """
        source, target = (whole_view(one, self.side, frame=None).source for one in (picture, answer))
        words = self.words.asking(f"{sample.key}/{item}")
        return [self._beside(one, Shown(source, target, None), words) for one in self.cell.queries(sample, item)]

    def asked(self, picture: Picture, text: str) -> Sample:
        """As the task says. See `Task.asked`."""
        return self.cell.asked(picture, text)

    def decode(self, edited: Tensor, rendered: Tensor, queries: Sequence[dict[str, Any]]) -> Sequence[Prediction]:
        """What the task reads in the cell of the answer. See `Task.decode`."""
        there = (..., slice(self.side, None), slice(self.side, None))
        return self.cell.decode(edited[there].contiguous(), rendered[there].contiguous(), _in_cells(queries))

    def combine(self, predictions: Sequence[Prediction], queries: Sequence[dict[str, Any]]) -> Prediction:
        """As the task says. See `Task.combine`."""
        return self.cell.combine(predictions, _in_cells(queries))

    def truth(self, annotation: dict[str, Any]) -> Truth:
        """As the task says. See `Task.truth`."""
        return self.cell.truth(annotation)

    def truth_of_prompt(self, annotation: dict[str, Any], query: dict[str, Any]) -> Truth:
        """As the task says. See `Task.truth_of_prompt`."""
        return self.cell.truth_of_prompt(annotation, in_cell(query))

    def metrics(self) -> MetricCollection:
        """Those of the task. See `Task.metrics`."""
        return self.cell.metrics()

    def baseline(self, truths: Iterable[Truth]) -> tuple[str, Callable[[dict[str, Any]], Prediction]] | None:
        """That of the task. See `Task.baseline`."""
        found = self.cell.baseline(truths)
        if found is None:
            return None
        name, answer = found
        return name, lambda query: answer(in_cell(query))

    def render(self, prediction: Prediction, picture: Picture) -> Picture:
        """As the task says. See `Task.render`."""
        return self.cell.render(prediction, picture)

    def stored(self, prediction: Prediction) -> dict[str, NDArray[Any]]:
        """As the task says. See `Task.stored`."""
        return self.cell.stored(prediction)

    def _drawn(self, rng: np.random.Generator) -> Sample:
        sample, *others = (self.cell.example(rng) for _ in range(4))
        for number, one in enumerate(others):
            one.key = f"{one.key}-{number}"
        sample.examples = [(one, 0) for one in others]
        return sample

    def _check_cells(self) -> None:
        """Refuse a task whose cells are no cells, seen on a sample that it draws itself."""
        shown = self.cell.queries(self.cell.example(numpy_rng(0, "cell")), 0)[0]
        if shown.source is None:
            raise ConfigError(
                f"example: pair: the task '{self.kind}' paints from words alone, without a source to show an example beside. Leave "
                "out `example`."
            )
        if tuple(shown.source.shape) != (3, self.side, self.side):
            raise ConfigError(
                f"example: pair: with size {self.side} the task '{self.kind}' makes images of shape {tuple(shown.source.shape)}, "
                f"expected (3, {self.side}, {self.side})."
            )

    def _others(self, sample: Sample) -> _Others:
        if sample.examples is None:
            raise ConfigError(
                f"the task '{self.kind}' has an example pair beside each question (example: pair), and none is given here. Give "
                "an image and its painted answer: `Pipeline.with_example`. `idiff evaluate` draws them from the shards."
            )
        return _Others(self._showing, sample.examples)

    def _shown(self, others: _Others, question: Triplet) -> Shown | None:
        """The first answer of another sample that fits the question."""
        plain = not names_something(question.query)
        for number in range(len(others)):
            found = shown_answer(question, others.answers(number, plain=plain))
            if found is not None:
                return Shown(*found, others.key(number))
        return None

    def _beside(self, question: Triplet, shown: Shown | None, words: str) -> Triplet:
        """The grid of an example and a question."""
        assert question.source is not None
        gray = torch.zeros_like(question.source)
        upper = torch.cat([gray, gray] if shown is None else [shown.source, shown.target], dim=2)

        def grid(last: Tensor) -> Tensor:
            return torch.cat([upper, torch.cat([question.source, last], dim=2)], dim=1)  # type: ignore[list-item]

        warp = np.asarray(question.query["warp"], dtype=np.float64)
        warp[:, 2] += self.side
        place = {"cell": [self.side] * 4, "example": None if shown is None else shown.key, "warp": matrix_list(warp)}
        return Triplet(
            key=question.key,
            source=grid(question.source),
            instruction=question.instruction if shown is None else self.words.after(question.instruction, words),
            target=grid(question.target),
            query=question.query | place,
            annotation=question.annotation,
            answer=None if question.answer is None else F.pad(question.answer, (self.side, 0, self.side, 0)),
            parts=None if question.parts is None else self._parts(question.parts),
            rejected=None if question.rejected is None else grid(question.rejected),
        )

    def _parts(self, parts: Parts) -> Parts:
        """What the lower row shows; nothing is said of the example."""
        row = torch.cat([parts.labels, parts.labels], dim=1)
        return Parts(torch.cat([torch.full_like(row, VOID), row], dim=0), parts.names)


class Shown(NamedTuple):
    """Source and answer of an example, float32 (3, side, side) each in [-1, 1], and its sample's key; None: a person's."""

    source: Tensor
    target: Tensor
    key: str | None


class _Others:
    """The answers of other samples, each made once for all prompts of an item."""

    def __init__(self, task: Task, examples: Sequence[tuple[Sample, int]]) -> None:
        self.task, self.examples = task, examples
        self._made: dict[int, Sequence[Triplet]] = {}

    def __len__(self) -> int:
        return len(self.examples)

    def key(self, number: int) -> str:
        return self.examples[number][0].key

    def answers(self, number: int, *, plain: bool) -> Sequence[Triplet]:
        """Its answers to all that can be asked of it, or with `plain` to one question; none of a sample that is bad."""
        if number not in self._made:
            try:
                sample, item = self.examples[number]
                rng = numpy_rng(0, "example", sample.key, item)
                task = self.task
                made = [task.encode(sample, item, rng, train=False)] if plain else task.queries(sample, item)
            except BadSampleError:
                made = []
            self._made[number] = made
        return self._made[number]


class _Cells(ExamplePair):
    """What `with_example` makes. No configuration names it: the base is abstract, and so no choice."""

    @classmethod
    def example(cls, rng: np.random.Generator) -> Sample:
        """Of the object alone, see `ExamplePair._drawn`: the class has no task that could draw one."""
        raise ConfigError("samples are drawn by the task that shows examples: ask the object, not its class.")


def _in_cells(queries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [in_cell(query) for query in queries]


def with_example(task: Task, example: ExampleName | None) -> Task:
    """A task with or without an example beside each question.

    Raises:
        ConfigError: there is no such kind of example, or the task cannot be painted in cells.
    """
    if example is None:
        return task
    check_choice("example", example, ExampleName)
    return task if isinstance(task, ExamplePair) else _Cells(task)
