"""The shapes and ranges of everything that travels between packages.

Legend, used in every docstring: B batch, C channels, H height, W width, K joints, N classes.
Images of the model are float32 (3, H, W) in [-1, 1]; images on disk are uint8 (H, W, 3) RGB.
Points are (x, y) in pixels with pixel centres at whole numbers: the left column is x = 0, a mirror maps x to W - 1 - x,
and resizing by s maps x to (x + 0.5) * s - 0.5. Label maps are integers (H, W) with 255 = void;
those of 16 bits have 65535 = void.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from idiff.sampling import Sampling as Sampling  # noqa: PLC0414 (it is offered here, too)

VOID = 255
"""The label that no metric counts."""

Picture = NDArray[np.uint8]
"""uint8 (H, W, 3) RGB."""

Labels = NDArray[np.uint8]
"""uint8 (H, W), 255 = void."""

WideLabels = NDArray[np.uint16]
"""uint16 (H, W), 65535 = void: for more classes than 8 bits can number."""

AnyLabels = NDArray[np.unsignedinteger]
"""A label map of either type; `void_of` tells its void."""

WIDE_VOID = 65_535
"""What `VOID` is in a label map of 16 bits."""

MOST_CLASSES = 4_095
"""How many classes the label maps of one set may have where a task reads them."""


def void_of(labels: AnyLabels | Tensor) -> int:
    """The value that is void in a label map: 65535 of uint16, else 255."""
    wide: object = torch.uint16 if isinstance(labels, Tensor) else np.dtype(np.uint16)
    return WIDE_VOID if labels.dtype == wide else VOID


def highest_label(labels: AnyLabels) -> int:
    """The highest value of a label map that is not void; -1 where all are void."""
    return int((labels + labels.dtype.type(1)).max(initial=0)) - 1  # void, the type's highest value, becomes 0


def label_type(classes: int) -> type[np.uint8] | type[np.uint16]:
    """The type of label maps of so many classes: uint8 with 255 = void, or uint16 with 65535 = void."""
    return np.uint8 if classes <= VOID else np.uint16


@dataclass(slots=True)
class Sample:
    """One image and the facts about it, as read from a raw data set or a shard. Never painted pixels.

    Attributes:
        key: unique in its set; letters, digits, `_` and `-` only (it names files).
        image: uint8 (H, W, 3) RGB.
        annotation: JSON-able facts about this image. The lists `instances` and `phrases`, where present, are its items:
            `instances`: `{"category": str, "keypoints": [[x, y, v], ...], "box": [x, y, w, h], "area": float, "id": int}`
            (v: 0 not labelled, 1 hidden, 2 visible, as COCO), and `"mask": {"size": [H, W], "counts": str}` (COCO's
            compressed run-length encoding); `phrases`: `{"text": str, "instances": [int, ...]}`, none: nothing fits.
        meta: facts shared by the whole set, from its manifest. `classes`: class names, the label map's value is the index;
            `skeletons`: category -> `{"joints": [str], "pairs": [[left, right]], "sigmas": [float]}`.
        label: uint8 (H, W) label map, 255 = void, or uint16, 65535 = void; where the set has one.
        target: uint8 (H, W, 3) given answer (editing, restoration), where the set has one.
        rejected: uint8 (H, W, 3) answer that people found worse than the target, where the set has one.
        maps: further numbers for each pixel by name, such as `depth`: bool, int, uint or float, (H, W) or (H, W, C).
        examples: other samples of the set, each with one of its items, in the order in which they are tried as an example pair;
            None: none are at hand.
    """

    key: str
    image: Picture
    annotation: dict[str, Any]
    meta: Mapping[str, Any] = field(default_factory=dict)
    label: Labels | WideLabels | None = None
    target: Picture | None = None
    rejected: Picture | None = None
    maps: dict[str, NDArray[Any]] = field(default_factory=dict)
    examples: Sequence[tuple[Sample, int]] | None = None


@dataclass(slots=True)
class Parts:
    """What is where in a source image, in words.

    Attributes:
        labels: uint8 (H, W), indices into `names`; `VOID` where it is unknown.
        names: such as classes or joints; `background` is the rest.
    """

    labels: Tensor
    names: list[str]


@dataclass(slots=True)
class Triplet:
    """One training or evaluation example: instruction, source image, target image.

    Attributes:
        key: the sample's key and item, such as `000123/2`.
        source: float32 (3, H, W) in [-1, 1]; None for text-to-image.
        instruction: the prompt.
        target: float32 (3, H, W) in [-1, 1].
        query: what a predictor may know: the asked class or joints, colors, size of the original image. JSON-able.
            `group`: queries of one group are combined into one prediction.
        annotation: the truth, read by `Task.truth` alone. Values are JSON-able or numpy arrays.
        answer: float32 (C, H, W) in [0, 1]: the dense mask or heatmaps that encode drew, for training a learned decoder.
        parts: what all of the source shows, where the data says so.
        rejected: float32 (3, H, W) in [-1, 1]: an answer that people found worse than the target, where the data has one.
    """

    key: str
    source: Tensor | None
    instruction: str
    target: Tensor
    query: dict[str, Any]
    annotation: dict[str, Any]
    answer: Tensor | None = None
    parts: Parts | None = None
    rejected: Tensor | None = None


@dataclass(slots=True, kw_only=True)
class BatchBase:
    """What every batch says of its B examples; what they are is added by `Batch`, `LatentBatch` and `SentenceBatch`.

    Attributes:
        keys, instruction: one entry an example.
        position: int64 (B,): the example's position in the data stream; seeds its noise.
        task: the name of the example's task in the configuration, one entry an example.
        bad: names of the bad samples (`shard:key: field: reason`) that were met and substituted while this batch was read.
    """

    keys: list[str]
    instruction: list[str]
    position: Tensor
    task: list[str]
    bad: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.keys)

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Self:
        """Move the tensors to a device. The rest stays."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        moved: dict[str, Any] = {
            name: value.to(device, non_blocking=non_blocking)
            for name, value in values.items()
            if isinstance(value, Tensor)
        }
        return replace(self, **moved)


@dataclass(slots=True, kw_only=True)
class Batch(BatchBase):
    """Triplets of one task or of a mixture, stacked.

    Attributes:
        source: float32 (B, 3, H, W) in [-1, 1], or None for text-to-image.
        target: float32 (B, 3, H, W) in [-1, 1].
        query: one entry an example.
        annotation: one entry an example, empty in training.
        answer: float32 (B, C, H, W) in [0, 1], padded with empty maps to the most C, where every example has one.
        parts: one entry an example: what its source shows, or None.
        rejected: float32 (B, 3, H, W) in [-1, 1], where every example has one: an answer that people found worse than the target.
        sampling: how validation samples these examples; None: the stage's default.
        group_sizes: in evaluation, how many prompts each item has; the examples of one follow one another. Empty: one each.
        image_index: in evaluation, int64 (B,): which of the distinct source images an example has, counted from 0; examples of one
            image follow one another. None: not known.
    """

    source: Tensor | None
    target: Tensor
    query: list[dict[str, Any]]
    annotation: list[dict[str, Any]]
    answer: Tensor | None = None
    parts: list[Parts | None] = field(default_factory=list)
    rejected: Tensor | None = None
    sampling: Sampling | None = None
    group_sizes: list[int] = field(default_factory=list)
    image_index: Tensor | None = None


@dataclass(slots=True, kw_only=True)
class LatentBatch(BatchBase):
    """What the frozen autoencoder and text encoder made of examples beforehand, out of a latent cache.

    Attributes:
        query: one entry an example.
        mean, std: float (B, C, h, w), the posterior of the target, unscaled.
        source: float (B, C, h, w), the posterior mode of the source, unscaled; None for text-to-image.
        changed: bool (B, 1, h, w), cells in which the target differs from the source; None for text-to-image.
        states: float (P, L, D), hidden states of the distinct prompts of this batch; the first is of the empty prompt.
        prompt: int64 (B,), which of them is the example's.
        made_by: SHA-256 of the autoencoder's and the text encoder's weights.
        labels: uint8 (B, H, W): `Parts.labels` of the examples, where any has some.
        names: `Parts.names` of each example, or None.
    """

    query: list[dict[str, Any]]
    mean: Tensor
    std: Tensor
    source: Tensor | None
    changed: Tensor | None
    states: Tensor
    prompt: Tensor
    made_by: tuple[str, str]
    labels: Tensor | None
    names: list[list[str] | None]

    @property
    def parts(self) -> list[Parts | None]:
        """What the source of each example shows: views of `labels`."""
        if self.labels is None:
            return [None] * len(self)
        return [
            None if names is None else Parts(labels, names)
            for labels, names in zip(self.labels, self.names, strict=True)
        ]


@dataclass(slots=True, kw_only=True)
class SentenceBatch(BatchBase):
    """Instructions without images, for the text encoder's own training.

    Attributes:
        facts: what each instruction says, question -> answer; one entry an example.
    """

    facts: list[dict[str, str]]


@dataclass(slots=True)
class Painted:
    """What a stage painted for a batch, in validation and prediction.

    Attributes:
        images: float32 (B, 3, H, W) in [-1, 1].
        sources: float32 (B, 3, H, W): the sources through the autoencoder; the targets, where there is no source.
        evaluations: U-Net samples that each example took; empty where the stage has no U-Net.
    """

    images: Tensor
    sources: Tensor
    evaluations: list[int] = field(default_factory=list)


@dataclass(kw_only=True)
class Prediction:
    """What a decoder read out of one painted image, or what `combine` made of a group of them.

    A base: a task declares a dataclass with what it answers; see `idiff.predictions`.

    Attributes:
        query: the query that was answered (for a combined prediction: the first one).
        score: confidence in [0, 1] of the whole answer.
    """

    query: dict[str, Any]
    score: float = 0.0


@dataclass(kw_only=True)
class Truth:
    """The facts a prediction is scored against, in the pixels of the original image. A base, as `Prediction` is.

    Attributes:
        key: the sample's key (names the image in results).
    """

    key: str
