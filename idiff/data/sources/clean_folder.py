"""Any folder of clean images, damaged when it is built: pairs for restoration out of photographs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from idiff.data.sources.base import RawSample
from idiff.data.sources.converting import read_picture
from idiff.data.sources.image_pairs import check_task
from idiff.data.sources.pictures import first_folder, header_size, list_pictures, make_keys, notes_of_files
from idiff.data.sources.tiling import TiledSource, cut, tile_facts
from idiff.errors import BadSampleError, missing
from idiff.utils.picture_files import decode_picture

if TYPE_CHECKING:
    from idiff.types import Picture


class CleanFolder(TiledSource):
    """One sample an image, or one a tile of those with more than 2 million pixels: the damaged image, and it as target.

    The clean file passes through unchanged; the damaged image is stored without loss. The damage is a function of seed,
    task and file name, so that a build gives the same bytes again; see `idiff.transforms.degradations`.
    `annotation`: `file_name`, `degradation` (`kind`, strength, `identity_psnr` in dB); of a tile also `tile` and `size`.

    Args:
        root: folder of the set.
        split: a folder of it, with folders in it or not.
        task: `denoise`, `deblur` or `dewatermark`.
        seed: of the damage.
        images: the folder of the images, where it lies elsewhere.

    Raises:
        ConfigError: another task.
        DataError: the folder is missing or has no images.
    """

    def __init__(self, root: str, split: str, task: str, seed: int = 0, images: str | None = None) -> None:
        self.tasks = (check_task(task),)
        self.seed = seed
        folder = first_folder([Path(images) if images else Path(root) / split], what="a folder of images")
        files = list_pictures(folder)
        if not files:
            raise missing(folder / "*.jpg", what="JPEG, PNG or WebP images", remedy=f"{folder} has none.")
        self.folder = str(folder)
        self.names, self.files = list(files), list(files.values())
        self.keys = make_keys(self.names)
        super().__init__([cut(header_size(path)) for path in self.files])
        self._last: tuple[int, Picture] | None = None

    def notes(self) -> list[str]:
        """Files that are converted or not read."""
        return notes_of_files(self.files, [self.folder])

    def sample_inputs(self, index: int) -> Sequence[Path]:
        """The image's file."""
        return [self.files[self._places[index][0]]]

    def sample(self, index: int) -> RawSample:
        """Read one image or tile, and damage it."""
        from idiff.transforms.degradations.photographs import degrade
        from idiff.utils.seeds import numpy_rng

        number, tile = self._places[index]
        name = self.names[number]
        facts: dict[str, Any] = {"file_name": self.files[number].name}
        data = read_picture(self.files[number], where=name, field="target")
        whole = self._decoded(number, name, data)
        rng = numpy_rng(self.seed, "folder", self.tasks[0], name, tile.name if tile else "")
        part = whole if tile is None else whole[tile.slices]
        try:
            made = degrade(part, self.tasks[0], rng)
        except BadSampleError as error:
            raise BadSampleError(name, error.field, error.reason) from error
        facts |= {"degradation": made.facts}
        if tile is None:
            return RawSample(self.keys[number], made.picture, facts, target=data)
        return RawSample(f"{self.keys[number]}-{tile.name}", made.picture, facts | tile_facts(tile, whole), target=part)

    def _decoded(self, number: int, name: str, data: bytes) -> Picture:
        """Decode an image; the last one is kept for its other tiles."""
        if self._last is None or self._last[0] != number:
            self._last = (number, decode_picture(data, where=name, field="target"))
        return self._last[1]
