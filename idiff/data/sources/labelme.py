"""Key points drawn in labelme (and tools that write its form): a JSON file an image, with points and boxes as shapes.

Source: labelme (https://github.com/wkentaro/labelme), its JSON files with `shapes`, `imagePath`, `imageHeight`, `imageWidth`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from idiff.data.sources.base import locate
from idiff.data.sources.entries import EntryError, list_of, number_of, object_of, read_each, text_of, wrong
from idiff.data.sources.keypoint_pictures import KeypointPictures
from idiff.data.sources.pictures import SUFFIXES
from idiff.data.sources.places import given
from idiff.errors import DataError, missing
from idiff.utils.foreign import MAX_TEXT, decoding, parse_json, read_regular

_HIDDEN = {"hidden", "occluded"}
_BOXES = {"rectangle", "polygon"}


@dataclass(slots=True)
class Shape:
    """One shape that is read: a joint has one point, a rectangle or polygon several."""

    kind: str
    label: str
    group: Any
    points: list[list[float]]
    hidden: bool

    @property
    def box(self) -> list[float]:
        """x, y, width, height around its points."""
        (left, right), (top, bottom) = ((min(each), max(each)) for each in zip(*self.points, strict=True))
        return [left, top, right - left, bottom - top]


@dataclass(slots=True)
class Instance:
    """One person or thing: its rectangle or polygon, where it has one, and its joints by name."""

    outline: Shape | None
    joints: dict[str, Shape] = field(default_factory=dict)


class Labelme(KeypointPictures):
    """labelme's JSON files. Shapes of the type `point` are joints, and their labels the joints' names.

    Points belong together by `group_id`. Those without one belong to the smallest rectangle or polygon around them, and where
    there is none, to one instance an image. The label of an instance's rectangle or polygon is its category.
    A point with a flag `hidden` or `occluded`, or this word as description, is hidden; others are visible.
    See `KeypointPictures`.

    Args:
        root: folder of the set.
        split: a folder of it, where there is one; any name otherwise.
        annotations: the folder of JSON files, where it lies elsewhere.
        images: the folder of the images, where they do not lie as `imagePath` says.
        category: of instances without a rectangle or polygon.

    Raises:
        DataError: files are not where they should be, or no joint is labelled.
    """

    def __init__(
        self, root: str, split: str, annotations: str | None = None, images: str | None = None, category: str = "object"
    ) -> None:
        folder = (
            given(annotations, what="the folder of JSON files", remedy="Check --annotations.")
            if annotations
            else next((place for place in (Path(root) / split, Path(root)) if place.is_dir()), Path(root))
        )
        files = sorted(folder.rglob("*.json"))
        if not files:
            raise missing(folder / "*.json", what="labelme's JSON files", remedy="Check --root and --split.")
        self.category = category
        self._others: Counter[str] = Counter()
        base = given(images, what="the folder of images", remedy="Check --images.") if images else folder
        faults: list[str] = []
        pictures: dict[str, dict[str, Any]] = {}
        found: list[tuple[str, Instance]] = []

        def read(_place: int, _where: str, file: Path) -> None:
            where = file.relative_to(folder).as_posix()
            value = _load(file, where=where)
            shapes = read_each(list_of(value, "shapes", where=where), _shape, name=where, faults=faults)
            name = where.removesuffix(file.suffix)
            pictures[name] = {
                "id": name,
                "file_name": _image(value, base if images else file.parent, base, where=where),
            }
            pictures[name] |= {"width": value.get("imageWidth"), "height": value.get("imageHeight")}
            self._others.update(shape.kind for shape in shapes if shape.kind not in {"point", *_BOXES})
            found.extend((name, instance) for instance in _instances(shapes, where, faults))

        read_each(files, read, name=folder.name, faults=faults)
        joints: dict[str, set[str]] = defaultdict(set)
        for _, instance in found:
            joints[self._category(instance)].update(instance.joints)
        order = {name: sorted(named) for name, named in sorted(joints.items())}
        numbers = {name: place for place, name in enumerate(order, start=1)}
        people = [_person(place, name, instance, self._category(instance), numbers, order)
                  for place, (name, instance) in enumerate(found)]  # fmt: skip
        if not people:
            reason = (
                "; ".join(faults[:1]) or f"the shapes are {', '.join(self._others) or 'boxes alone'}, expected points"
            )
            raise DataError(f"{folder}: no point is labelled in {len(files):,} JSON files: {reason}.")
        self._unboxed = sum(instance.outline is None for _, instance in found)
        super().__init__(
            {
                "images": list(pictures.values()), "annotations": people,
                "categories": [{"id": numbers[name], "name": name, "keypoints": named} for name, named in order.items()],
            },
            file=folder, folder=base, what="labelme", split=split, lists=[], faults=faults,
            labels={name: folder / f"{name}.json" for name in pictures},
        )  # fmt: skip

    def notes(self) -> list[str]:
        """Also: instances without a category, and shapes that are not read."""
        told = super().notes()
        if self._unboxed:
            told.append(
                f"instances without a rectangle or polygon: {self._unboxed:,}; their category is '{self.category}' (--category)"
            )
        if self._others:
            counted = ", ".join(f"{count:,} {kind}" for kind, count in sorted(self._others.items()))
            told.append(f"shapes that are not read: {counted}")
        return told

    def _category(self, instance: Instance) -> str:
        return instance.outline.label if instance.outline else self.category


def _load(file: Path, *, where: str) -> Mapping[str, Any]:
    try:
        with decoding(DataError):
            value = parse_json(read_regular(file, most=MAX_TEXT), finite=False)
    except DataError as error:
        raise EntryError("of a wrong form", f"{where} cannot be read as JSON: {error}") from error
    return object_of(value, where=where)


def _image(value: Mapping[str, Any], folder: Path, base: Path, *, where: str) -> str:
    """The image's file below `base`: as `imagePath` says, or one of the JSON file's name.

    Raises:
        EntryError: it leads out of the folder.
    """
    stated = text_of(value, "imagePath", where=where, expected="the name of a file").replace("\\", "/")
    stem = PurePosixPath(where).with_suffix("").name
    names = [stated, PurePosixPath(stated).name, *(f"{stem}{suffix}" for suffix in SUFFIXES)]
    for name in names:
        path = locate(folder, name)
        if (
            path.is_file()
            and path.resolve().is_relative_to(base.resolve())
            and ".." not in path.relative_to(base).parts
        ):
            return path.relative_to(base).as_posix()
    raise EntryError("of a wrong form", f"{where}: there is no image {names[1]} below {base}; give --images DIR")


def _shape(_: int, where: str, entry: Any) -> Shape:
    """One shape.

    Raises:
        EntryError: names the field that cannot be used.
    """
    entry = object_of(entry, where=where)
    kind = text_of(entry, "shape_type", where=where)
    listed = list_of(entry, "points", where=where, expected="a list of x, y")
    points = []
    for point in listed if kind in {"point", *_BOXES} else []:
        if not isinstance(point, list) or len(point) != 2:
            raise wrong(where, "points", listed, "a list of x, y")
        points.append([number_of(part, where=where, field="points") for part in point])
    if kind in {"point", *_BOXES} and len(points) < (1 if kind == "point" else 2):
        raise wrong(where, "points", listed, "the points of the shape")
    group = entry.get("group_id")
    if group is not None and type(group) not in {int, str}:
        raise wrong(where, "group_id", group, "a number or nothing")
    flags = entry.get("flags")
    marks = {str(name).lower() for name, on in flags.items() if on is True} if isinstance(flags, dict) else set()
    hidden = bool(_HIDDEN & {*marks, str(entry.get("description")).strip().lower()})
    return Shape(kind, text_of(entry, "label", where=where), group, points, hidden)


def _instances(shapes: Sequence[Shape], where: str, faults: list[str]) -> list[Instance]:
    """Who has which joints; a joint that an instance has twice is left out by name."""
    outlines = [shape for shape in shapes if shape.kind in _BOXES]
    by_group = {shape.group: Instance(shape) for shape in outlines if shape.group is not None}
    boxes = [(shape, by_group.get(shape.group) or Instance(shape)) for shape in outlines]
    found = [instance for _, instance in boxes]
    alone: Instance | None = None
    for shape in (shape for shape in shapes if shape.kind == "point"):
        x, y = shape.points[0]
        around = [pair for pair in boxes if _holds(pair[0].box, x, y)]
        if shape.group is not None:
            if shape.group not in by_group:
                by_group[shape.group] = Instance(None)
                found.append(by_group[shape.group])
            instance = by_group[shape.group]
        elif around:
            instance = min(around, key=lambda pair: pair[0].box[2] * pair[0].box[3])[1]
        else:
            if alone is None:
                alone = Instance(None)
                found.append(alone)
            instance = alone
        if shape.label in instance.joints:
            faults.append(
                f"{where}: the joint '{shape.label}' is there twice; give the points of each instance a group_id of its own"
            )
            continue
        instance.joints[shape.label] = shape
    return [instance for place, instance in enumerate(found) if instance.joints and instance not in found[:place]]


def _holds(box: Sequence[float], x: float, y: float) -> bool:
    return box[0] <= x <= box[0] + box[2] and box[1] <= y <= box[1] + box[3]


def _person(
    place: int, name: str, instance: Instance, category: str, numbers: Mapping[str, int], order: Mapping[str, list[str]]
) -> dict[str, Any]:
    """An instance in COCO's form; one without an outline gets a box of its joints."""
    points: list[float] = []
    for joint in order[category]:
        shape = instance.joints.get(joint)
        points += [0, 0, 0] if shape is None else [*shape.points[0], 1 if shape.hidden else 2]
    box = instance.outline.box if instance.outline else [0, 0, 0, 0]
    return {"id": place, "image_id": name, "category_id": numbers[category], "keypoints": points, "bbox": box}
