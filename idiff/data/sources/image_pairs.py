"""Pairs of a damaged and a clean image: the base of the restoration sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from idiff.data.sources.base import RawSample, Stored, files_of
from idiff.data.sources.converting import read_picture
from idiff.data.sources.pictures import fitted_target, header_size, make_keys, notes_of_files, respell
from idiff.data.sources.tiling import TiledSource, cut, tile_facts
from idiff.errors import BadSampleError, ConfigError, DataError
from idiff.utils.picture_files import decode_picture, picture_size

if TYPE_CHECKING:
    from idiff.types import Picture

TASKS = ("denoise", "deblur", "dewatermark")
"""The restoration tasks that a set of pairs can serve."""


@dataclass(frozen=True, slots=True)
class PairFiles:
    """The two files of a pair; None where there is none of this name."""

    source: Path | Stored | None
    target: Path | Stored | None


class PairedPictures(TiledSource):
    """One sample a pair, or one a tile where the damaged image has more than 2 million pixels.

    Files pass through unchanged, lossless ones stay so. A clean image of another size is resized to the damaged one
    where their aspects agree within 1 %. An image without a partner is a bad sample, named with the folder that lacks it.
    `annotation`: `file_name`, `target_name`; of a tile also `tile`: `[top, left, height, width]` and `size` of the whole.

    Args:
        sources: name -> damaged image.
        targets: name -> clean image; the same name makes a pair.
        places: the two folders in words, for errors.
        task: which task the set is for.

    Raises:
        DataError: there is no image, or no name has both.
    """

    def __init__(
        self,
        sources: Mapping[str, Path | Stored],
        targets: Mapping[str, Path | Stored],
        *,
        places: tuple[str, str],
        task: str,
    ) -> None:
        self.tasks = (check_task(task),)
        self.places = places
        targets = respell(targets, sources)
        names = sorted({*sources, *targets})
        if not set(sources) & set(targets):
            raise DataError(
                f"no pair: {len(sources):,} images under {places[0]}, {len(targets):,} under {places[1]}, and none "
                f"share a name{_names(sources, targets)}. Files of a pair have one name up to the suffix."
            )
        self.pairs = [PairFiles(sources.get(name), targets.get(name)) for name in names]
        self.names, self.keys = names, make_keys(names)
        super().__init__(
            [cut(header_size(pair.source) if pair.source and pair.target else None) for pair in self.pairs]
        )
        self._last: tuple[int, Picture, Picture, dict[str, Any]] | None = None

    def notes(self) -> list[str]:
        """Files that are converted or not read."""
        return notes_of_files((file for pair in self.pairs for file in files_of(pair.source, pair.target)), self.places)

    def sample_inputs(self, index: int) -> Sequence[Path]:
        """The two files of the pair, those that there are."""
        pair = self.pairs[self._places[index][0]]
        return files_of(pair.source, pair.target)

    def sample(self, index: int) -> RawSample:
        """Read one pair, or one tile of it."""
        number, tile = self._places[index]
        pair, name = self.pairs[number], self.names[number]
        for file, field, place in ((pair.source, "source", 0), (pair.target, "target", 1)):
            if file is None:
                raise BadSampleError(
                    name,
                    field,
                    f"no image of this name under {self.places[place]}, only under {self.places[1 - place]}",
                )
        assert pair.source is not None and pair.target is not None
        facts = {"file_name": pair.source.name, "target_name": pair.target.name}
        if tile is None:
            data = read_picture(pair.source, where=name, field="source")
            target = read_picture(pair.target, where=name, field="target")
            fitted, resized = fitted_target(picture_size(data, where=name), target, where=name)
            return RawSample(self.keys[number], data, facts | resized, target=fitted)
        source, clean, resized = self._whole(number, name, pair.source, pair.target)
        key = f"{self.keys[number]}-{tile.name}"
        return RawSample(
            key, source[tile.slices], facts | resized | tile_facts(tile, source), target=clean[tile.slices]
        )

    def _whole(
        self, number: int, name: str, source: Path | Stored, target: Path | Stored
    ) -> tuple[Picture, Picture, dict[str, Any]]:
        """Decode a pair that is cut up; the last one is kept for its other tiles."""
        if self._last is None or self._last[0] != number:
            picture = decode_picture(read_picture(source, where=name, field="source"), where=name)
            data = read_picture(target, where=name, field="target")
            fitted, resized = fitted_target((picture.shape[0], picture.shape[1]), data, where=name)
            clean = decode_picture(fitted, where=name, field="target") if isinstance(fitted, bytes) else fitted
            self._last = (number, picture, clean, resized)
        return self._last[1:]


def check_task(task: str) -> str:
    """Refuse what is not a restoration task.

    Raises:
        ConfigError: names the known ones.
    """
    if task not in TASKS:
        raise ConfigError(f"task '{task}': expected {', '.join(TASKS[:-1])} or {TASKS[-1]}. Pass --task NAME.")
    return task


def _names(sources: Mapping[str, Path | Stored], targets: Mapping[str, Path | Stored]) -> str:
    """An example of each side, where there is one."""
    firsts = [next(iter(side)) for side in (sources, targets) if side]
    return f" (such as {' and '.join(repr(name) for name in firsts)})" if firsts else ""
