"""`idiff data index`: make shards that another program wrote in this schema readable by position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from idiff.data.build import builder, slices
from idiff.data.shards import index, manifest
from idiff.data.shards.annotation import LISTS, UNITS, parse_json
from idiff.data.shards.index import Rows
from idiff.data.shards.manifest import FOREIGN
from idiff.errors import ConfigError, DataError, suggest
from idiff.utils.foreign import MAX_TEXT, decoding, read_regular


def index_folder(
    path: Path | str,
    *,
    meta: Mapping[str, Any],
    split: str = "train",
    tasks: Sequence[str] = (),
    unit: str | None = None,
) -> manifest.Manifest:
    """Write an index beside each tar of a folder, and the manifest.

    Args:
        path: a folder with `*.tar` files of this schema.
        meta: facts shared by the set, see `Sample.meta`.
        split: for the manifest.
        tasks: kinds of the tasks that the set serves; none: `segmentation` where each sample has a label map,
            `keypoints` where samples have instances.
        unit: the first task's item; None: `instances` for keypoints, `phrases` where there are some, else `picture`.

    Raises:
        ConfigError: already indexed, an unknown unit, or nothing tells what the set is for.
        DataError: no shard, or one that is damaged, empty, or not of the schema; a key twice.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise DataError(f"{folder}: expected a folder of *.tar files.")
    if (folder / manifest.NAME).exists():
        raise ConfigError(f"{folder} has a {manifest.NAME}: test it by `idiff data check`, or delete it to index anew.")
    if unit is not None and unit not in UNITS:
        raise ConfigError(f"unknown unit '{unit}'{suggest(unit, UNITS)} Known: {', '.join(UNITS)}.")
    paths = sorted(folder.glob("*.tar"))
    if not paths:
        raise DataError(f"{folder}: no *.tar file in it.")
    shards, tables = [], []
    for file in paths:
        try:
            rows = index.build(file, meta=meta)
        except OSError as error:
            raise DataError(f"{file} cannot be read: {error.strerror}.") from error
        index.write(file.with_name(index.index_name(file.name)), rows)
        shards.append(slices.describe(file, len(rows)))
        tables.append(rows)
    tasks = list(tasks) or _guess_tasks(folder, tables, meta)
    units = manifest.units_of(map(manifest.counts_of, tables))
    lists = [name for name in LISTS if name in units]
    first = "instances" if tasks[0] == "keypoints" else next((name for name in lists if name == "phrases"), "picture")
    return builder.finish(
        folder, shards, source=FOREIGN, split=split, tasks=tasks, unit=unit or first, meta=dict(meta), funnel={}
    )


def read_meta(file: Path) -> dict[str, Any]:
    """Facts shared by a set, from a JSON file.

    Raises:
        DataError: it cannot be read, or holds no object.
    """
    with decoding(lambda reason: DataError(f"{file} cannot be read as JSON: {reason}.")):
        meta = parse_json(read_regular(file, most=MAX_TEXT))
    if not isinstance(meta, dict):
        raise DataError(f"{file}: expected an object with `classes` or `skeletons`.")
    return meta


def _guess_tasks(folder: Path, tables: Sequence[Rows], meta: Mapping[str, Any]) -> list[str]:
    found = []
    if all((rows["label"]["format"] > 0).all() for rows in tables) and meta.get("classes"):
        found.append("segmentation")
    if any(rows["instances"].any() for rows in tables) and meta.get("skeletons"):
        found.append("keypoints")
    if not found:
        raise ConfigError(
            f"{folder}: nothing tells what task this set is for. Give --task, or --meta FILE with `classes` for label "
            "maps or `skeletons` for key points."
        )
    return found
