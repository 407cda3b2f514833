"""Key points in COCO's format, with any categories and joints.

Source: COCO data format, "keypoint detection" (https://cocodataset.org/#format-data).
"""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from idiff.data.sources.keypoint_pictures import KeypointPictures
from idiff.data.sources.placed import are_shares
from idiff.data.sources.places import check_pictures, find_file, find_folder, given, read_json
from idiff.errors import DataError
from idiff.utils.foreign import decoding


class CocoKeypoints(KeypointPictures):
    """Key points in one JSON file. Base of the sets that are alike. See `KeypointPictures`.

    Args:
        root: folder of the set.
        split: `train`, `val`, `train2017`, ...
        annotations: the JSON file, where it is not found under `root`.
        images: the folder of the images, where it is not found under `root`.

    Raises:
        DataError: files are not where they should be, the JSON is not in this format, or it labels nothing.

    A set in a like format is a subclass: `what` it is, the places of its files below `root` (`{split}` is the split,
    `{year}` the last word of the annotation file's name), and how its file is brought into COCO's form (`translate`).
    """

    what: ClassVar[str] = "COCO key point"
    annotation_places: ClassVar[Sequence[str]] = (
        "annotations/person_keypoints_{split}.json",
        "annotations/person_keypoints_{split}*.json",
        "annotations/*keypoints*{split}*.json",
    )
    image_places: ClassVar[Sequence[str]] = (
        "images/{split}", "{split}", "images/{year}", "{year}", "images/{split}2017", "{split}2017",
        "images/{split}2014", "{split}2014",
    )  # fmt: skip

    def __init__(self, root: str, split: str, annotations: str | None = None, images: str | None = None) -> None:
        folder = Path(root)
        file = (
            given(annotations, what=f"{self.what} annotations", remedy="Check --annotations.")
            if annotations
            else find_file(
                folder, self.annotation_places, split=split, what=f"{self.what} annotations",
                remedy="Check --root and --split, or give --annotations FILE.",
            )
        )  # fmt: skip
        year = glob.escape(file.stem.rpartition("_")[2])
        places = [
            place.replace("{year}", year) for place in self.image_places if "{" not in year or "{year}" not in place
        ]
        images_folder = (
            given(images, what="the folder of images", remedy="Check --images.")
            if images
            else find_folder(folder, places, split=split, what="the images", remedy="Give --images DIR.")
        )
        raw = self.load(file, split)
        with decoding(lambda reason: DataError(f"{file} is no {self.what} file: {reason}.")):
            value = self.translate(raw)
        super().__init__(
            value, file=file, folder=images_folder, what=self.what, split=split, lists=[file],
            faults=value.get("faults", []),
        )  # fmt: skip
        if are_shares(self.instances()):
            raise DataError(
                f"{file}: every joint lies within 0 and 1, expected pixels. Multiply x by the image's width and y by its height."
            )
        check_pictures(images_folder, self.names(), listed=file)

    def load(self, file: Path, split: str) -> Any:
        """Parse the file of annotations.

        Raises:
            DataError: it cannot be read.
        """
        return read_json(file, finite=False)

    def translate(self, value: Any) -> dict[str, Any]:
        """The parsed file as COCO has it: an object with `images`, `annotations` and `categories`.

        It may also have `faults`, sentences about entries that are left out; entries need not be checked.

        Raises:
            KeyError, TypeError, ValueError, IndexError: the file is of another kind.
        """
        if not isinstance(value, dict):
            raise TypeError("expected an object with images, annotations and categories")
        return value
