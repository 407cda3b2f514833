"""Key points as YOLO's pose models take them: a text file an image, in shares of its width and height, and `data.yaml`.

Source: Ultralytics, "Pose Estimation Datasets" (https://docs.ultralytics.com/datasets/pose).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from idiff.data.sources.coco_entries import AREA_OF_BOX, box_of_joints
from idiff.data.sources.entries import EntryError, number_of, read_each
from idiff.data.sources.keypoint_pictures import KeypointPictures
from idiff.data.sources.pictures import list_pictures
from idiff.data.sources.places import given, split_words
from idiff.errors import DataError, missing
from idiff.utils.foreign import decoding, read_text

COCO_JOINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow",
    "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
_COCO_FLIP = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
_HEAD = 5  # class and box
_MOST = 1000  # joints


class YoloPose(KeypointPictures):
    """YOLO's pose format. A line is `class x y width height`, then `x y` or `x y v` of each joint; x and y are shares.

    Left and right are those of `flip_idx`. Joints are named by `kpt_names`; without it, COCO's 17 names where number and
    `flip_idx` are COCO's, else `joint 0`, `joint 1`, ... Without v, a joint at (0, 0) is not labelled, others are visible.
    See `KeypointPictures`.

    Args:
        root: folder of the set, with `data.yaml`.
        split: `train`, `val` or `test`, as `data.yaml` has it.
        annotations: the YAML file, where it has another name or place.
        images: the split's folder of images, where it is not found by the YAML file; a folder `labels` takes the place of the
            last `images` in its path.

    Raises:
        DataError: files are not where they should be, the YAML file lacks `kpt_shape`, or nothing is labelled.
    """

    def __init__(self, root: str, split: str, annotations: str | None = None, images: str | None = None) -> None:
        file = (
            given(annotations, what="the YAML file of the set", remedy="Check --annotations.")
            if annotations
            else _yaml_file(Path(root))
        )
        facts = _read_yaml(file)
        folder = (
            given(images, what="the folder of images", remedy="Check --images.")
            if images
            else _images(file, facts, Path(root), split)
        )
        with decoding(lambda reason: DataError(f"{file} cannot be used: {reason}.")):
            count, size = _shape(file, facts)
            categories, self.unnamed = _categories(file, facts, count)
        labels = _label_folder(folder)
        faults: list[str] = []
        pictures: list[dict[str, Any]] = []
        people: list[dict[str, Any]] = []
        own: dict[Any, Path] = {}
        for name, path in list_pictures(folder).items():
            text = labels / f"{name}.txt"
            if not text.is_file():  # an image without objects
                continue
            own[name] = text
            pictures.append({"id": name, "file_name": path.relative_to(folder).as_posix()})
            for line in read_each(
                _lines(text, faults),
                lambda _, where, entry: _line(entry, where, count, size),
                name=text.name,
                faults=faults,
            ):
                people.append({"id": len(people), "image_id": name} | line)
        if not own:
            raise missing(labels / "*.txt", what=f"a text file for each image of {folder}", remedy="Check --images.")
        super().__init__(
            {"images": pictures, "annotations": people, "categories": categories}, file=file, folder=folder,
            what="YOLO pose", split=split, lists=[file], labels=own, faults=faults,
        )  # fmt: skip

    def notes(self) -> list[str]:
        """Also: joints without names."""
        told = "the YAML file does not name the joints (kpt_names): they are called 'joint 0', 'joint 1', ..."
        return super().notes() + ([told] if self.unnamed else [])

    def in_pixels(self, instances: list[dict[str, Any]], size: tuple[int, int]) -> list[dict[str, Any]]:
        """Shares of the image become pixels."""
        height, width = size
        placed = []
        for instance in instances:
            points = [[x * width, y * height, v] for x, y, v in instance["keypoints"]]
            x, y, wide, high = instance["box"]
            box = [x * width, y * height, wide * width, high * height]
            if instance.get("box_from_joints"):
                box = box_of_joints(points)
            placed.append(instance | {"keypoints": points, "box": box, "area": box[2] * box[3] * AREA_OF_BOX})
        return placed


def _yaml_file(root: Path) -> Path:
    """The one YAML file of a set.

    Raises:
        DataError: none, or several and none is `data.yaml`.
    """
    found = sorted([*root.glob("*.yaml"), *root.glob("*.yml")])
    usual = [path for path in found if path.stem in {"data", "dataset"}]
    if len(usual or found) != 1:
        names = ", ".join(path.name for path in found) or "no YAML file"
        raise missing(
            root / "data.yaml", what="kpt_shape, names and folders of the set",
            remedy=f"{root} has {names}. Give --annotations FILE.",
        )  # fmt: skip
    return (usual or found)[0]


def _read_yaml(file: Path) -> Mapping[str, Any]:
    from idiff.utils.plain_yaml import parse_yaml

    with decoding(lambda reason: DataError(f"{file} cannot be read as YAML: {reason}.")):
        value = parse_yaml(read_text(file))
    if not isinstance(value, dict):
        raise DataError(f"{file} holds {type(value).__name__}, expected kpt_shape, names and folders of the set.")
    return value


def _shape(file: Path, facts: Mapping[str, Any]) -> tuple[int, int]:
    """Number of joints, and how many numbers each has."""
    shape = facts.get("kpt_shape")
    if not (
        isinstance(shape, list)
        and len(shape) == 2
        and type(shape[0]) is int
        and 0 < shape[0] <= _MOST
        and shape[1] in [2, 3]
    ):
        raise DataError(
            f"{file}: kpt_shape is {shape!r:.60}, expected [joints, 2] or [joints, 3]. Is it a set of boxes without key points?"
        )
    return shape[0], shape[1]


def _categories(file: Path, facts: Mapping[str, Any], count: int) -> tuple[list[dict[str, Any]], bool]:
    """Classes with their joints, in COCO's form; and whether joints have no names."""
    names = facts.get("names")
    named = dict(enumerate(names)) if isinstance(names, list) else names
    if not isinstance(named, dict) or not named:
        raise DataError(f"{file}: names is {names!r:.60}, expected the names of classes.")
    flip = facts.get("flip_idx")
    if flip is not None and (
        not isinstance(flip, list)
        or [one for one in flip if type(one) is int] != flip
        or sorted(flip) != [*range(count)]
    ):
        raise DataError(f"{file}: flip_idx is {flip!r:.80}, expected the numbers 0 to {count - 1} in another order.")
    given_names = facts.get("kpt_names")
    pairs = None if flip is None else [[a, b] for a, b in enumerate(flip) if a < b and flip[b] == a]
    categories, unnamed = [], False
    for identity, name in named.items():
        own = given_names.get(identity) if isinstance(given_names, dict) else given_names
        if not isinstance(own, list):
            coco = flip == _COCO_FLIP
            own = list(COCO_JOINTS) if coco else [f"joint {place}" for place in range(count)]
            unnamed |= not coco
        if len(own) != count:
            raise DataError(f"{file}: kpt_names has {len(own)} names for '{name}', and kpt_shape {count} joints.")
        categories.append({"id": identity, "name": str(name), "keypoints": own, "flip_pairs": pairs})
    return categories, unnamed


def _images(file: Path, facts: Mapping[str, Any], root: Path, split: str) -> Path:
    """The split's folder of images: as the YAML file says, from its own folder or the set's on; or the usual places."""
    words = [word for word in split_words(split) if isinstance(facts.get(word), str)]
    base = facts["path"] if isinstance(facts.get("path"), str) else ""
    stated = [facts[word] for word in words]
    usual = [f"images/{word}" for word in split_words(split)] + [f"{word}/images" for word in split_words(split)]
    tried: list[Path] = [start / name for name in stated for start in (file.parent / base, root, file.parent)]
    tried += [root / name.removeprefix("../") for name in stated] + [root / name for name in usual]
    for place in tried:
        if place.is_dir():
            return place
    others = ", ".join(str(path) for path in dict.fromkeys(tried[1:]))
    raise missing(tried[0], what=f"the images, there or in {others}", remedy="Give --images DIR.")


def _label_folder(images: Path) -> Path:
    """The folder of text files: `labels` for the last `images` of the path, or the images' own."""
    parts = list(images.parts)
    for place in reversed(range(len(parts))):
        if parts[place] == "images":
            folder = Path(*parts[:place], "labels", *parts[place + 1 :])
            if folder.is_dir():
                return folder
    return images


def _lines(file: Path, faults: list[str]) -> list[str]:
    try:
        with decoding(DataError):
            return [line for line in read_text(file).splitlines() if line.strip()]
    except DataError as error:
        faults.append(f"{PurePosixPath(file).name} cannot be read as text: {error}")
        return []


def _line(line: str, where: str, count: int, size: int) -> dict[str, Any]:
    """One object in COCO's form, in shares of the image.

    Raises:
        EntryError: the line has another number of values, or a value that is none.
    """
    words = line.split()
    if len(words) != _HEAD + count * size:
        raise EntryError(
            "of a wrong form", f"{where}: {len(words)} values, expected {_HEAD} and {size} for each of {count} joints"
        )
    values = [number_of(word, where=where, field=f"value {place}") for place, word in enumerate(words)]
    kind, x, y, width, height = values[:_HEAD]
    points: list[float] = []
    for place in range(_HEAD, len(values), size):
        left, top = values[place : place + 2]
        points += (left, top, values[place + 2] if size == 3 else float((left, top) != (0, 0)) * 2)
    if any(abs(part) > 2 for part in (x, y, width, height)):
        raise EntryError(
            "of a wrong form", f"{where}: the box {words[1:_HEAD]} is in pixels, expected shares from 0 to 1"
        )
    return {
        "category_id": int(kind) if kind.is_integer() else kind, "keypoints": points,
        "bbox": [x - width / 2, y - height / 2, width, height],
    }  # fmt: skip
