"""What the tasks of this project answer, and what their answers are scored against.

A task of one's own takes these or declares its own: a dataclass of `idiff.types.Prediction` and one of `idiff.types.Truth` with any
fields, and metrics that read them. `expect` asks for a certain kind.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar

from torch import Tensor

from idiff.errors import ConfigError
from idiff.types import Prediction, Truth

T = TypeVar("T", bound=Prediction | Truth)


@dataclass(kw_only=True)
class MaskPrediction(Prediction):
    """One region: `mask` bool (H, W); `scores` float32 (H, W) in [0, 1], larger than 0.5 inside of it, where they are known."""

    mask: Tensor
    scores: Tensor | None = None


@dataclass(kw_only=True)
class MaskTruth(Truth):
    """One region: `mask` bool (H, W). `held_out`: training never used this query's words together."""

    mask: Tensor
    held_out: bool = False


@dataclass(kw_only=True)
class ClassMasksPrediction(Prediction):
    """Several classes, each on its own.

    Attributes:
        masks: class index -> bool (H, W), for each asked class.
        scores: float32 (K, H, W) in [0, 1], one map a class, where they are known.
    """

    masks: dict[int, Tensor]
    scores: Tensor | None = None


@dataclass(kw_only=True)
class LabelMapPrediction(ClassMasksPrediction):
    """Classes merged by score into one label map: `labels` integer (H, W); void as `idiff.types.void_of` says."""

    labels: Tensor
    masks: dict[int, Tensor] = field(default_factory=dict)


@dataclass(kw_only=True)
class LabelMapTruth(Truth):
    """What a label map says.

    Attributes:
        labels: uint8 (H, W), 255 = void, or uint16, 65535 = void.
        absent: index of the one absent class that `mciou` asks, where there is one.
    """

    labels: Tensor
    absent: int | None = None


@dataclass(kw_only=True)
class KeypointPrediction(Prediction):
    """`keypoints`: float32 (K, 3), x, y, score; NaN, NaN, 0 where nothing was painted.

    K joints of the query, or all joints of the skeleton once combined.
    """

    keypoints: Tensor


@dataclass(kw_only=True)
class KeypointTruth(Truth):
    """The joints of one person.

    Attributes:
        keypoints: float32 (K, 3): x, y, visibility (0, 1, 2).
        box: (x, y, w, h) in pixels.
        sigmas: OKS sigmas (K,); none where OKS is not asked.
        area: pixels squared, as COCO's `area`; None: it is taken from the box.
    """

    keypoints: Tensor
    box: tuple[float, float, float, float]
    sigmas: tuple[float, ...] = ()
    area: float | None = None


@dataclass(kw_only=True)
class BoxPrediction(Prediction):
    """`boxes`: float32 (N, 6), x, y, w, h in pixels, score in [0, 1], class index; N found objects, best first."""

    boxes: Tensor


@dataclass(kw_only=True)
class BoxTruth(Truth):
    """`boxes`: float32 (M, 5), x, y, w, h in pixels, class index; M objects."""

    boxes: Tensor


@dataclass(kw_only=True)
class InstancesPrediction(Prediction):
    """Objects, each with its pixels.

    Attributes:
        masks: bool (N, H, W), the surest first.
        sure: float32 (N,), in [0, 1].
        classes: int64 (N,), class indices.
        scores: float32 (K, H, W) in [0, 1], one map a color; of one prompt, before prompts are combined.
    """

    masks: Tensor
    sure: Tensor
    classes: Tensor
    scores: Tensor | None = None


@dataclass(kw_only=True)
class InstancesTruth(Truth):
    """The objects of an image.

    Attributes:
        masks: M masks in COCO's compressed run-length encoding, see `idiff.utils.masks`.
        classes: their M class indices.
        crowds: which of them are crowds: what is found on one is neither right nor wrong.
        beyond: how many objects got no color, because a class has more objects than there are colors.
    """

    masks: list[dict[str, Any]]
    classes: list[int]
    crowds: list[bool] = field(default_factory=list)
    beyond: int = 0


@dataclass(kw_only=True)
class ClassPrediction(Prediction):
    """`class_scores`: class index -> score in [0, 1], for each class that was named."""

    class_scores: dict[int, float]


@dataclass(kw_only=True)
class ClassTruth(Truth):
    """`category`: index of the image's class; None where it is unknown."""

    category: int | None


@dataclass(kw_only=True)
class MapPrediction(Prediction):
    """A number or a vector at every pixel: `values` float32 (H, W) or (H, W, C)."""

    values: Tensor


@dataclass(kw_only=True)
class DepthPrediction(MapPrediction):
    """`values`: float32 (H, W), meters > 0 along the optical axis; with `relative` 0 to 1, of which scale and offset are free."""

    relative: bool = False


@dataclass(kw_only=True)
class DepthTruth(Truth):
    """`depth`: float32 (H, W), meters along the optical axis; 0 where it is not known."""

    depth: Tensor


@dataclass(kw_only=True)
class NormalsTruth(Truth):
    """`normals`: float32 (H, W, 3), unit vectors in camera axes (x right, y up, z to the viewer); 0 where they are not known."""

    normals: Tensor


@dataclass(kw_only=True)
class EdgesTruth(Truth):
    """`maps`: bool (A, H, W), the edges that each of A annotators drew."""

    maps: Tensor


@dataclass(kw_only=True)
class ImagePrediction(Prediction):
    """`picture`: float32 (3, H, W) in [-1, 1], an edited or restored image."""

    picture: Tensor


@dataclass(kw_only=True)
class ImageTruth(Truth):
    """`picture`: float32 (3, H, W) in [-1, 1], the wanted image; `caption`: what it shows, in words, where that is known."""

    picture: Tensor
    caption: str | None = None


@dataclass(kw_only=True)
class ChangedImageTruth(ImageTruth):
    """`source`: float32 (3, H, W) in [-1, 1], the image before."""

    source: Tensor


@dataclass(kw_only=True)
class EditTruth(ChangedImageTruth):
    """An edit.

    Attributes:
        mask: bool (H, W), the edited region.
        source_caption: what the source shows, in words.
    """

    mask: Tensor
    source_caption: str | None = None


def expect(value: Prediction | Truth, kind: type[T], *, by: str, key: str | None = None) -> T:
    """Return a prediction or a truth that must be of a certain kind.

    Args:
        value: what a task returned.
        kind: what it must be.
        by: who needs it, for the error.
        key: the item's key, for the error; None: that of the value itself.

    Raises:
        ConfigError: it is of another kind.
    """
    if not isinstance(value, kind):
        if key is None:
            key = value.key if isinstance(value, Truth) else value.query.get("key", "")
        method = "truth()" if issubclass(kind, Truth) else "combine()"
        raise ConfigError(
            f"{by} got a {type(value).__name__} for '{key}', expected a {kind.__name__}: "
            f"let the task's {method} return one, or leave out what needs it."
        )
    return value
