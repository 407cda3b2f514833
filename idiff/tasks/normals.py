"""Surface normals from one image: unit vectors painted as colors, (n + 1) / 2."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from idiff.errors import BadSampleError
from idiff.predictions import MapPrediction, NormalsTruth
from idiff.tasks.common.dense import DenseTask, room_with_a_box
from idiff.tasks.common.view import View, needed_map
from idiff.transforms.geometry import mirrors, warp_map
from idiff.types import Picture, Prediction, Sample, Truth

if TYPE_CHECKING:
    from torchmetrics import MetricCollection


class SurfaceNormals(DenseTask):
    """Paint the direction that each surface faces as the color (n + 1) / 2; read the direction back from the color.

    Shapes: images (3, H, W) float32 in [-1, 1]; normals (H, W, 3), unit vectors in camera axes: x right, y up, z to the viewer, so
    that what faces the camera is light blue. Source: Gabeur et al., arXiv 2604.20329. The sample's map `normals` is float
    (H, W, 3); 0 is not known, and is not painted. Where training mirrors, vectors are mirrored, too.

    Args:
        options: arguments of `DenseTask`.

    Raises:
        ConfigError: an argument that cannot be used.
    """

    kind, maps, channels = "normals", ("normals",), 3
    headline, headline_lower_is_better, headline_range = "mean_angle", True, 90.0

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)

    def known(self, sample: Sample) -> NDArray[np.float32]:
        """Unit vectors, 0 where not known. See `DenseTask.known`."""
        values = needed_map(sample, "normals", channels=3)
        if values.dtype.kind != "f":
            raise BadSampleError(sample.key, "normals", f"got {values.dtype}, expected vectors as float")
        lengths = np.linalg.norm(values.astype(np.float64), axis=-1, keepdims=True)
        good = np.isfinite(lengths) & (lengths > 1e-6)
        return np.where(good, values / np.where(good, lengths, 1), 0).astype(np.float32)

    def paint(self, values: NDArray[np.float32], view: View) -> tuple[Tensor, Tensor]:
        """Colors and where there are any. See `DenseTask.paint`."""
        seen = warp_map(values, view.matrix, view.size, outside=0)
        turn = view.matrix[:, :2] / np.sqrt(abs(np.linalg.det(view.matrix[:, :2])))  # image axes: y down
        flat = (seen[..., :2] * (1, -1)) @ turn.T * (1, -1)
        turned = torch.from_numpy(np.concatenate([flat, seen[..., 2:]], axis=-1).astype(np.float32))
        return (turned / 2 + 0.5).movedim(-1, 0), torch.from_numpy((seen != 0).any(axis=-1))

    def read(self, colors: Tensor, query: dict[str, Any]) -> MapPrediction:
        """Unit vectors in the model's pixels, surer the nearer their colors are to length 1. See `DenseTask.read`."""
        vectors = (2 * colors - 1).movedim(0, -1)
        score = 1 - (vectors.norm(dim=-1) - 1).abs().mean().clamp(0, 1)
        return MapPrediction(query=query, score=float(score), values=_unit(vectors))

    def planes(self, prediction: Prediction, query: dict[str, Any]) -> Tensor:
        """x, y and z; where the image was mirrored, x is turned back. See `DenseTask.planes`."""
        assert isinstance(prediction, MapPrediction)
        vectors = prediction.values.movedim(-1, 0)
        mirrored = mirrors(np.asarray(query["warp"], dtype=np.float64))
        return vectors * vectors.new_tensor([-1.0 if mirrored else 1.0, 1.0, 1.0])[:, None, None]

    def merged(self, prediction: Prediction, planes: Tensor) -> Prediction:
        """Of length 1 again. See `DenseTask.merged`."""
        assert isinstance(prediction, MapPrediction)
        return replace(prediction, values=_unit(planes.movedim(0, -1)))

    def truth(self, annotation: dict[str, Any]) -> Truth:
        """Unit vectors of the original image. See `Task.truth`."""
        return NormalsTruth(key=annotation["key"], normals=torch.from_numpy(annotation["values"]))

    def metrics(self) -> MetricCollection:
        """`mean_angle`, `median_angle`, `within_11`, `within_22` and `within_30`. See `Task.metrics`."""
        from torchmetrics import MetricCollection

        from idiff.metrics.normals import WITHIN, MeanAngle, MedianAngle, WithinAngle

        shares = {name: WithinAngle(name, degrees) for name, degrees in WITHIN.items()}
        return MetricCollection({"mean_angle": MeanAngle(), "median_angle": MedianAngle(), **shares})

    def baseline(self, truths: Iterable[Truth]) -> tuple[str, Callable[[dict[str, Any]], Prediction]] | None:
        """`mean_normal`, the same everywhere. See `Task.baseline`."""
        total = torch.zeros(3, dtype=torch.float64)
        for truth in truths:
            assert isinstance(truth, NormalsTruth)
            total += truth.normals.double().sum(dim=(0, 1))
        if not total.any():
            return None
        mean = _unit(total).float()
        return "mean_normal", lambda query: MapPrediction(query=query, values=mean.expand(*query["size"], 3))

    def render(self, prediction: Prediction, picture: Picture) -> Picture:
        """The colors (n + 1) / 2. See `Task.render`."""
        assert isinstance(prediction, MapPrediction)
        return (prediction.values.cpu().clamp(-1, 1) * 127.5 + 127.5).round().byte().numpy()

    def stored(self, prediction: Prediction) -> dict[str, NDArray[Any]]:
        """`_normals.png`: 16 bits, (n + 1) / 2 from 0 to 65,535. See `Task.stored`."""
        assert isinstance(prediction, MapPrediction)
        scaled = (prediction.values.cpu().double().clamp(-1, 1) + 1) * 32767.5
        return {"_normals.png": scaled.round().numpy().astype(np.uint16)}

    @classmethod
    def example(cls, rng: np.random.Generator) -> Sample:
        """A slanted wall with a box before it. See `Task.example`."""
        return room_with_a_box(rng)


def _unit(vectors: Tensor) -> Tensor:
    """Vectors (..., 3) of length 1; towards the viewer where there is no direction."""
    lengths = vectors.norm(dim=-1, keepdim=True)
    return torch.where(lengths > 1e-6, vectors / lengths.clamp(min=1e-6), vectors.new_tensor([0.0, 0.0, 1.0]))
