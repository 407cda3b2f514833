"""Phrases about objects of COCO's images: RefCOCO, RefCOCO+, RefCOCOg and gRefCOCO, as their authors publish them.

Sources: Yu et al., ECCV 2016 (RefCOCO, RefCOCO+); Mao et al., CVPR 2016 and Nagaraja et al., ECCV 2016 (RefCOCOg, with the
splits `google` and `umd`); Liu et al., CVPR 2023 (gRefCOCO: several targets or none).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from idiff.data.sources.base import RawSample, Source, locate
from idiff.data.sources.converting import read_picture
from idiff.data.sources.entries import (
    first_faults,
    list_of,
    number,
    object_of,
    read_each,
    text_of,
    whole_of,
    wrong,
)
from idiff.data.sources.outlines import mask_of
from idiff.data.sources.pictures import notes_of_files
from idiff.data.sources.places import check_pictures, find_folder, given, read_json
from idiff.errors import BadSampleError, DataError, missing, suggest
from idiff.utils.foreign import decoding, read_regular
from idiff.utils.picture_files import picture_size
from idiff.utils.plain_pickle import load_plain

_OBJECTS = "instances.json"
_PICTURES = (
    "train2014", "images/train2014", "../images/mscoco/images/train2014", "../images/train2014", "../train2014", "images",
)  # fmt: skip
_REFERS = {"image_id", "ref_id", "ann_id", "split", "sentences"}


class RefCoco(Source):
    """One sample an image that has phrases in the split; each sentence is an item.

    `annotation`: `image_id`, `file_name`; `instances`, those that are named, with `mask`, `box`, `area`, `id`, `category`,
    `category_id`; `phrases` with `text`, `instances`, `ref_id`, `sent_id`, `split`. `ann_id` -1 names nothing. The polygons
    of an object are united. The list of phrases is a pickle; it is read without running anything.

    Args:
        root: folder of one of the sets, with `instances.json` and the list of phrases.
        split: as the list names it: `train`, `val`, `testA`, `testB` (RefCOCO, RefCOCO+, gRefCOCO), `test` (RefCOCOg umd).
        annotations: the list of phrases, where there are several: `refs(unc).p`, `refs(umd).p`, `refs(google).p`; without it
            the first of them that is there. `instances.json` lies beside it.
        images: folder of COCO's `train2014` images, where it is not found beside the set.

    Raises:
        DataError: files are not where they should be or in another form, or the split has no phrase.
    """

    tasks = ("referring",)
    unit = "phrases"
    lists: ClassVar[Sequence[str]] = ("refs(unc).p", "refs(umd).p", "refs(google).p")

    def __init__(self, root: str, split: str, annotations: str | None = None, images: str | None = None) -> None:
        what = f"a list of phrases, {' or '.join(self.lists)}"
        if annotations:
            self.file = given(annotations, what=what, remedy="Check --annotations.")
        else:
            found = [Path(root) / name for name in self.lists if (Path(root) / name).is_file()]
            if not found:
                remedy = "Give --root the folder of one set, such as data/refcoco, or --annotations FILE."
                raise missing(Path(root) / self.lists[0], what=what, remedy=remedy)
            self.file = found[0]
        self.folder = (
            given(images, what="the folder of COCO's train2014 images", remedy="Check --images.")
            if images
            else find_folder(
                Path(root), _PICTURES, split=split, what="COCO's train2014 images", remedy="Give --images DIR."
            )
        )
        objects = self.file.with_name(_OBJECTS)
        if not objects.is_file():
            raise missing(
                objects, what="the objects that the phrases name", remedy="Put it beside the list of phrases."
            )
        self.faults: list[str] = []
        refers = self._refers(split)
        value = read_json(objects, finite=False)
        lists: list[Any] = [
            value.get(name) if isinstance(value, dict) else None for name in ("images", "categories", "annotations")
        ]
        if not all(isinstance(one, list) for one in lists):
            raise DataError(
                f"{objects} is no COCO file of objects: expected the lists images, categories and annotations."
            )
        pictures = read_each(lists[0] or [], _known, name="images", faults=self.faults)
        categories = read_each(lists[1] or [], _named, name="categories", faults=self.faults)
        things = read_each(lists[2] or [], _known, name="annotations", faults=self.faults)
        self._pictures = {entry["id"]: entry for entry in pictures}
        self._names = {entry["id"]: entry["name"] for entry in categories}
        wanted = {identity for refer in refers for identity in refer["ann_id"]}
        objects_wanted = [entry for entry in things if entry["id"] in wanted]
        self._objects = {entry["id"]: entry for entry in objects_wanted}
        often = {one for one, count in Counter(entry["id"] for entry in objects_wanted).items() if count > 1}
        self._files = self._find_files()
        self.left_out: Counter[str] = Counter()
        self._by_picture: dict[Any, list[dict[str, Any]]] = defaultdict(list)
        for refer in refers:
            if not refer["sentences"]:
                self.left_out["without words"] += 1
            elif refer["image_id"] not in self._pictures:
                self.left_out[f"whose image is not in {_OBJECTS}"] += 1
            elif often & set(refer["ann_id"]):
                twice = min(often & set(refer["ann_id"]))
                self.left_out[f"whose object's id is twice in {_OBJECTS}, such as {twice}"] += 1
            elif any(self._objects.get(one, {}).get("image_id") != refer["image_id"] for one in refer["ann_id"]):
                self.left_out[f"whose object is not in {_OBJECTS}"] += 1
            else:
                self._by_picture[refer["image_id"]].append(refer)
        self._ids = sorted(self._by_picture)
        self._pictures = {identity: self._pictures[identity] for identity in self._ids}
        self._found = len({refer["image_id"] for refer in refers})
        check_pictures(self.folder, (self._files[one] for one in self._ids), listed=objects)

    def meta(self) -> dict[str, Any]:
        """Nothing: what a phrase may name is not limited to classes."""
        return {}

    def funnel(self) -> dict[str, int]:
        """Images of the split, then those with a phrase that can be used; the list that was read is named."""
        step = "whose objects are known"
        if self.left_out:
            reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(self.left_out.items()))
            step += f" (references left out: {reasons})"
        return {f"found in {self.file.name}": self._found, step: len(self._ids)}

    def notes(self) -> list[str]:
        """Entries of a wrong form, and files that are converted or not read."""
        told = [f"left out, because of a wrong form: {first_faults(self.faults)}"] if self.faults else []
        return told + notes_of_files((Path(self._files[one]) for one in self._ids), [str(self.folder)])

    def set_inputs(self) -> Sequence[Path | str]:
        """The list of phrases and the objects."""
        return [self.file, self.file.with_name(_OBJECTS)]

    def sample_inputs(self, index: int) -> Sequence[Path]:
        """The image's file."""
        return [locate(self.folder, self._files[self._ids[index]])]

    def __len__(self) -> int:
        return len(self._ids)

    def sample(self, index: int) -> RawSample:
        """Read one image, its phrases, and the masks of what they name."""
        identity = self._ids[index]
        picture = self._pictures[identity]
        name = self._files[identity]
        data = read_picture(locate(self.folder, name), where=name, field="source")
        height, width = picture_size(data, where=name)
        stated = (number(picture.get("width")) or width, number(picture.get("height")) or height)
        if stated != (width, height):
            reason = f"{width}x{height} pixels, expected {stated[0]:.0f}x{stated[1]:.0f} as in {_OBJECTS}"
            raise BadSampleError(name, "source", reason)
        refers = self._by_picture[identity]
        named = list(dict.fromkeys(one for refer in refers for one in refer["ann_id"]))
        instances = [self._instance(one, where=name, height=height, width=width) for one in named]
        phrases = [
            {
                "text": sentence["text"], "instances": [named.index(one) for one in refer["ann_id"]],
                "ref_id": refer["ref_id"], "sent_id": sentence["sent_id"], "split": refer["split"],
            }
            for refer in refers
            for sentence in refer["sentences"]
        ]  # fmt: skip
        facts = {"image_id": identity, "file_name": name, "instances": instances, "phrases": phrases}
        return RawSample(key=f"{identity:012d}", image=data, annotation=facts)

    def _find_files(self) -> dict[Any, str]:
        """Image id -> its file below the folder of images. Folders before a name are dropped where they are not there."""
        full: dict[Any, PurePosixPath] = {}
        for one, entry in self._pictures.items():
            parts = PurePosixPath(str(entry.get("file_name", ""))).parts
            full[one] = PurePosixPath(*(part for part in parts if part not in {"/", ".."}))
        count = Counter(path.name for path in set(full.values()))
        return {
            one: str(path) if count[path.name] > 1 or locate(self.folder, str(path)).is_file() else path.name
            for one, path in full.items()
        }

    def _refers(self, split: str) -> list[dict[str, Any]]:
        """The references of the split, checked, with those fields that are used."""
        entries = self.parse(self.file)
        if not isinstance(entries, list):
            raise DataError(f"{self.file}: expected a list of references, each with {', '.join(sorted(_REFERS))}.")
        refers = read_each(entries, _refer, name=self.file.name, faults=self.faults)
        if not refers:
            raise DataError(
                f"{self.file} has no reference that can be used: {first_faults(self.faults) or 'it is empty'}."
            )
        known = sorted({refer["split"] for refer in refers})
        if split not in known:
            hint = suggest(split, known) or "."
            raise DataError(f"{self.file} has no split '{split}'{hint} Its splits are {', '.join(known)}.")
        return [refer for refer in refers if refer["split"] == split]

    @staticmethod
    def parse(file: Path) -> Any:
        """The list of phrases: a pickle of plain values, or JSON where its name ends so.

        Raises:
            DataError: it cannot be read, or holds anything but plain values.
        """
        if file.suffix == ".json":
            return read_json(file)
        with decoding(lambda reason: DataError(f"{file} cannot be read: {reason}.")):
            data = read_regular(file)
        return load_plain(data, where=str(file))

    def _instance(self, identity: int, *, where: str, height: int, width: int) -> dict[str, Any]:
        """One object that is named: its mask and what else is known of it."""
        entry = self._objects[identity]
        category = entry.get("category_id")
        with decoding(lambda reason: BadSampleError(where, f"object {identity}", reason)):
            mask = mask_of(entry.get("segmentation"), height=height, width=width)
        instance: dict[str, Any] = {
            "id": identity, "category": self._names.get(category, ""), "category_id": category, "mask": mask,
        }  # fmt: skip
        given, area = entry.get("bbox"), number(entry.get("area"))
        numbers = [number(part) for part in given] if isinstance(given, list) else []
        box = [part for part in numbers if part is not None]
        if len(numbers) == len(box) == 4 and min(box[2:]) > 0:
            instance["box"] = box
        return instance | ({"area": area} if area else {})


class GrefCoco(RefCoco):
    """gRefCOCO: phrases that name one object, several or none. See `RefCoco`."""

    lists = ("grefs(unc).json",)


def _known(_: int, where: str, entry: Any) -> dict[str, Any]:
    """An image or object: its ids as whole numbers, which may be text in the file."""
    fields = dict(object_of(entry, where=where))
    ids = {
        name: whole_of(fields[name], where=where, field=name) for name in ("image_id", "category_id") if name in fields
    }
    return fields | ids | {"id": whole_of(entry.get("id"), where=where, field="id")}


def _named(place: int, where: str, entry: Any) -> dict[str, Any]:
    """A category."""
    return _known(place, where, entry) | {"name": text_of(entry, "name", where=where)}


def _refer(_: int, where: str, entry: Any) -> dict[str, Any]:
    """One reference: which objects, by which sentences. Words that are empty are left out.

    Raises:
        EntryError: names the field that cannot be used.
    """
    entry = object_of(entry, where=where)
    given = entry.get("ann_id")
    named = [whole_of(one, where=where, field="ann_id") for one in (given if isinstance(given, list) else [given])]
    if not named or (-1 in named and len(named) > 1):
        raise wrong(where, "ann_id", given, "ids of objects, or -1 alone for nothing")
    sentences = []
    for sentence in list_of(entry, "sentences", where=where, expected="a list of sentences"):
        texts = object_of(sentence, where=f"{where}: a sentence")
        if text := str(texts.get("sent") or texts.get("raw") or "").strip():
            sentences.append({"text": text, "sent_id": whole_of(texts.get("sent_id"), where=where, field="sent_id")})
    numbers = {name: whole_of(entry.get(name), where=where, field=name) for name in ("image_id", "ref_id")}
    return numbers | {
        "split": text_of(entry, "split", where=where), "sentences": sentences,
        "ann_id": [] if named == [-1] else list(dict.fromkeys(named)),
    }  # fmt: skip
