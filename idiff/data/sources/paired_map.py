"""Images with a map of numbers of the same name: depth as 16-bit PNG or NPY, normals as NPY."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from idiff.checks import check_choice, check_number
from idiff.data.shards.schema import decode_named
from idiff.data.sources.base import RawSample, Source, read_file
from idiff.data.sources.converting import check_known, read_picture
from idiff.data.sources.pictures import first_folder, list_pictures, make_keys, notes_of_files, respell
from idiff.errors import BadSampleError, DataError
from idiff.utils.picture_files import decode_picture

if TYPE_CHECKING:
    from numpy.typing import NDArray

Kind = Literal["depth", "normals"]

CHANNELS = {"depth": (), "normals": (3,)}
"""Kind -> the further axes of its map."""

MILLIMETERS = 1000.0
"""The scale of maps that are not said to be otherwise: numbers to a meter."""


class PairedMap(Source):
    """`{split}/images` and `{split}/maps` (or `depth`, `normals`): images and maps of one name up to the suffix.

    Depth is stored in meters as float, or unchanged where it is a PNG of whole millimeters (`--scale 1000`) with 0 for unknown.
    Normals are NPY of (H, W, 3), x right, y up, z to the viewer. An image or a map without a partner is a bad sample.

    Args:
        root: folder of the set.
        split: `train`, `val`, ...
        task: `depth` or `normals`.
        scale: what the numbers of a map are divided by: NYUv2's PNG have 1000 to a meter, KITTI's 256; 1 for meters.
        invalid: a number, as the file has it, that stands for unknown. So do numbers that are not finite, and depths of 0 or less.
        images: folder of the images, where they lie elsewhere.
        annotations: folder of the maps, where they lie elsewhere.

    Raises:
        ConfigError: another task, or a scale that is not larger than 0.
        DataError: files are not where they should be, or no name has both.
    """

    def __init__(
        self,
        root: str,
        split: str,
        task: Kind = "depth",
        scale: float = MILLIMETERS,
        invalid: float = 0.0,
        images: str | None = None,
        annotations: str | None = None,
    ) -> None:
        check_choice("task", task, Kind)
        check_number("scale", scale, above=0)
        self.tasks, self.scale, self.invalid = (task,), scale, invalid
        base = Path(root) / split
        shown = [Path(images)] if images else [base / "images", base / "input"]
        held = [Path(annotations)] if annotations else [base / "maps", base / task]
        self.places = first_folder(shown, what="images"), first_folder(held, what=f"maps of {task}, PNG or NPY")
        found = list_pictures(self.places[0])
        maps = respell(_maps_in(self.places[1]), found)
        if not set(found) & set(maps):
            raise DataError(
                f"no pair: {len(found):,} images under {self.places[0]}, {len(maps):,} maps under {self.places[1]}, and none "
                "share a name. Files of a pair have one name up to the suffix."
            )
        self.names = sorted({*found, *maps})
        self.keys = make_keys(self.names)
        self.pairs = [(found.get(name), maps.get(name)) for name in self.names]

    def meta(self) -> dict[str, Any]:
        """Nothing is shared."""
        return {}

    def __len__(self) -> int:
        return len(self.names)

    def notes(self) -> list[str]:
        """Files that are converted or not read."""
        return notes_of_files((file for pair in self.pairs for file in pair if file), [str(self.places[0])])

    def sample_inputs(self, index: int) -> Sequence[Path]:
        """The two files of the pair, those that there are."""
        return [file for file in self.pairs[index] if file]

    def sample(self, index: int) -> RawSample:
        """Read one pair."""
        (image, path), name = self.pairs[index], self.names[index]
        for file, field, place in ((image, "source", 0), (path, self.tasks[0], 1)):
            if file is None:
                raise BadSampleError(
                    name, field, f"no file of this name under {self.places[place]}, only under {self.places[1 - place]}"
                )
        assert image is not None and path is not None
        data, task = read_picture(image, where=name, field="source"), self.tasks[0]
        stored = read_file(path, where=name, field=task)
        values = decode_named(stored, where=name, field=task)
        expected = decode_picture(data, where=name).shape[:2] + CHANNELS[task]
        if values.shape != expected:
            raise BadSampleError(
                name, task, f"{path.name} has shape {values.shape}, expected {expected} as the image has"
            )
        if task == "depth" and values.dtype == np.uint8 and self.scale == MILLIMETERS:
            raise BadSampleError(
                name,
                task,
                f"{path.name} has 8 bits, in which millimeters end at 0.255 m. Give --scale, or maps of 16 bits",
            )
        kept: bytes | NDArray[Any] = stored
        if not (values.dtype == np.uint16 and self.scale == MILLIMETERS and self.invalid == 0):
            kept = self._meters(values)
        check_known(kept, where=name, field=task, file=path.name)
        return RawSample(self.keys[index], data, {"file_name": image.name, "map_name": path.name}, maps={task: kept})

    def _meters(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Numbers as tasks read them: divided by the scale, 0 where unknown."""
        scaled = values.astype(np.float64) / (self.scale if self.tasks[0] == "depth" else 1)
        known = np.isfinite(scaled) & (values != self.invalid)
        if self.tasks[0] == "normals":
            known = np.isfinite(scaled).all(axis=-1, keepdims=True) & (values != self.invalid).any(
                axis=-1, keepdims=True
            )
        else:
            known &= scaled > 0
        return np.where(known, scaled, 0).astype(np.float32)


def _maps_in(folder: Path) -> dict[str, Path]:
    """Name without suffix, relative to the folder and with `/` -> map.

    Raises:
        DataError: a name has two maps.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in {".png", ".npy"} and not path.name.startswith(".") and path.is_file():
            name = path.relative_to(folder).with_suffix("").as_posix()
            if name in found:
                raise DataError(f"{folder}: {found[name].name} and {path.name} have one name. Remove one of them.")
            found[name] = path
    return found
