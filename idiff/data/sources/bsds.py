"""Edges that people drew: BSDS500, in the layout of its authors.

Source: Arbelaez et al., TPAMI 2011; `BSR_bsds500.tgz`, with `BSR/BSDS500/data/images` and `groundTruth`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from idiff.data.sources.map_sets import MapEntry, MapSet, first_of
from idiff.data.sources.mat_files import elements, load_mat
from idiff.data.sources.pictures import list_pictures, respell
from idiff.data.sources.places import given
from idiff.errors import BadSampleError, DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PLACES = ("BSR/BSDS500/data", "BSDS500/data", "data", ".")


class Bsds(MapSet):
    """One sample an image, with the map `edges`: uint8 (H, W, A), 255 where annotator a drew an edge, else 0.

    The mean over the annotators is the share that drew an edge; the benchmark scores against each of them. An image or a file of
    edges without a partner is a bad sample.

    Args:
        root: the folder `BSR`, the one it lies in, or `data` below it.
        split: `train`, `val` or `test`: 200, 100 and 200 images.
        images: folder of the split's images, where they lie elsewhere.
        annotations: folder of the split's .mat files, where they lie elsewhere.

    Raises:
        DataError: files are not where they should be, or no name has both.
    """

    tasks = ("edges",)

    def __init__(self, root: str, split: str, images: str | None = None, annotations: str | None = None) -> None:
        base = Path(root)
        remedy = "Give --root the folder BSR, and check --split: train, val or test."

        def place(folder: str | None, name: str, option: str) -> Path:
            what = f"the {name} of {split}"
            if folder:
                return given(folder, what=what, remedy=f"Check --{option}.")
            return first_of(base, [f"{part}/{name}/{split}" for part in _PLACES], what=what, remedy=remedy)

        shown, drawn = place(images, "images", "images"), place(annotations, "groundTruth", "annotations")
        found = list_pictures(shown, deep=False)
        files = respell({path.stem: path for path in sorted(drawn.glob("*.mat"))}, found)
        if not found.keys() & files.keys():
            raise DataError(
                f"no pair: {len(found):,} images in {shown}, {len(files):,} .mat files in {drawn}, and none share a name. "
                "Files of a pair have one name up to the suffix."
            )
        super().__init__(
            [
                MapEntry(
                    name, found.get(name, shown / f"{name}.jpg"), {"edges": files.get(name, drawn / f"{name}.mat")}
                )
                for name in sorted({*found, *files})
            ]
        )

    def values(self, entry: MapEntry, name: str) -> tuple[NDArray[Any], tuple[int, ...]]:
        """What each annotator drew. See `MapSet.values`."""
        path = entry.files[name]
        if not path.is_file():
            raise BadSampleError(entry.name, name, f"{path} is missing, expected the edges of {entry.image.name}")
        try:
            drawn = elements(load_mat(path).get("groundTruth"))
        except DataError as error:
            raise BadSampleError(entry.name, name, str(error)) from error
        maps = [np.asarray(getattr(one, "Boundaries", None)) for one in drawn]
        if not maps or any(one.ndim != 2 or one.dtype.kind not in "bui" for one in maps):
            raise BadSampleError(
                entry.name, name, f"{path.name} has no cell array 'groundTruth' of structures with a map 'Boundaries'"
            )
        if len({one.shape for one in maps}) > 1:
            raise BadSampleError(entry.name, name, f"the maps of {path.name} have different sizes")
        edges = np.stack([np.where(one > 0, 255, 0) for one in maps], axis=2).astype(np.uint8)
        return edges, edges.shape
