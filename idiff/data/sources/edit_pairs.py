"""Images before and after an edit that a sentence asks for: the base of the editing sources, and their plainest form."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from idiff.data.sources.base import RawSample, Source, Stored, files_of
from idiff.data.sources.converting import read_picture
from idiff.data.sources.pictures import first_folder, fitted_target, inside, load_json, make_keys
from idiff.errors import BadSampleError, ConfigError, DataError
from idiff.utils.picture_files import picture_size
from idiff.utils.strings import normalise_prompt

if TYPE_CHECKING:
    from numpy.typing import NDArray

T = TypeVar("T")

FRACTIONS: Mapping[str, tuple[float, float]] = {"train": (0.0, 0.9), "val": (0.9, 0.95), "test": (0.95, 1.0)}
"""Splits of sets that are published in one piece, as InstructPix2Pix cuts its own: shares of the published order."""

FEWEST = 20
"""Sets with fewer entries are not cut: all of them are `train`."""


@dataclass(frozen=True, slots=True)
class EditFiles:
    """One edit of a raw data set.

    Attributes:
        name: unique in the set; makes the key and names the edit in errors.
        source: the image before.
        target: the image after.
        instructions: sentences that ask for it, the first one is asked in evaluation.
        facts: go into the annotation.
        mask: an image file that marks the edited region, where there is one.
    """

    name: str
    source: Path | Stored
    target: Path | Stored
    instructions: tuple[str, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    mask: Path | Stored | None = None


class EditPictures(Source):
    """One sample an edit. Files pass through unchanged.

    An edited image of another size is resized to its source where their aspects agree within 1 %.
    `annotation`: `instruction`; `instructions`, where there are several; `file_name`; and the facts of the set.

    Args:
        entries: the edits; an error stands for one that cannot be used, so that the build names it and goes on.
        steps: how many were left after each step of listing, in order.
        lists: the files that name the edits.
    """

    tasks = ("editing",)

    def __init__(
        self, entries: Sequence[EditFiles | BadSampleError], steps: Mapping[str, int], *, lists: Sequence[Path] = ()
    ) -> None:
        self.entries, self.steps, self.lists = entries, dict(steps), list(lists)
        names = [entry.name if isinstance(entry, EditFiles) else f"?{place}" for place, entry in enumerate(entries)]
        self.keys = make_keys(names)

    def meta(self) -> dict[str, Any]:
        """Nothing is shared by the set."""
        return {}

    def __len__(self) -> int:
        return len(self.entries)

    def funnel(self) -> dict[str, int]:
        """The steps of listing."""
        return {"found": len(self)} | self.steps

    def set_inputs(self) -> Sequence[Path | str]:
        """The lists of edits."""
        return self.lists

    def sample_inputs(self, index: int) -> Sequence[Path]:
        """The images, and the mask where there is one; none of an entry that cannot be used."""
        entry = self.entries[index]
        return [] if isinstance(entry, BadSampleError) else files_of(entry.source, entry.target, entry.mask)

    def sample(self, index: int) -> RawSample:
        """Read one edit."""
        entry = self.entries[index]
        if isinstance(entry, BadSampleError):
            raise entry
        sentences = [text for text in entry.instructions if normalise_prompt(text)]
        if not sentences:
            raise BadSampleError(entry.name, "instruction", f"got {entry.instructions!r}, expected a sentence")
        data = self.read(entry.source, where=entry.name, field="source")
        size = picture_size(data, where=entry.name)
        target, resized = fitted_target(
            size, self.read(entry.target, where=entry.name, field="target"), where=entry.name
        )
        facts = {"instruction": sentences[0], "file_name": entry.source.name, **entry.facts, **resized}
        if len(sentences) > 1:
            facts["instructions"] = sentences
        if entry.mask is not None and not resized:
            region = self.region(entry.mask, size)
            if region is not None and region.any():
                from idiff.utils.masks import encode_mask

                facts["region"] = encode_mask(region)
        return RawSample(self.keys[index], data, facts, target=target)

    def read(self, path: Path | Stored, *, where: str, field: str) -> bytes:
        """The bytes of a file.

        Raises:
            BadSampleError: it cannot be read.
        """
        return read_picture(path, where=where, field=field)

    def region(self, path: Path | Stored, size: tuple[int, int]) -> NDArray[Any] | None:
        """The edited region that a mask file marks: bool (height, width); None where it says nothing that can be used."""
        return None


class EditList(EditPictures):
    """`{split}/edits.json`: a list of `{input, edited, instruction}`, files beside it.

    `instructions`, a list of sentences, may stand for `instruction`. Further fields are not read.

    Args:
        root: folder of the set.
        split: `train`, `val`, ...
        annotations: the JSON file, where it is not found under `root`.
        images: the folder that file names start from, where it is not the folder of the list.

    Raises:
        DataError: the list is missing or no list.
    """

    def __init__(self, root: str, split: str, annotations: str | None = None, images: str | None = None) -> None:
        file = Path(annotations) if annotations else Path(root) / split / "edits.json"
        listed = json_list(file, what="a list of {input, edited, instruction}")
        folder = first_folder([Path(images)], what="the images") if images else file.parent

        super().__init__(parse_entries(listed, plain_reader(file, folder), where=file.name), {}, lists=[file])


def plain_reader(file: Path, folder: Path) -> Callable[[int, Mapping[str, Any]], EditFiles]:
    """How one `{input, edited, instruction}` of a list is read.

    Args:
        file: the list, for errors.
        folder: where its file names start from.
    """

    def read(place: int, entry: Mapping[str, Any]) -> EditFiles:
        where = f"{file.name}[{place}]"
        before = inside(folder, entry.get("input"), where=where, field="input")
        after = inside(folder, entry.get("edited"), where=where, field="edited")
        return EditFiles(f"{place:06d}", before, after, sentences_of(entry, where=where))

    return read


def json_list(file: Path, *, what: str) -> list[Any]:
    """Read a JSON file whose content is a list.

    Raises:
        DataError: missing, or something else.
    """
    value = load_json(file, what=what)
    if not isinstance(value, list):
        raise DataError(f"{file} holds {type(value).__name__}, expected {what}.")
    return value


def parse_entries(
    listed: Iterable[Any], read: Callable[[int, Mapping[str, Any]], EditFiles], *, where: str, start: int = 0
) -> list[EditFiles | BadSampleError]:
    """Read each entry of a list; those that cannot be used become the error that says why.

    Args:
        listed: the entries.
        read: (place in the file, entry) -> edit; may raise a `BadSampleError`.
        where: names the file in errors.
        start: place of the first entry in the file.
    """
    found: list[EditFiles | BadSampleError] = []
    for place, entry in enumerate(listed, start):
        try:
            if not isinstance(entry, Mapping):
                raise BadSampleError(f"{where}[{place}]", "entry", f"got {type(entry).__name__}, expected an object")
            found.append(read(place, entry))
        except BadSampleError as error:
            found.append(error)
    return found


def sentences_of(
    entry: Mapping[str, Any], *, where: str, fields: Sequence[str] = ("instruction", "instructions")
) -> tuple[str, ...]:
    """The sentences in some fields of an entry: strings, or lists of strings; each once, in order.

    Raises:
        BadSampleError: a field holds something else, or all are missing.
    """
    found: list[str] = []
    for name in fields:
        value = entry.get(name, [])
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise BadSampleError(where, name, f"got {value!r}, expected a sentence or a list of them")
        found += texts
    if not any(name in entry for name in fields):
        raise BadSampleError(where, fields[0], "missing, expected a sentence")
    return tuple(dict.fromkeys(found))


def fraction(listed: Sequence[T], split: str) -> Sequence[T]:
    """The part of a set that is published in one piece: 90, 5 and 5 % of its order for train, val and test; or `all`.

    Raises:
        ConfigError: another split.
    """
    if split not in {*FRACTIONS, "all"}:
        raise ConfigError(
            f"split '{split}': this set is published in one piece. Expected {', '.join(FRACTIONS)} (90, 5 and 5 % of it "
            "in its own order) or all."
        )
    start, stop = fraction_bounds(len(listed), split)
    return listed[start:stop]


def fraction_bounds(count: int, split: str) -> tuple[int, int]:
    """Where the part of `fraction` begins and ends in a list of `count`."""
    if split == "all" or count < FEWEST:
        return 0, count if split in {"all", "train"} else 0
    start, stop = (math.floor(share * count) for share in FRACTIONS[split])
    return start, stop
