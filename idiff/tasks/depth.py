"""Depth from one image: meters painted as colors along a path through the RGB cube, or relative depth as gray."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from idiff.checks import check_choice, check_number
from idiff.errors import BadSampleError
from idiff.predictions import DepthPrediction, DepthTruth
from idiff.tasks.common.dense import DenseTask, room_with_a_box
from idiff.tasks.common.view import View, needed_map
from idiff.transforms.geometry import warp_map
from idiff.types import Picture, Prediction, Sample, Truth
from idiff.utils import cube_path
from idiff.utils.depth_crops import Crop, scored_pixels
from idiff.utils.settings import READING

if TYPE_CHECKING:
    from torchmetrics import MetricCollection

Scale = Literal["metric", "relative"]

FARTHEST = 80.0
"""Meters. What is read back lies between `NEAREST` and here."""

NEAREST = 0.1


class DepthEstimation(DenseTask):
    """Paint how far away each pixel is; read meters back from the nearest place of the color path.

    Shapes: images (3, H, W) float32 in [-1, 1]; depth (H, W), meters along the optical axis. Source: Gabeur et al., arXiv
    2604.20329: d meters are the place 1 - (1 + d / 10)^-2 of the path, so that near things get most of the colors. Relative
    depth (Ke et al., CVPR 2024): gray from the 2nd to the 98th percentile of the image, near is dark. The sample's map `depth`
    is in millimeters where it has whole numbers, else in meters; 0 is not known, and is not painted. Training mirrors, and never
    crops: another focal length would change what depth looks like.

    Args:
        scale: `metric`, or `relative`: then scores are taken after the alignment of `idiff.metrics.depth.DepthMetric`.
        farthest: meters; nothing farther is read back.
        crop: the part of an image that is scored: `none` (all), `eigen` (NYUv2) or `garg` (KITTI), see `idiff.utils.depth_crops`.
        cap: meters; only what is nearer is scored, and answers are clamped to it. None: no cap.
        min_depth: meters; only what is farther is scored, and answers are clamped to it.
        options: arguments of `DenseTask`.

    Raises:
        ConfigError: an argument that cannot be used.
    """

    kind, maps = "depth", ("depth",)
    headline, headline_lower_is_better = "absrel", True

    def __init__(
        self,
        *,
        scale: Scale = "metric",
        farthest: Annotated[float, READING] = FARTHEST,
        crop: Annotated[Crop, READING] = "none",
        cap: Annotated[float | None, READING] = None,
        min_depth: Annotated[float, READING] = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        check_choice("scale", scale, Scale)
        check_choice("crop", crop, Crop)
        check_number("farthest", farthest, least=1)
        check_number("min_depth", min_depth, least=0)
        check_number("cap", cap, above=min_depth, optional=True)
        self.scale, self.farthest = scale, farthest
        self.protocol: dict[str, Any] = {"crop": crop, "cap": cap, "min_depth": min_depth}

    def known(self, sample: Sample) -> NDArray[np.float32]:
        """Meters, 0 where not known. See `DenseTask.known`."""
        values = needed_map(sample, "depth")
        if values.dtype.kind not in "uif":
            raise BadSampleError(
                sample.key, "depth", f"got {values.dtype}, expected whole millimeters or meters as float"
            )
        meters = values.astype(np.float32) / (1 if values.dtype.kind == "f" else 1000)
        return np.where(np.isfinite(meters) & (meters > 0), meters, 0).astype(np.float32)

    def paint(self, values: NDArray[np.float32], view: View) -> tuple[Tensor, Tensor]:
        """Colors and where there are any. See `DenseTask.paint`."""
        depth = torch.from_numpy(warp_map(values, view.matrix, view.size, outside=0))
        known = depth > 0
        if self.scale == "relative" and known.any():
            low, high = np.percentile(depth[known].numpy(), (2, 98))
            gray = ((depth - float(low)) / max(float(high - low), 1e-6)).clamp(0, 1)
            return gray.expand(3, -1, -1), known
        return cube_path.walk(1 - (1 + depth / 10) ** -2), known

    def read(self, colors: Tensor, query: dict[str, Any]) -> DepthPrediction:
        """Depth in the model's pixels. See `DenseTask.read`."""
        if self.scale == "relative":
            return DepthPrediction(query=query, score=1.0, values=colors.mean(dim=0), relative=True)
        place, away = cube_path.project(colors)
        return DepthPrediction(query=query, score=float(1 - away.mean().clamp(0, 1)), values=self._meters(place))

    def planes(self, prediction: Prediction, query: dict[str, Any]) -> Tensor:
        """The place on the path, or relative depth. See `DenseTask.planes`."""
        assert isinstance(prediction, DepthPrediction)
        values = prediction.values if prediction.relative else 1 - (1 + prediction.values / 10) ** -2
        return values[None]

    def merged(self, prediction: Prediction, planes: Tensor) -> Prediction:
        """Meters again. See `DenseTask.merged`."""
        assert isinstance(prediction, DepthPrediction)
        return replace(prediction, values=planes[0] if prediction.relative else self._meters(planes[0]))

    def truth(self, annotation: dict[str, Any]) -> Truth:
        """Meters of the original image. See `Task.truth`."""
        return DepthTruth(key=annotation["key"], depth=torch.from_numpy(annotation["values"]))

    def metrics(self) -> MetricCollection:
        """`absrel`, `delta1` and `rmse`. See `Task.metrics`."""
        from torchmetrics import MetricCollection

        from idiff.metrics.depth import RMSE, AbsRel, Delta1

        told = self.protocol
        return MetricCollection({"absrel": AbsRel(**told), "delta1": Delta1(**told), "rmse": RMSE(**told)})

    def baseline(self, truths: Iterable[Truth]) -> tuple[str, Callable[[dict[str, Any]], Prediction]] | None:
        """The better of `floors`. See `Task.baseline`."""
        from idiff.metrics.depth import AbsRel

        known = [truth for truth in truths if isinstance(truth, DepthTruth)]
        scored = []
        for name, answer in self.floors(known).items():
            metric = AbsRel(**self.protocol)
            for truth in known:
                metric.update(answer({"size": list(truth.depth.shape)}), truth)
            scored.append((float(metric.compute()), name, answer))
        return min(scored, key=lambda one: one[0])[1:] if scored else None

    def floors(self, truths: Sequence[DepthTruth]) -> dict[str, Callable[[dict[str, Any]], Prediction]]:
        """`best_constant` and `best_plane`, the answers that ignore the image.

        The constant is the median of depth weighted by 1 / depth; the plane is linear over the image, by the least squares of the
        relative error. Both are fitted to what is scored. None of them where that is nothing.
        """
        rows = [_rows(truth.depth, scored_pixels(truth.depth, **self.protocol)) for truth in truths]
        if not sum(map(len, rows)):
            return {}
        every = torch.cat(rows)
        depth, order = every[:, 3], every[:, 3].argsort()
        heavy = (1 / depth[order]).cumsum(0)
        constant = float(depth[order][int((heavy >= heavy[-1] / 2).int().argmax())])
        plane = torch.linalg.lstsq(
            every[:, :3] / depth[:, None], torch.ones(len(every), 1, dtype=torch.float64)
        ).solution

        def flat(query: dict[str, Any]) -> Prediction:
            return DepthPrediction(query=query, values=torch.full(tuple(query["size"]), constant))

        def tilted(query: dict[str, Any]) -> Prediction:
            meters = (_places(*query["size"]) @ plane)[..., 0].clamp(NEAREST, self.farthest)
            return DepthPrediction(query=query, values=meters.float())

        return {"best_constant": flat, "best_plane": tilted}

    def render(self, prediction: Prediction, picture: Picture) -> Picture:
        """Near is red, far is blue, over what the image spans. See `Task.render`."""
        assert isinstance(prediction, DepthPrediction)
        values = prediction.values.cpu().double().clamp(min=0)
        near = 1 / (1 + 4 * values) if prediction.relative else 1 / values.clamp(min=NEAREST)
        low, high = float(near.min()), float(near.max())
        gray = ((near - low) / max(high - low, 1e-9) * 255).round().byte().numpy()
        return np.ascontiguousarray(cv2.applyColorMap(gray, cv2.COLORMAP_TURBO)[..., ::-1])

    def stored(self, prediction: Prediction) -> dict[str, NDArray[Any]]:
        """`_depth.png`: 16 bits, millimeters, most 65,535; of relative depth 0 to 65,535. See `Task.stored`."""
        assert isinstance(prediction, DepthPrediction)
        scaled = prediction.values.cpu().double() * (65535 if prediction.relative else 1000)
        return {"_depth.png": scaled.round().clamp(0, 65535).numpy().astype(np.uint16)}

    @classmethod
    def example(cls, rng: np.random.Generator) -> Sample:
        """A wall with a box before it. See `Task.example`."""
        return room_with_a_box(rng)

    def _meters(self, place: Tensor) -> Tensor:
        return (10 * ((1 - place).clamp(min=1e-6) ** -0.5 - 1)).clamp(NEAREST, self.farthest)


def _places(height: int, width: int) -> Tensor:
    """1, x and y of each pixel, x and y from -1 to 1: float64 (H, W, 3)."""
    y, x = torch.meshgrid(
        *(torch.linspace(-1, 1, side, dtype=torch.float64) for side in (height, width)), indexing="ij"
    )
    return torch.stack([torch.ones_like(x), x, y], dim=-1)


def _rows(depth: Tensor, known: Tensor, most: int = 2000) -> Tensor:
    """1, x, y and the depth of evenly chosen known pixels of one image: float64 (N, 4)."""
    rows = torch.cat([_places(*depth.shape), depth.double()[..., None]], dim=-1)[known]
    return rows[:: max(1, len(rows) // most)]
