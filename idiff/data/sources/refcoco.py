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
from idiff.data.sources.coco_entries import number
from idiff.data.sources.converting import read_picture
from idiff.data.sources.outlines import mask_of
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
        refers = self._refers(split)
        value = read_json(objects)
        try:
            self._pictures = {entry["id"]: entry for entry in _usable(value["images"])}
            self._names = {entry["id"]: str(entry["name"]) for entry in value["categories"]}
            wanted = {identity for refer in refers for identity in refer["ann_id"]}
            objects_wanted = [entry for entry in _usable(value["annotations"]) if entry["id"] in wanted]
        except (KeyError, TypeError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise DataError(f"{objects} is no COCO file of objects: {reason}.") from error
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
        if not isinstance(entries, list) or not all(isinstance(one, dict) and one.keys() >= _REFERS for one in entries):
            raise DataError(f"{self.file}: expected a list of references, each with {', '.join(sorted(_REFERS))}.")
        known = sorted({str(entry["split"]) for entry in entries})
        if split not in known:
            hint = suggest(split, known) or "."
            raise DataError(f"{self.file} has no split '{split}'{hint} Its splits are {', '.join(known)}.")
        try:
            return [_refer(entry) for entry in entries if entry["split"] == split]
        except (KeyError, TypeError, ValueError) as error:
            reason = f"a sentence without {error}" if isinstance(error, KeyError) else str(error)
            raise DataError(f"{self.file}: {reason}.") from error

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
            instance = {
                "id": identity,
                "category": self._names.get(category, ""),
                "category_id": category,
                "mask": mask,
            }
            box = entry.get("bbox")
            if isinstance(box, list) and len(box) == 4 and min(box[2:]) > 0:
                instance["box"] = [float(value) for value in box]
            return instance | ({"area": float(entry["area"])} if entry.get("area") else {})


class GrefCoco(RefCoco):
    """gRefCOCO: phrases that name one object, several or none. See `RefCoco`."""

    lists = ("grefs(unc).json",)


def _usable(entries: Any) -> list[dict[str, Any]]:
    """The entries that have a whole number as id; the others are as if they were not there."""
    return [entry for entry in entries if isinstance(entry, dict) and type(entry.get("id")) is int]


def _refer(entry: dict[str, Any]) -> dict[str, Any]:
    """One reference: which objects, by which sentences. Words that are empty are left out."""
    named = entry["ann_id"] if isinstance(entry["ann_id"], list) else [entry["ann_id"]]
    numbers = [entry["image_id"], entry["ref_id"], *named]
    if not all(type(number) is int for number in numbers):
        raise TypeError(f"reference {entry['ref_id']!r} has numbers that are none: {numbers[:5]!r}")
    if -1 in named and len(named) > 1:
        raise ValueError(f"reference {entry['ref_id']} names nothing (-1) and something: {named}")
    sentences = [
        {"text": text, "sent_id": sentence["sent_id"]}
        for sentence in entry["sentences"]
        if (text := str(sentence.get("sent") or sentence.get("raw") or "").strip())
    ]
    return {
        "image_id": entry["image_id"], "ref_id": entry["ref_id"], "split": entry["split"], "sentences": sentences,
        "ann_id": [] if named == [-1] else list(dict.fromkeys(named)),
    }  # fmt: skip
