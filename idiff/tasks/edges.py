"""Edges of one image: how strong an edge is at each pixel, painted as gray from black to white."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from idiff.checks import check_number
from idiff.errors import BadSampleError
from idiff.predictions import EdgesTruth, MapPrediction
from idiff.tasks.common.dense import DenseTask
from idiff.tasks.common.view import View
from idiff.transforms.geometry import warp_map
from idiff.types import Picture, Prediction, Sample, Truth
from idiff.utils.settings import READING

if TYPE_CHECKING:
    from torchmetrics import MetricCollection

GRID = 64
"""Side of the mean edge map of `EdgeDetection.baseline`."""


class EdgeDetection(DenseTask):
    """Paint edges as soft white lines on black; read the strength of the edge at each pixel from its brightness.

    Shapes: images (3, H, W) float32 in [-1, 1]; strengths (H, W) in [0, 1]. Source: soft edges as of Xie and Tu (HED, ICCV 2015).
    The sample's map `edges` is bool, uint8, uint16 or float in [0, 1], (H, W), or (H, W, A) of A annotators: their mean is
    painted, and each of them is scored against. In a map (H, W) every pixel above 0 is an edge of the truth; truth and answer
    are thinned to lines of one pixel. No crop is trained on, so that lines keep their width.

    Args:
        softness: of the painted lines, the standard deviation of their fall to black in the model's pixels; 0: hard lines.
        tolerance: largest distance of a right edge from the truth, in pixels of the original image.
        thresholds: of strength, that are scored.
        options: arguments of `DenseTask`.

    Raises:
        ConfigError: an argument that cannot be used.
    """

    kind, maps = "edges", ("edges",)
    headline = "ods"

    def __init__(
        self,
        *,
        softness: float = 0.7,
        tolerance: Annotated[float, READING] = 1.0,
        thresholds: Annotated[int, READING] = 19,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        check_number("softness", softness, least=0, most=8)
        self.softness, self.tolerance, self.thresholds = softness, tolerance, thresholds
        self.metrics()  # refuses the other two

    def known(self, sample: Sample) -> NDArray[np.float32]:
        """Strengths, (H, W) or (H, W, A). See `DenseTask.known`."""
        values, size = sample.maps.get("edges"), sample.image.shape[:2]
        if values is None or values.shape[:2] != size or values.ndim not in {2, 3} or not values.size:
            got = "none" if values is None else f"shape {values.shape}"
            raise BadSampleError(
                sample.key, "edges", f"got {got}, expected a map of shape {size} or {size} + (annotators,)"
            )
        if values.dtype.kind not in "buf":
            raise BadSampleError(
                sample.key, "edges", f"got {values.dtype}, expected bool, uint8, uint16, or float from 0 to 1"
            )
        most = np.iinfo(values.dtype).max if values.dtype.kind == "u" else 1
        return np.clip(np.nan_to_num(values.astype(np.float32)) / most, 0, 1).astype(np.float32)

    def paint(self, values: NDArray[np.float32], view: View) -> tuple[Tensor, Tensor]:
        """Gray, wherever the image is. See `DenseTask.paint`."""
        strength = np.ascontiguousarray(values.mean(axis=-1) if values.ndim == 3 else values)
        shrunk = 1 / np.sqrt(abs(np.linalg.det(view.matrix[:, :2])))  # pixels of the original in one of the model's
        if shrunk > 1:  # so that no line falls between two of the model's pixels
            strength = cv2.dilate(strength, np.ones((2 * int(np.ceil((shrunk - 1) / 2)) + 1,) * 2, np.uint8))
        soft = _softened(warp_map(np.asarray(strength, np.float32), view.matrix, view.size, outside=0), self.softness)
        return torch.from_numpy(soft).expand(3, -1, -1), view.seen

    def read(self, colors: Tensor, query: dict[str, Any]) -> MapPrediction:
        """Strengths in the model's pixels, surer the grayer the colors are. See `DenseTask.read`."""
        gray = 1 - (colors.amax(dim=0) - colors.amin(dim=0)).mean().clamp(0, 1)
        return MapPrediction(query=query, score=float(gray), values=colors.mean(dim=0))

    def truth(self, annotation: dict[str, Any]) -> Truth:
        """The edges of each annotator. See `Task.truth`."""
        values = torch.from_numpy(annotation["values"])
        return EdgesTruth(
            key=annotation["key"], maps=values[None] > 0 if values.ndim == 2 else values.movedim(-1, 0) > 0
        )

    def metrics(self) -> MetricCollection:
        """`ods`, `ois` and `ap`. See `Task.metrics`."""
        from torchmetrics import MetricCollection

        from idiff.metrics.edges import ODS, OIS, EdgeAP

        options = (self.tolerance, self.thresholds)
        return MetricCollection({"ods": ODS(*options), "ois": OIS(*options), "ap": EdgeAP(*options)})

    def baseline(self, truths: Iterable[Truth]) -> tuple[str, Callable[[dict[str, Any]], Prediction]] | None:
        """`mean_edges`: where edges are in the mean over images, the strongest 1. See `Task.baseline`."""
        grids = []
        for truth in truths:
            assert isinstance(truth, EdgesTruth)
            mean = truth.maps.float().mean(dim=0).cpu().numpy()
            grids.append(cv2.resize(mean, (GRID, GRID), interpolation=cv2.INTER_AREA))
        mean = np.mean(grids, axis=0) if grids else np.zeros((GRID, GRID))
        if not mean.any():
            return None
        scaled = (mean / mean.max()).astype(np.float32)

        def answer(query: dict[str, Any]) -> Prediction:
            height, width = query["size"]
            return MapPrediction(query=query, values=torch.from_numpy(cv2.resize(scaled, (int(width), int(height)))))

        return "mean_edges", answer

    def render(self, prediction: Prediction, picture: Picture) -> Picture:
        """Orange lines over the darkened image. See `Task.render`."""
        assert isinstance(prediction, MapPrediction)
        strength = prediction.values.cpu().clamp(0, 1).numpy()[..., None]
        drawn = picture * (1 - strength) * 0.4 + np.array([255.0, 150.0, 20.0]) * strength
        return np.asarray(np.rint(drawn), np.uint8)

    def stored(self, prediction: Prediction) -> dict[str, NDArray[Any]]:
        """`_edges.png`: 8 bits, 0 to 255. See `Task.stored`."""
        assert isinstance(prediction, MapPrediction)
        return {"_edges.png": (prediction.values.cpu().clamp(0, 1) * 255).round().byte().numpy()}

    @classmethod
    def example(cls, rng: np.random.Generator) -> Sample:
        """A square on a noisy ground. See `Task.example`."""
        height, width, side, y, x = rng.integers((72, 72, 24, 4, 4), (100, 100, 44, 24, 24)).tolist()
        image, edges = rng.integers(90, 166, (height, width, 3)).astype(np.uint8), np.zeros((height, width), np.uint8)
        image[y : y + side, x : x + side] = rng.integers(60, 196, 3)
        cv2.rectangle(edges, (x, y), (x + side - 1, y + side - 1), 255, 1)
        return Sample(key="example", image=image, annotation={}, maps={"edges": edges})


def _softened(strength: NDArray[np.float32], softness: float) -> NDArray[np.float32]:
    """Lines that fall to black as a normal curve does: at each pixel the strongest of what lies around, float32 (h, w)."""
    reach = int(np.ceil(2.5 * softness))
    if not reach:
        return strength
    padded, soft = np.pad(strength, reach), np.zeros_like(strength)
    height, width = strength.shape
    for y, x in np.ndindex(2 * reach + 1, 2 * reach + 1):
        fall = np.float32(np.exp(-((y - reach) ** 2 + (x - reach) ** 2) / (2 * softness**2)))
        np.maximum(soft, fall * padded[y : y + height, x : x + width], out=soft)
    return soft
