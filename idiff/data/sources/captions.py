"""Images with captions, for text-to-image training: COCO's captions, or a folder with `metadata.jsonl`.

Sources: COCO data format, "image captioning" (https://cocodataset.org/#format-data); the ImageFolder layout of the
`datasets` library, with `metadata.jsonl` or `metadata.csv`.
"""

from __future__ import annotations

import contextlib
import csv
import io
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from idiff.data.shards.annotation import parse_json
from idiff.data.sources.base import RawSample, Source
from idiff.data.sources.converting import read_picture
from idiff.data.sources.entries import EntryError, first_faults, object_of, read_each, same_id, text_of, wrong
from idiff.data.sources.pictures import first_folder, inside, keys_of_files, load_json, notes_of_files
from idiff.data.sources.places import of_split
from idiff.errors import BadSampleError, DataError, missing
from idiff.utils.foreign import decoding, read_regular
from idiff.utils.strings import normalise_prompt

_FIELDS = ("caption", "text", "captions")
_TABLES = ("metadata.jsonl", "metadata.csv")

Captions = dict[str, list[str]]
"""File name -> its captions."""


class CaptionedPictures(Source):
    """One sample an image that has a caption. `annotation`: `file_name`, and `captions`, of which training draws one.

    Read are, in this order: `--annotations FILE`; `{split}/metadata.jsonl` or `.csv`, with `file_name` and `caption` or
    `text` a line, and images beside it; `annotations/captions_{split}*.json` in COCO's format, and `images/{split}/`.

    Args:
        root: folder of the set.
        split: `train`, `val`, `train2017`, ...
        annotations: the file of captions, where it is not found under `root`; its suffix tells its format.
        images: the folder that file names start from, where it is not found under `root`.

    Raises:
        DataError: files are not where they should be, or of another form.
    """

    tasks = ("captioned",)

    def __init__(self, root: str, split: str, annotations: str | None = None, images: str | None = None) -> None:
        self.file = Path(annotations) if annotations else _find(Path(root), split)
        if not self.file.is_file():
            raise missing(self.file, what="captions", remedy="Check --annotations.")
        is_coco = self.file.suffix.lower() == ".json"
        listed, self._faults = _coco(self.file) if is_coco else _table(self.file)
        name = self.file.stem.rpartition("_")[2]
        usual = [Path(root) / base / part for base in ("images", "") for part in (split, name)]
        self.folder = first_folder(
            [Path(images)] if images else usual if is_coco else [self.file.parent], what="the images"
        )
        self._found = len(listed)
        self.captions = {
            file: told for file, texts in listed.items() if (told := [t for t in texts if normalise_prompt(t)])
        }
        self.names = list(self.captions)
        self.keys = keys_of_files(self.names)

    def meta(self) -> dict[str, Any]:
        """Nothing is shared by the set."""
        return {}

    def __len__(self) -> int:
        return len(self.names)

    def funnel(self) -> dict[str, int]:
        """All images, then those with a caption."""
        return {"found": self._found, "with a caption": len(self)}

    def notes(self) -> list[str]:
        """Entries that are left out, and files that are converted or not read."""
        told = notes_of_files((self.folder / name for name in self.names), [str(self.folder)])
        return told + ([f"left out of {self.file.name}: {first_faults(self._faults)}"] if self._faults else [])

    def set_inputs(self) -> Sequence[Path | str]:
        """The file of captions."""
        return [self.file]

    def sample_inputs(self, index: int) -> Sequence[Path]:
        """The image's file; none where its name leads out of the folder."""
        with contextlib.suppress(BadSampleError):
            return [inside(self.folder, self.names[index], where="", field="")]
        return []

    def sample(self, index: int) -> RawSample:
        """Read one image."""
        name = self.names[index]
        path = inside(self.folder, name, where=name, field="file_name")
        facts = {"file_name": name, "captions": self.captions[name]}
        return RawSample(self.keys[index], read_picture(path, where=name, field="source"), facts)


def _find(root: Path, split: str) -> Path:
    """The file of captions of a split.

    Raises:
        DataError: none, or several.
    """
    for folder in (root / split, root / "images" / split):
        for name in _TABLES:
            if (folder / name).is_file():
                return folder / name
    found = [
        path for path in sorted((root / "annotations").glob(f"captions_{split}*.json")) if of_split(path.name, split)
    ]
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise DataError(
            f"{root}/annotations has several files for split '{split}': {names}. Choose by --annotations FILE."
        )
    if not found:
        raise missing(
            root / split / _TABLES[0],
            what=f"captions, here or in {root / 'annotations'}/captions_{split}*.json",
            remedy="Check --root and --split, or give --annotations FILE and --images DIR.",
        )
    return found[0]


def _coco(file: Path) -> tuple[Captions, list[str]]:
    """Captions by file, and a sentence for each entry that is left out."""
    value = load_json(file, what="COCO captions")
    faults: list[str] = []

    names: dict[str | None, str] = {}

    def picture(_: int, where: str, entry: Any) -> None:
        entry = object_of(entry, where=where)
        identity = same_id(entry.get("id"))
        if identity is None or identity in names:
            raise wrong(where, "id", entry.get("id"), "an id of its own")
        names[identity] = text_of(entry, "file_name", where=where, expected="the name of a file")

    def caption(_: int, where: str, entry: Any) -> tuple[str | None, str]:
        entry = object_of(entry, where=where)
        identity = same_id(entry.get("image_id"))
        if identity not in names:
            raise wrong(where, "image_id", entry.get("image_id"), "the id of an image that is listed")
        return identity, text_of(entry, "caption", where=where, expected="a sentence")

    lists = [value.get(name) for name in ("images", "annotations")] if isinstance(value, dict) else [None]
    if not all(isinstance(one, list) for one in lists):
        raise DataError(
            f"{file} is not a COCO caption file: expected an object with the lists 'images' and 'annotations'."
        )
    read_each(lists[0] or [], picture, name="images", faults=faults)
    found: Captions = {name: [] for name in names.values()}
    texts: dict[str | None, list[str]] = defaultdict(list)
    for identity, text in read_each(lists[1] or [], caption, name="annotations", faults=faults):
        texts[identity].append(text)
    for known, name in names.items():  # a file may stand under two ids
        found[name].extend(texts.get(known, []))
    return found, faults


def _table(file: Path) -> tuple[Captions, list[str]]:
    """Captions by file, and a sentence for each line that is left out."""
    found: Captions = defaultdict(list)
    faults: list[str] = []
    columns: set[str] = set()
    for place, row in _rows(file, faults):
        name, field = row.get("file_name"), next((field for field in _FIELDS if row.get(field)), None)
        value = row[field] if field else []
        texts = [value] if isinstance(value, str) else value
        columns.update(str(column) for column in row)
        if not isinstance(name, str) or not name or not isinstance(texts, list):
            faults.append(f"line {place}: got {str(row)[:100]}, expected file_name and caption or text")
            continue
        found[name] += [text for text in texts if isinstance(text, str)]
    if faults and not found:
        raise DataError(f"{file}, {faults[0]}.")
    if found and not columns & set(_FIELDS):
        there = ", ".join(sorted(columns))
        raise DataError(f"{file} has no column caption, text or captions: there are {there}. Rename one.")
    return dict(found), faults


def _rows(file: Path, faults: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a JSONL or CSV file with their line numbers; a line of JSONL that is no object becomes a fault."""
    with decoding(
        lambda reason: DataError(f"{file} cannot be read as a table: {reason}. Expected file_name and caption a line.")
    ):
        data = read_regular(file)
        if file.suffix.lower() == ".csv":
            table = csv.DictReader(io.StringIO(data.decode("utf-8-sig")))
            for cells in table:
                if None in cells:
                    faults.append(
                        f"line {table.line_num} has more values than the header: put text with commas in quotes"
                    )
                    continue
                yield table.line_num, cells
            return
        for place, line in enumerate(data.splitlines(), start=1):
            if line.strip():
                try:
                    row = object_of(parse_json(line, finite=False), where=f"line {place}")
                except ValueError as error:
                    faults.append(str(error) if isinstance(error, EntryError) else f"line {place} is no JSON: {error}")
                    continue
                yield place, dict(row)
