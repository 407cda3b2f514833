"""Depth and surface normals of scanned rooms and streets: DIODE, in the layout of its authors.

Source: Vasiljevic et al., arXiv 1908.00463, and https://github.com/diode-dataset/diode-devkit.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from idiff.checks import check_choice
from idiff.data.sources.map_sets import MapEntry, MapSet, first_of, meters, read_numbers, unit_vectors
from idiff.errors import BadSampleError, ConfigError, DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Scenes = Literal["indoors", "outdoor", "both"]
Kind = Literal["depth", "normals"]

_CAMERA = np.array([886.81 / 1024, 927.06 / 768, 512 / 1024, 384 / 768])
"""Focal lengths and center of the authors' `intrinsics.txt`, as shares of width and height."""


class Diode(MapSet):
    """`{split}/{indoors,outdoor}/scene_*/scan_*/NAME.png` with `NAME_depth.npy`, `NAME_depth_mask.npy` or `NAME_normal.npy`.

    Depth is stored in meters as float (H, W), 0 where the mask is 0. Normals are float (H, W, 3), x right, y up, z to the
    viewer; 0 where the file has 0. The authors do not write down the axes of their normals, so `axes` has no default; a map
    of which most normals would look away from the viewer is left out by name. An image without its files is a bad sample.

    Args:
        root: the folder that holds `train` and `val`.
        split: `train` or `val`.
        task: `depth` or `normals`.
        scenes: `indoors`, `outdoor` or `both`.
        axes: what the file's three numbers are in axes x right, y up, z to the viewer, as `x,-y,-z` for a file with x right,
            y down, z forward. Needed for normals.

    Raises:
        ConfigError: a word that is unknown, or axes that are missing or no three different ones.
        DataError: files are not where they should be.
    """

    def __init__(
        self, root: str, split: str, task: Kind = "depth", scenes: Scenes = "both", axes: str | None = None
    ) -> None:
        check_choice("task", task, Kind)
        check_choice("scenes", scenes, Scenes)
        self.tasks = (task,)
        self.axes = _axes(axes) if task == "normals" else None
        base = first_of(
            Path(root), (split,), what="the folders indoors and outdoor", remedy="Check --root and --split."
        )
        kinds = ("indoors", "outdoor") if scenes == "both" else (scenes,)
        pictures = [path for kind in kinds for path in sorted((base / kind).glob("scene_*/scan_*/[!.]*.png"))]
        if not pictures:
            raise DataError(
                f"{base} has no images in {' or '.join(kinds)}/scene_*/scan_*/*.png. Check --root, --split and --scenes."
            )
        suffixes = {"depth": ("_depth.npy", "_depth_mask.npy"), "normals": ("_normal.npy",)}[task]
        if not any(path.with_name(path.stem + suffixes[0]).is_file() for path in pictures[:100]):
            raise DataError(
                f"{pictures[0].with_name(pictures[0].stem + suffixes[0])} is missing, and so are the next: expected the "
                f"{task} beside the images. DIODE offers depth and normals as separate downloads."
            )
        super().__init__(
            [
                MapEntry(
                    path.relative_to(base).with_suffix("").as_posix(),
                    path,
                    {task: path.with_name(path.stem + suffixes[0])},
                    {"scene": path.relative_to(base).parts[0]},
                )
                for path in pictures
            ]
        )

    def sample_inputs(self, index: int) -> list[Path]:
        """The image, its map, and the mask of a depth."""
        entry = self.entries[index]
        mask = [_mask(entry)] if "depth" in entry.files else []
        return [*super().sample_inputs(index), *mask]

    def values(self, entry: MapEntry, name: str) -> tuple[NDArray[Any], tuple[int, ...]]:
        """Meters, or unit vectors. See `MapSet.values`."""
        path = entry.files[name]
        if self.axes is not None:
            read = unit_vectors(read_numbers(path, where=entry.name, field=name, channels=3))
            vectors = (read[..., np.abs(self.axes) - 1] * np.sign(self.axes)).astype(np.float32)
            away = share_away(vectors)
            if away > 0.5:
                raise BadSampleError(
                    entry.name, name, f"{away:.0%} of the normals look away from the viewer: --axes has a wrong sign"
                )
            return vectors, vectors.shape
        depth = meters(read_numbers(path, where=entry.name, field=name), scale=1)
        mask = read_numbers(_mask(entry), where=entry.name, field="depth_mask")
        if mask.shape != depth.shape:
            raise BadSampleError(
                entry.name, "depth_mask", f"got shape {mask.shape}, expected {depth.shape} as the depth has"
            )
        return np.where(mask > 0, depth, 0).astype(np.float32), depth.shape


def _mask(entry: MapEntry) -> Path:
    return entry.image.with_name(f"{entry.image.stem}_depth_mask.npy")


def _axes(words: str | None) -> NDArray[np.int64]:
    """`x,-y,-z` as (1, -2, -3): the number of the file's axis, and its sign.

    Raises:
        ConfigError: not given, or other words.
    """
    if words is None:
        raise ConfigError(
            "DIODE does not document the axes of its normals: give --axes, such as x,-y,-z where the file has x right, y down, "
            "z forward."
        )
    parts = [part.strip() for part in words.split(",")]
    if not all(re.fullmatch("[-+]?[xyz]", part) for part in parts) or sorted(part[-1] for part in parts) != [*"xyz"]:
        raise ConfigError(f"--axes {words}: expected x, y and z in some order with signs, such as x,-y,-z.")
    return np.array([("xyz".index(part[-1]) + 1) * (-1 if part[0] == "-" else 1) for part in parts])


def share_away(vectors: NDArray[np.float32]) -> float:
    """The share of the known normals (H, W, 3) that look away from DIODE's camera, which no visible surface does."""
    height, width = vectors.shape[:2]
    focal_x, focal_y, center_x, center_y = _CAMERA
    x = (np.arange(width) / width - center_x) / focal_x
    y = (center_y - np.arange(height) / height) / focal_y
    along = vectors[..., 0] * x + vectors[..., 1] * y[:, None] - vectors[..., 2]
    known = (vectors != 0).any(axis=-1)
    return float((along[known] > 0).mean()) if known.any() else 0.0
