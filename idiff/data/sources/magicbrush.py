"""MagicBrush and GIER as their authors publish them.

Sources: MagicBrush (Zhang et al., NeurIPS 2023); GIER (Shi et al., ECCV 2020).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from idiff.data.sources.base import Stored
from idiff.data.sources.edit_pairs import (
    EditFiles,
    EditPictures,
    fraction,
    fraction_bounds,
    json_list,
    parse_entries,
    plain_reader,
    sentences_of,
)
from idiff.data.sources.parquet_tables import Cell, read_columns
from idiff.data.sources.pictures import first_folder, inside, load_json
from idiff.errors import BadSampleError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_REQUESTS = ("expert_summary", "amateur_summary", "prompts", "instructions", "instruction")
_ALIASES = {"val": ("val", "dev")}


class MagicBrush(EditPictures):
    """`{split}/edit_turns.json` and `{split}/images/{id}/{id}-input.png`, `-mask1.png`, `-output1.png`, ...

    Or, as its hub has it, `data/{split}-*.parquet` with `img_id`, `turn_index`, `instruction`, `source_img`, `mask_img` and
    `target_img`; this needs the extra `parquet`.

    One sample a turn: a later turn starts from the image that the turn before it made. Masks are transparent where the
    edit was made: they become `region`. Where `global_descriptions.json` is there, `source_caption` and `target_caption`
    are the captions of both images.

    Args:
        root: folder of the set.
        split: `train`, `dev` (also `val`) or `test`.
        annotations: `edit_turns.json`, where it lies elsewhere; or a list of `{input, edited, instruction}`.
        images: the folder of the images' folders, where it lies elsewhere.

    Raises:
        DataError: files are not where they should be, or the list is none.
    """

    def __init__(self, root: str, split: str, annotations: str | None = None, images: str | None = None) -> None:
        names = _ALIASES.get(split, (split,))
        tables = [] if annotations else _tables(Path(root), names)
        if tables:
            rows = [row for file in tables for row in read_turns(file)]
            super().__init__(parse_entries(rows, read_turn, where="row"), {}, lists=tables)
            return
        home = (
            Path(annotations).parent if annotations
            else first_folder([Path(root) / name for name in names], what="edit_turns.json and images/, or *.parquet")
        )  # fmt: skip
        file = Path(annotations) if annotations else home / "edit_turns.json"
        listed = json_list(file, what="a list of {input, mask, output, instruction}")
        if annotations and listed and isinstance(listed[0], dict) and "edited" in listed[0]:  # converted by others
            folder = Path(images) if images else home
            super().__init__(parse_entries(listed, plain_reader(file, folder), where=file.name), {}, lists=[file])
            return
        folder = first_folder([Path(images) if images else home / "images"], what="a folder of images for each id")
        described = home / "global_descriptions.json"
        captions = load_json(described, what="captions by id and file") if described.is_file() else {}

        def caption(name: Any) -> str | None:
            of = captions.get(_identity(name), {}) if isinstance(captions, dict) else {}
            text = of.get(name) if isinstance(of, dict) else None
            return text if isinstance(text, str) and text else None

        def read(place: int, entry: Mapping[str, Any]) -> EditFiles:
            where = f"{file.name}[{place}]"

            def path(name: str) -> Path:
                return _in_its_folder(folder, entry.get(name), where=where, field=name)

            target = path("output")
            facts = {"source_caption": caption(entry.get("input")), "target_caption": caption(entry.get("output"))}
            return EditFiles(
                target.stem, path("input"), target, sentences_of(entry, where=where, fields=("instruction",)),
                {key: text for key, text in facts.items() if text}, path("mask") if entry.get("mask") else None,
            )  # fmt: skip

        super().__init__(parse_entries(listed, read, where=file.name), {}, lists=[file, described])

    def region(self, path: Path | Stored, size: tuple[int, int]) -> NDArray[Any] | None:
        """Where the mask is transparent; None where it is not, or has another size than the image."""
        from idiff.utils.picture_files import decode_alpha

        alpha = decode_alpha(self.read(path, where=path.stem, field="mask"), where=path.stem, field="mask")
        return None if alpha is None or alpha.shape != size else alpha < 128


class Gier(EditPictures):
    """`GIER.json`, a list of `{input, output, operator, expert_summary, amateur_summary}`, and `images/`.

    One sample a pair, with all its requests: training draws one, evaluation asks the first one of the experts. Requests
    may also stand in `prompts`, `instructions` or `instruction`. Published in one piece: train, val and test are 90, 5 and
    5 % of the list in its order. Masks are not read. `annotation` also has `operations`, the names of what the editor did.

    Args:
        root: folder of the set.
        split: `train`, `val`, `test` or `all`.
        annotations: a list for this split alone, such as one of `splits/`; it is taken whole.
        images: the folder of the images, where it lies elsewhere.

    Raises:
        DataError: files are not where they should be, or the list is none.
    """

    def __init__(self, root: str, split: str, annotations: str | None = None, images: str | None = None) -> None:
        file = Path(annotations) if annotations else Path(root) / "GIER.json"
        listed = json_list(file, what="a list of {input, output, expert_summary, amateur_summary, operator}")
        taken = listed if annotations else fraction(listed, split)
        folder = first_folder([Path(images) if images else Path(root) / "images"], what="GIER's images")

        def path(name: Any, *, where: str, field: str) -> Path:
            plain = inside(folder, name, where=where, field=field)
            return plain if plain.is_file() else folder / str(name).replace("/", "_")

        def read(place: int, entry: Mapping[str, Any]) -> EditFiles:
            where = f"{file.name}[{place}]"
            source = path(entry.get("input"), where=where, field="input")
            target = path(entry.get("output", entry.get("edited")), where=where, field="output")
            requests = sentences_of(entry, where=where, fields=_REQUESTS)
            operations = entry.get("operator", {})
            facts = {"operations": sorted(operations)} if isinstance(operations, dict) and operations else {}
            return EditFiles(f"{place:06d}-{target.stem}", source, target, requests, facts)

        steps = {"found": len(listed)} | ({f"in the split {split}": len(taken)} if len(taken) < len(listed) else {})
        start = 0 if annotations else fraction_bounds(len(listed), split)[0]
        super().__init__(parse_entries(taken, read, where=file.name, start=start), steps, lists=[file])


def _tables(root: Path, names: Sequence[str]) -> list[Path]:
    """The split's tables, where it has no `edit_turns.json`."""
    if any((root / name / "edit_turns.json").is_file() for name in names):
        return []
    patterns = [pattern for name in names for pattern in (f"data/{name}-*", f"{name}-*", f"{name}/*", f"{name}")]
    return next((found for pattern in patterns if (found := sorted(root.glob(f"{pattern}.parquet")))), [])


def read_turns(file: Path) -> list[dict[str, Any]]:
    """The rows of a table, with cells in place of images.

    Raises:
        ConfigError: pyarrow is not installed.
        DataError: the table cannot be read, or has other columns.
    """
    rows = read_columns(file, ["img_id", "turn_index", "instruction"])
    images = ("source_img", "mask_img", "target_img")
    return [
        row | {name: Cell(file, f"{row['img_id']}-{name}{row['turn_index']}.png", name, place) for name in images}
        for place, row in enumerate(rows)
    ]


def read_turn(place: int, row: Mapping[str, Any]) -> EditFiles:
    """One row of a table as an edit; keys are those of the other layout."""
    where = f"row[{place}]"
    return EditFiles(
        f"{row['img_id']}-output{row['turn_index']}", row["source_img"], row["target_img"],
        sentences_of(row, where=where, fields=("instruction",)), mask=row["mask_img"],
    )  # fmt: skip


def _identity(name: Any) -> str:
    """The image's id, which a file name begins with: `100547` of `100547-output1.png`."""
    return str(name).partition("-")[0]


def _in_its_folder(folder: Path, name: Any, *, where: str, field: str) -> Path:
    """The file `{id}/{name}`; a name that already has a folder is taken as it is.

    Raises:
        BadSampleError: no name, or it leads out of the folder.
    """
    path = inside(folder, name, where=where, field=field)
    identity = _identity(path.name)
    if path.parent != folder:
        return path
    if not identity:
        raise BadSampleError(where, field, f"got {name!r}, expected a name that begins with the image's id")
    return folder / identity / path.name
