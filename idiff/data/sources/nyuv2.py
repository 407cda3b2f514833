"""Depth, labels and surface normals of rooms: NYUv2, as the authors' labeled file or as folders.

Source: Silberman et al., ECCV 2012; `nyu_depth_v2_labeled.mat` (MATLAB 7.3) and `splits.mat`, 795 images to train and 654 to test.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from idiff.checks import check_choice
from idiff.data.shards.schema import decode_named
from idiff.data.sources.base import read_file
from idiff.data.sources.hdf5_mat import Slice, shape_of, texts_of
from idiff.data.sources.map_sets import LABEL, MapEntry, MapSet, unit_vectors
from idiff.data.sources.mat_files import load_mat
from idiff.data.sources.nyu_classes import CLASSES_13, CLASSES_40, label_table
from idiff.data.sources.nyu_folders import BTS, DSINE, TOOLKIT, bts, dsine, toolkit
from idiff.errors import BadSampleError, ConfigError, DataError, missing
from idiff.utils.picture_files import decode_picture

if TYPE_CHECKING:
    from numpy.typing import NDArray

Layout = Literal["labeled", "bts", "toolkit", "dsine"]
LabelSet = Literal["40", "13", "894"]
DepthKind = Literal["raw", "filled"]

_FILE, _SPLITS = "nyu_depth_v2_labeled.mat", "splits.mat"
_INDICES = {"train": "trainNdxs", "test": "testNdxs", "val": "testNdxs"}
_VARIABLES = {"raw": "rawDepths", "filled": "depths"}


class NyuV2(MapSet):
    """One sample an image, with the map `depth` or `normals`, and labels where asked for. Depth is whole millimeters, 0 unknown.

    Layouts: `labeled`: `nyu_depth_v2_labeled.mat` with `splits.mat` beside it, and `classMapping40.mat` and `class13Mapping.mat`
    for the labels. `bts`: `SCENE/rgb_*.jpg` with `SCENE/sync_depth_*.png`. `toolkit`: `image/`, `depth/`, `seg40/`, `seg13/`.
    `dsine`: `NNNNNN_img.png` with `NNNNNN_normal.png`, (n + 1) / 2 with x left, y up, z to the viewer, black for unknown; they
    become x right, y up, z to the viewer. An image without its maps is a bad sample.

    Args:
        root: the folder of the files.
        split: `train` or `test` (of the labeled file `val` is `test`), or another folder's name.
        layout: None: the first that is there.
        labels: `40`, `13` or `894` classes, of the labeled file and (not 894) of `toolkit`; None: no labels.
        depth: `raw`, as measured, or `filled`, as the authors painted it in; of the labeled file.

    Raises:
        ConfigError: a word that is unknown, or labels that the layout lacks; h5py is not installed.
        DataError: files are not where they should be, or of another form.
    """

    def __init__(
        self,
        root: str,
        split: str,
        layout: Layout | None = None,
        labels: LabelSet | None = None,
        depth: DepthKind = "raw",
    ) -> None:
        check_choice("depth", depth, DepthKind)
        if layout is not None:
            check_choice("layout", layout, Layout)
        if labels is not None:
            check_choice("labels", labels, LabelSet)
        base = Path(root)
        self.variable, self.table = _VARIABLES[depth], np.zeros(0, np.uint8)
        self.classes: list[str] = []
        listed: dict[str, Callable[[], list[MapEntry]]] = {
            "labeled": lambda: _labeled(base, split, labels) if (base / _FILE).is_file() else [],
            BTS: lambda: bts(base, split),
            TOOLKIT: lambda: toolkit(base, split, labels),
            DSINE: lambda: dsine(base, split),
        }
        found = ((name, make()) for name, make in listed.items() if layout in {None, name})
        self.layout, entries = next(((name, entries) for name, entries in found if entries), ("", []))
        if not entries:
            raise DataError(
                f"{base} has no NYUv2 of the split {split}{f' in the layout {layout}' if layout else ''}: expected {_FILE} with "
                f"{_SPLITS}, {split}/SCENE/rgb_*.jpg with sync_depth_*.png, image/{split}/ with depth/{split}/, or "
                f"{split}/*_img.png with *_normal.png. Check --root and --split."
            )
        if labels and not any(LABEL in entry.files for entry in entries):
            raise ConfigError(
                f"--labels {labels}: the layout {self.layout} has none. Take the labeled file, or leave it out."
            )
        if labels and self.layout == "labeled":
            self.classes, self.table = label_table(base / _FILE, labels)
        elif labels:
            self.classes = list(CLASSES_40 if labels == "40" else CLASSES_13)
        self.tasks = ("normals",) if self.layout == DSINE else ("depth", *(["segmentation"] if labels else []))
        labeled = self.layout == "labeled"
        told = ["NYUv2 has no split val: these are the images of its split test"] if labeled and split == "val" else []
        super().__init__(entries, told=told, lists=[base / _SPLITS] if labeled else [])

    def meta(self) -> dict[str, Any]:
        """The names of the classes, where there are labels."""
        return {"classes": self.classes} if self.classes else {}

    def set_inputs(self) -> Sequence[Path | str]:
        """The split, and the classes of the labels."""
        return [*super().set_inputs(), *self.classes]

    def picture(self, entry: MapEntry) -> Any:
        """The image. See `MapSet.picture`."""
        if self.layout != "labeled":
            return super().picture(entry)
        return self._slice(entry, "images", "source", np.uint8, 3)

    def values(self, entry: MapEntry, name: str) -> tuple[bytes | NDArray[Any], tuple[int, ...]]:
        """Millimeters, unit vectors or labels. See `MapSet.values`."""
        if self.layout == "labeled" and name == LABEL:
            raw = self._slice(entry, "labels", name, np.uint16)
            if raw.max() >= len(self.table):
                raise BadSampleError(entry.name, name, f"label {raw.max()}, expected at most {len(self.table) - 1}")
            return self.table[raw], raw.shape
        if self.layout == "labeled":
            far = self._slice(entry, self.variable, name, np.float32).astype(np.float64)
            known = np.isfinite(far) & (far > 0) & (far < 65.5)
            return np.where(known, np.rint(far * 1000), 0).astype(np.uint16), far.shape
        data = read_file(entry.files[name], where=entry.name, field=name)
        if name == "normals":
            colors = decode_picture(data, where=entry.name, field=name)
            vectors = unit_vectors(colors.astype(np.float32) / 127.5 - 1) * np.array([-1, 1, 1], np.float32)
            return np.where(colors.any(axis=-1, keepdims=True), vectors, 0).astype(np.float32), colors.shape
        values = decode_named(data, where=entry.name, field=name)
        expected = np.uint8 if name == LABEL else np.uint16
        if values.dtype != expected or values.ndim != 2:
            what = "a label map of 8 bits" if name == LABEL else "whole millimeters in a PNG of 16 bits"
            raise BadSampleError(entry.name, name, f"got {values.dtype} of shape {values.shape}, expected {what}")
        return data, values.shape

    def _slice(self, entry: MapEntry, variable: str, field: str, kind: type, channels: int = 0) -> NDArray[Any]:
        """One image's part of an array of the labeled file."""
        values = Slice(entry.image, variable, entry.facts["index"] - 1).read(where=entry.name, field=field)
        if values.dtype != kind or values.ndim != (3 if channels else 2) or (channels and values.shape[2] != channels):
            raise BadSampleError(
                entry.name, field, f"'{variable}' is {values.dtype} of shape {values.shape}, expected {np.dtype(kind)}"
            )
        return values


def _labeled(base: Path, split: str, labels: str | None) -> list[MapEntry]:
    """The images of a split of the labeled file, by their number from 1.

    Raises:
        DataError: the split is unknown or missing, or names an image that the file lacks.
    """
    file, splits = base / _FILE, base / _SPLITS
    if not splits.is_file():
        raise missing(splits, what="the official split", remedy="NYU offers it beside the labeled file; put it there.")
    if split not in _INDICES:
        raise DataError(f"{_FILE} has the splits train and test, got '{split}'. Give --split train or test.")
    numbers = load_mat(splits).get(_INDICES[split])
    listed = np.ravel(numbers).astype(np.int64).tolist() if isinstance(numbers, np.ndarray | int) else []
    shape = shape_of(file, "images")
    count = shape[-1] if shape and len(shape) == 4 else 0
    if not listed or not count or min(listed) < 1 or max(listed) > count:
        raise DataError(
            f"{splits} names {len(listed):,} images of {split} by '{_INDICES[split]}', and {_FILE} has {count:,}: expected numbers "
            f"from 1 to {count:,}. Download both again."
        )
    scenes = texts_of(file, "sceneTypes")
    named = len(scenes) == count
    files = {"depth": file} | ({LABEL: file} if labels else {})
    return [
        MapEntry(f"{number:04d}", file, files, {"index": number} | ({"scene": scenes[number - 1]} if named else {}))
        for number in sorted(listed)
    ]
