"""Images with key points of any categories and joints: what COCO's format and others that are read like it have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from idiff.data.sources.base import RawSample, Source, locate, safe_keys
from idiff.data.sources.coco_entries import read_entries
from idiff.data.sources.converting import read_picture
from idiff.data.sources.entries import first_faults, number
from idiff.data.sources.pictures import notes_of_files
from idiff.data.sources.placed import notes_of_places
from idiff.errors import BadSampleError, DataError, IdiffError
from idiff.utils.foreign import decoding, read_regular
from idiff.utils.picture_files import picture_size
from idiff.utils.sigmas import has_sides, one_sided

SAME_ASPECT = 0.02
"""Sizes whose aspect ratios differ by less than this share are scaled copies of each other."""

LOOKED_AT = 200
"""So many images are looked at to see whether they have the stated size."""


class KeypointPictures(Source):
    """One sample an image that has at least one instance with a labelled joint.

    Left out and counted: crowds, instances without a labelled joint or without a box, and entries of a wrong form, which
    are named.
    `annotation`: `image_id`, `file_name`, and `instances` with `keypoints`, `box`, `area`, `id`, `category`, `category_id`,
    `num_keypoints`; `area_from_box` is true where the set gives no area.

    Args:
        value: `images`, `annotations` and `categories` as COCO has them, unchecked.
        file: where they are from, for messages.
        folder: where the names of images begin.
        what: the kind of file, in words.
        split: for messages.
        lists: the files that all samples depend on.
        labels: image id -> the file of its own labels, where each image has one.
        faults: sentences about entries that were left out before.

    Raises:
        DataError: the lists are of another form, or label nothing.
    """

    tasks = ("keypoints",)
    unit = "instances"

    def __init__(
        self, value: Mapping[str, Any], *, file: Path, folder: Path, what: str, split: str, lists: Sequence[Path],
        labels: Mapping[Any, Path] | None = None, faults: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.file, self.folder, self.lists, self.labels = file, folder, list(lists), dict(labels or {})
        with decoding(lambda reason: DataError(f"{file} is no {what} file: {reason}.")):
            self.skeletons, entries = read_entries(value)
        self._pictures, self._instances, self.left_out = entries.pictures, entries.instances, entries.left_out
        self._faults, self._entries = first_faults([*faults, *entries.faults]), entries
        if not self._instances:
            reason = (
                self._faults or f"is '{split}' a split without labels? {self._left_out() or 'it lists no instance'}"
            )
            raise DataError(f"{file} labels no joint that can be used: {reason}.")
        self._ids = sorted(self._instances, key=lambda identity: (isinstance(identity, str), identity))
        self._keys = dict(zip(self._ids, _keys(self._ids), strict=True))

    def instances(self) -> list[list[dict[str, Any]]]:
        """The usable instances of each sample's image, as the lists have them."""
        return [self._instances[one] for one in self._ids]

    def names(self) -> list[str]:
        """The files of the images that are samples, as the lists name them."""
        return [self._pictures[one]["file_name"] for one in self._ids]

    def meta(self) -> dict[str, Any]:
        """Skeleton of each category that has joints."""
        return {"skeletons": self.skeletons}

    def set_inputs(self) -> Sequence[Path | str]:
        """The lists."""
        return self.lists

    def sample_inputs(self, index: int) -> Sequence[Path]:
        """The image's file, and that of its labels where each image has one."""
        identity = self._ids[index]
        own = [self.labels[identity]] if identity in self.labels else []
        return [locate(self.folder, self._pictures[identity]["file_name"]), *own]

    def notes(self) -> list[str]:
        """Entries that were left out or mended, files that are not read, and categories whose joints have no left and right."""
        told = [f"left out, because of a wrong form: {self._faults}"] if self._faults else []
        boxes, twice = self._entries.boxes_of_joints, self._entries.ids_twice
        if boxes:
            told.append(f"{boxes:,} boxes without an area were made of the joints: see box_from_joints")
        if twice:
            told.append(f"{twice:,} instances have the id of another one, with other values: both are kept")
        told += self._notes_of_sizes()
        told += notes_of_places(self._pictures, self._instances)
        told += notes_of_files((Path(name) for name in self.names()), [str(self.folder)])
        return told + [
            f"category '{name}': {_unpaired(each)}, so its images are never mirrored. Name joints such as left_eye and right_eye, "
            "or give flip_pairs in the category."
            for name, each in self.skeletons.items()
            if not has_sides(each["joints"], each["pairs"])
        ]

    def funnel(self) -> dict[str, int]:
        """All images, then those with labelled joints; the instances left out are named where there are any."""
        step = f"with labelled joints ({self._left_out()})" if self.left_out else "with labelled joints"
        return {"found": len(self._pictures), step: len(self._ids)}

    def __len__(self) -> int:
        return len(self._ids)

    def sample(self, index: int) -> RawSample:
        """Read one image and its instances. The stated size gives way to the file's where all joints lie in the image."""
        identity = self._ids[index]
        picture = self._pictures[identity]
        name = picture["file_name"]
        data = read_picture(locate(self.folder, name), where=name, field="source")
        size = picture_size(data, where=name)
        instances = self.in_pixels(self._instances[identity], size)
        fault = wrong_size(picture, size, instances)
        if fault:
            raise BadSampleError(name, "source", fault)
        facts = {"image_id": identity, "file_name": name, "instances": instances}
        return RawSample(key=self._keys[identity], image=data, annotation=facts)

    def in_pixels(self, instances: list[dict[str, Any]], size: tuple[int, int]) -> list[dict[str, Any]]:
        """Instances as the lists have them, in the pixels of an image of (height, width)."""
        return instances

    def _notes_of_sizes(self) -> list[str]:
        """How many usable images are not as large as the lists state, of `LOOKED_AT` that lie evenly in the set."""
        looked, other = 0, []
        for place in range(0, len(self._ids), max(1, len(self._ids) // LOOKED_AT)):
            identity = self._ids[place]
            picture = self._pictures[identity]
            with suppress(IdiffError, OSError):
                size = picture_size(read_regular(locate(self.folder, picture["file_name"])), where="")
                stated = _stated(picture, size)
                looked += 1
                if stated != size[::-1] and not wrong_size(picture, size, self._instances[identity]):
                    sizes = f"{size[1]}x{size[0]}, stated {stated[0]:.0f}x{stated[1]:.0f}"
                    other.append(f"{picture['file_name']} with {sizes}")
        if not other:
            return []
        return [
            f"{len(other):,} of {looked:,} images that were looked at have another size than the list states, such as {other[0]}: "
            "joints are taken as pixels of the file. If the images were resized, the joints have to be as well"
        ]

    def _left_out(self) -> str:
        """The instances that are not used, by reason; empty where there are none."""
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(self.left_out.items()))
        return f"instances left out: {reasons}" if reasons else ""


def _unpaired(skeleton: Mapping[str, Any]) -> str:
    """Why images with these joints are not mirrored."""
    alone = one_sided(skeleton["joints"], skeleton["pairs"])
    if alone:
        return f"'{alone[0]}' has no partner on the other side"
    return "no joint has a left and a right by its name"


def _stated(picture: Mapping[str, Any], size: tuple[int, int]) -> tuple[float | int, float | int]:
    """The (width, height) that the list states of an image of (height, width); its own where it states none."""
    return number(picture.get("width")) or size[1], number(picture.get("height")) or size[0]


def wrong_size(picture: Mapping[str, Any], size: tuple[int, int], instances: Sequence[Mapping[str, Any]]) -> str:
    """What is wrong about the size that the file states of an image; empty where it may be used.

    Args:
        picture: entry of 'images'; its `width` and `height` may be missing, zero or text.
        size: upright (height, width) of the image file.
        instances: of the image, with `keypoints`.
    """
    height, width = size
    stated = _stated(picture, size)
    if stated == (width, height):
        return ""
    sizes = f"{width}x{height} pixels, expected {stated[0]:.0f}x{stated[1]:.0f} as annotated"
    if stated == (height, width):
        return (
            f"{sizes}: width and height are swapped, or the image was labelled without its EXIF rotation. Save the images "
            "upright and correct the annotations"
        )
    joints = [point for instance in instances for point in instance["keypoints"] if point[2] > 0]
    if width > stated[0] and abs(width * stated[1] / (height * stated[0]) - 1) < SAME_ASPECT:
        return f"{sizes}: the image was enlarged, and the joints were not"
    fits = all(0 <= x <= width and 0 <= y <= height for x, y, _ in joints)
    return "" if fits else f"{sizes}, and joints lie outside of it"


def _keys(identities: Sequence[Any]) -> list[str]:
    """Twelve digits for a number; for text as `safe_keys`."""
    texts = iter(safe_keys([one for one in identities if isinstance(one, str)]))
    return [f"{one:012d}" if isinstance(one, int) else next(texts) for one in identities]
