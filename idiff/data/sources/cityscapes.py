"""Street scenes of Cityscapes: 19 classes, and the instances of 8 of them.

Sources: Cordts et al., CVPR 2016; `gtFine_trainvaltest.zip`, `leftImg8bit_trainvaltest.zip`; the numbers of the labels are those of
cityscapesScripts, `helpers/labels.py`. Never run on the original files.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from idiff.data.sources.base import RawSample, read_file
from idiff.data.sources.numbered_objects import IDS, instance_ids, instance_of
from idiff.data.sources.paired_labels import Pair, PairedLabels
from idiff.data.sources.pictures import list_pictures
from idiff.data.sources.places import find_folder, given
from idiff.errors import BadSampleError, DataError
from idiff.utils.picture_files import decode_label, decode_map

CLASSES = {
    7: "road", 8: "sidewalk", 11: "building", 12: "wall", 13: "fence", 17: "pole", 19: "traffic light", 20: "traffic sign",
    21: "vegetation", 22: "terrain", 23: "sky", 24: "person", 25: "rider", 26: "car", 27: "truck", 28: "bus", 31: "train",
    32: "motorcycle", 33: "bicycle",
}  # fmt: skip
"""Value in `labelIds.png` -> name of the classes that are scored, in the order of their train ids."""

THINGS = {value: name for value, name in CLASSES.items() if value >= 24}
"""The classes whose objects are told apart."""

_VOID = set(range(34)) - set(CLASSES)
_PICTURE, _LABELS, _OBJECTS = "_leftImg8bit", "_gtFine_labelIds.png", "_gtFine_instanceIds.png"
_SINGLE = 1000


class Cityscapes(PairedLabels):
    """Cityscapes with its fine annotations. Labels that are not scored are void.

    A sample has the label map, `instances` with `mask`, `box`, `area`, `category`, and the map `instance_ids`. A value of
    `instanceIds.png` from 1000 on is 1000 times the class and the number of one object; a smaller value of a class of things is a
    group of them that nobody told apart: these are `crowds`, and no instance. See `PairedLabels`.

    Args:
        root: folder of the set, with `leftImg8bit` and `gtFine`.
        split: `train`, `val`. The labels of `test` are not published.
        fold: a file that maps labels to fewer classes; labels that it does not name become void.
        annotations: the split's folder of label maps, where it is not found under `root`.
        images: the split's folder of images, where it is not found under `root`.

    Raises:
        DataError: files are not where they should be.
    """

    tasks: Sequence[str] = ("segmentation", "instances", "detection")

    def __init__(
        self, root: str, split: str, fold: str | None = None, annotations: str | None = None, images: str | None = None
    ) -> None:
        pictures, maps = (
            given(path, what=what, remedy=f"Check --{option}.")
            if path
            else find_folder(
                Path(root), (place,), split=split, what=what,
                remedy=f"Check --root and --split. Or give --{option} DIR.",
            )
            for option, path, place, what in (
                ("images", images, "leftImg8bit/{split}", "the images"),
                ("annotations", annotations, "gtFine/{split}", "the fine label maps"),
            )
        )  # fmt: skip
        found = {
            name.removesuffix(_PICTURE): path for name, path in list_pictures(pictures).items() if _PICTURE in name
        }
        if not found:
            raise DataError(
                f"{pictures} has no image CITY/NAME{_PICTURE}.png. Check --root and --split, or give --images DIR."
            )
        pairs = [Pair(name, path, maps / f"{name}{_LABELS}") for name, path in found.items()]
        if not any(pair.label.is_file() for pair in pairs):
            raise DataError(
                f"{maps} has no label map CITY/NAME{_LABELS} of an image. Check --root, or give --annotations DIR."
            )
        super().__init__(pairs, CLASSES, named_in="the labels of cityscapesScripts", void=_VOID, fold=fold)
        self.told_apart = any(_objects(pair).is_file() for pair in pairs)
        if not self.told_apart:
            self.tasks = ("segmentation",)

    def meta(self) -> dict[str, Any]:
        """See `PairedLabels.meta`; and `categories`, the classes of things, with the set's own `category_ids`."""
        things = {"categories": list(THINGS.values()), "category_ids": list(THINGS)} if self.told_apart else {}
        return super().meta() | things

    def notes(self) -> list[str]:
        """Missing maps of instances."""
        told = [] if self.told_apart else [f"no file NAME{_OBJECTS}: the set has no instances"]
        return [*told, *super().notes()]

    def set_inputs(self) -> list[Path | str]:
        """The fold file, and whether there are instances."""
        return [*self.lists, *(["instances"] if self.told_apart else [])]

    def sample_inputs(self, index: int) -> list[Path]:
        """The image and its two maps."""
        pair = self.pairs[index]
        return [pair.image, pair.label, *([_objects(pair)] if self.told_apart else [])]

    def read_values(self, pair: Pair) -> NDArray[np.integer]:
        """The numbers of the labels."""
        return decode_label(read_file(pair.label, where=pair.name, field="label"), where=pair.name)

    def sample(self, index: int) -> RawSample:
        """Read one image, its label map and its instances."""
        found, pair = super().sample(index), self.pairs[index]
        if not self.told_apart:
            return found
        data = read_file(_objects(pair), where=pair.name, field=IDS)
        values = decode_map(data, where=pair.name, field=IDS)
        assert isinstance(found.label, np.ndarray)
        if values.shape != found.label.shape:
            reason = f"{_objects(pair).name} has shape {values.shape}, expected {found.label.shape} as the label map"
            raise BadSampleError(pair.name, IDS, reason)
        instances: list[dict[str, Any]] = []
        crowds: list[dict[str, Any]] = []
        for value in np.unique(values).tolist():
            single = value >= _SINGLE
            number = value // _SINGLE if single else value
            if number in THINGS:
                one = instance_of(values == value, THINGS[number], category_id=number, id=value)
                (instances if single else crowds).append(one)
        found.annotation |= {"instances": instances} | ({"crowds": crowds} if crowds else {})
        found.maps = {IDS: instance_ids(instances, found.label.shape)}
        return found


def _objects(pair: Pair) -> Path:
    return pair.label.with_name(pair.label.name.removesuffix(_LABELS) + _OBJECTS)
