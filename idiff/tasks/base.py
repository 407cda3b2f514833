"""What a vision task is: how to paint its answer, how to read it back, how to score it.

A task knows nothing of diffusion, Lightning or files. A new task is one subclass and one YAML under `configs/task`;
`tests/tasks/test_contract.py` then checks the promises below without being told its name.
"""

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from idiff.errors import ConfigError
from idiff.types import Picture, Prediction, Sample, Triplet, Truth
from idiff.utils.settings import parameters

if TYPE_CHECKING:
    from torchmetrics import MetricCollection

OwnMetric = str | dict[str, Any]
"""A metric of one's own: `module.Class`, or `{class_path: module.Class, init_args: {...}}`."""


class Task(ABC):
    """Base of every task. Randomness comes in as `rng`; the same rng state gives the same triplet.

    The contract:

    * `encode` paints one training example. Joint crops and flips come first, painting after. With `train=False` there is no
      augmentation. Everything that is not painted equals the (transformed) source exactly.
    * `queries` is for evaluation: deterministic, complete, nothing drawn at random. The queries of one item share a `group`.
      They come from the transformed image that `encode(..., train=False)` uses. Each `query` says where the model's pixels lie
      in the original image: `"warp"`, a 2x3 matrix from original to model pixels, and `"size"`, the original (height, width).
    * `decode` reads a batch of images. It gets queries, never annotations: it cannot reach the truth.
    * `combine` turns the predictions of one group into one, in the pixels of the original image.
    * `truth` turns a triplet's annotation into what metrics compare with, in the pixels of the original image.
    * Oracle round trip: decoding the painted target scores near-perfect, the untouched source does not.

    Attributes:
        kind: short name; names the instruction bank file and the synthetic scenes that suit it.
        unit: what one item of a sample is: `picture` (one item), or the annotation list whose entries are items
            (`instances`, `phrases`).
        maps: names of the maps of numbers that it reads (`Sample.maps`); sources that can make them serve the task.
        scenes: kind of the task whose drawn scenes serve this one, too; empty: its own.
        headline: the metric that stands for the task in `val/score`; see `headline_share`.
        headline_range: what the headline is divided by there, so that decibels and shares weigh alike.
        headline_lower_is_better: the headline falls as the model improves, as an error does.
        headline_of_one_prompt: the metric that stands for the headline where one prompt of an item is scored alone, where the
            headline itself is made of all prompts of an item; None: the headline.
        settings: the constructor's arguments, defaults included, as they were given. Noted when the task is made, so that a
            checkpoint can name the task and a cache can compare it without help from the subclass. A parameter that only says how
            answers are asked for or read is marked: `Annotated[float, READING]`, see `idiff.utils.settings`.
        one_size: all images that evaluation asks about have the same size for the model, so that they can share a batch.
        former: constructor arguments whose defaults were others in earlier versions, with those: they hold for a task that such a
            version saved without them.
        more_metrics: name -> a metric of one's own, see `OwnMetric`, that is scored beside those of `metrics`.
        clip_metrics: metrics of `idiff.metrics.clip` that score its images where a CLIP model is given.
        again: kind of the task that reads what this one painted, see `asked_again`; None: none does.
    """

    kind: ClassVar[str]
    unit: ClassVar[str] = "picture"
    maps: ClassVar[tuple[str, ...]] = ()
    scenes: ClassVar[str] = ""
    headline: ClassVar[str]
    headline_range: ClassVar[float] = 1.0
    headline_lower_is_better: ClassVar[bool] = False
    headline_of_one_prompt: ClassVar[str | None] = None
    settings: dict[str, Any]
    one_size: bool = True
    former: ClassVar[Mapping[str, Any]] = {}
    more_metrics: Mapping[str, OwnMetric] = {}
    clip_metrics: ClassVar[tuple[str, ...]] = ()
    again: str | None = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Note the constructor's arguments."""
        task = super().__new__(cls)
        signature = inspect.signature(cls)
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:  # __init__ will say what is wrong; and unpickling calls this without arguments
            return task
        known = parameters(cls).items()
        task.settings = {name: each.default for name, each in known if each.default is not each.empty}
        for name, value in bound.arguments.items():
            further = signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD  # on its way to a base class
            task.settings |= value if further else {name: value}
        return task

    @classmethod
    def headline_share(cls, value: float) -> float:
        """What a value of the headline adds to `val/score`, the mean over tasks; larger is better, nan stays nan.

        This is value / `headline_range`. Of an error (`headline_lower_is_better`) it is 1 - value / `headline_range`, kept within
        0 and 1: an error of `headline_range` or more adds nothing.
        """
        share = value / cls.headline_range
        if not cls.headline_lower_is_better or math.isnan(share):
            return share
        return 1.0 - min(max(share, 0.0), 1.0)

    @abstractmethod
    def encode(self, sample: Sample, item: int, rng: np.random.Generator, *, train: bool) -> Triplet:
        """Paint one example.

        Args:
            sample: image and facts.
            item: which item of the sample, 0 <= item < count of `unit`.
            rng: the only source of randomness.
            train: draw augmentations.

        Raises:
            BadSampleError: the sample lacks a field this task needs, or the field is of another type or shape.
        """

    @abstractmethod
    def queries(self, sample: Sample, item: int) -> list[Triplet]:
        """All evaluation prompts of one item, in order. Same errors as `encode`."""

    def asked(self, picture: Picture, text: str) -> Sample:
        """A sample that asks something in a person's own words, without any truth: `queries` of it are what they mean.

        Args:
            picture: uint8 (H, W, 3).
            text: what is asked: a class, a phrase, joints, a sentence.

        Raises:
            ConfigError: the text cannot be used, or the task takes no words (this base).
        """
        raise ConfigError(f"the task '{self.kind}' cannot be asked in words: its class has no `asked`.")

    def asked_again(self, picture: Picture, annotation: dict[str, Any]) -> Sample | None:
        """What the task `again` is asked of a picture that this one painted; this base: nothing.

        `idiff evaluate` asks the same model, and scores what it reads beside what it reads from the true picture.

        Args:
            picture: uint8 (H, W, 3), of the original's size.
            annotation: of the triplet.

        Returns:
            the picture with the truth that it should show; None where that is not known.
        """
        return None

    @abstractmethod
    def decode(self, edited: Tensor, rendered: Tensor, queries: Sequence[dict[str, Any]]) -> Sequence[Prediction]:
        """Read the answers back.

        Args:
            edited: float32 (B, 3, H, W) in [-1, 1], what the model painted.
            rendered: float32 (B, 3, H, W), the source as the autoencoder renders it.
            queries: B queries.
        """

    @abstractmethod
    def combine(self, predictions: Sequence[Prediction], queries: Sequence[dict[str, Any]]) -> Prediction:
        """Join the predictions of one group, back in the pixels of the original image."""

    @abstractmethod
    def truth(self, annotation: dict[str, Any]) -> Truth:
        """What metrics compare a combined prediction with, in the pixels of the original image."""

    def truth_of_prompt(self, annotation: dict[str, Any], query: dict[str, Any]) -> Truth:
        """What one prompt of a group is scored against alone; this base: what the group is."""
        return self.truth(annotation)

    @abstractmethod
    def metrics(self) -> MetricCollection:
        """Fresh metrics; each `update(prediction: Prediction, truth: Truth)`, `compute()` of nothing is nan."""

    def all_metrics(self) -> MetricCollection:
        """Fresh metrics: the task's, and `more_metrics`.

        Raises:
            ConfigError: a path names no metric, or a name is one of the task's.
        """
        from idiff.metrics.own import own_metric

        metrics = self.metrics()
        for name, path in self.more_metrics.items():
            if name in metrics.keys():  # noqa: SIM118 (a MetricCollection, whose `in` looks at attributes)
                raise ConfigError(
                    f"metric '{name}' is one of the task '{self.kind}' already: give {path} another name."
                )
            metrics.add_metrics({name: own_metric(path)})
        return metrics

    @abstractmethod
    def baseline(self, truths: Iterable[Truth]) -> tuple[str, Callable[[dict[str, Any]], Prediction]] | None:
        """The blind baseline, as a floor for every score.

        Args:
            truths: what to fit it on.

        Returns:
            its name (`mean_pose`, `largest_class`) and a function from a group's first query to a combined prediction; None where
            no such answer makes sense.
        """

    @abstractmethod
    def render(self, prediction: Prediction, picture: Picture) -> Picture:
        """Draw a combined prediction over the original image, for people to look at.

        Args:
            prediction: what `combine` returned.
            picture: uint8 (H, W, 3), the original.

        Returns:
            uint8 (H, W, 3).
        """

    def stored(self, prediction: Prediction) -> dict[str, NDArray[Any]]:
        """What a combined prediction is stored as besides its picture; this base: nothing.

        Returns:
            end of a file's name, such as `_depth.png` -> uint8 or uint16 (H, W) or (H, W, 3) RGB.
        """
        return {}

    @classmethod
    @abstractmethod
    def example(cls, rng: np.random.Generator) -> Sample:
        """A drawn sample with exact truth, for the contract test."""
