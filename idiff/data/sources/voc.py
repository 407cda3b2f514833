"""Semantic segmentation of Pascal VOC: 20 classes and background.

Source: Everingham et al., IJCV 2010; the development kit of VOC2012.
"""

from __future__ import annotations

from pathlib import Path

from idiff.data.sources.label_maps import LabelMaps
from idiff.data.sources.places import find_file, given, read_lines
from idiff.errors import DataError, missing

CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "dining table",
    "dog", "horse", "motorbike", "person", "potted plant", "sheep", "sofa", "train", "tv monitor",
)  # fmt: skip
"""Names by label value; the kit's `diningtable`, `pottedplant` and `tvmonitor` in words."""


class Voc(LabelMaps):
    """Pascal VOC: palette PNGs whose indices are the classes, 255 at the borders of objects. See `LabelMaps`.

    Args:
        root: the folder `VOC2012`, or `VOCdevkit`, or the one that lies in.
        split: `train`, `val`, `trainval`, as listed in `ImageSets/Segmentation`.
        fold: a file that maps labels to fewer classes; labels that it does not name become void.
        annotations: folder of label maps, where it is not `SegmentationClass`.
        images: folder of the images, where it is not `JPEGImages`.

    Raises:
        DataError: files are not where they should be, or the list of the split cannot be used.
    """

    def __init__(
        self, root: str, split: str, fold: str | None = None, annotations: str | None = None, images: str | None = None
    ) -> None:
        kit = Path(root)
        inner = ("VOC2012", "VOCdevkit/VOC2012", "VOC2010", "VOC2007")
        folder = next((kit / name for name in inner if (kit / name).is_dir()), kit)
        file = find_file(
            folder, ("ImageSets/Segmentation/{split}.txt",), split=split, what="the list of the split",
            remedy="Give --root the folder VOCdevkit/VOC2012, and check --split.",
        )  # fmt: skip
        places = []
        for option, path, usual in (
            ("images", images, "JPEGImages"),
            ("annotations", annotations, "SegmentationClass"),
        ):
            if path:
                places.append(given(path, what=f"the folder {usual}", remedy=f"Check --{option}."))
            elif (folder / usual).is_dir():
                places.append(folder / usual)
            else:
                raise missing(folder / usual, what="a folder of the kit", remedy=f"Give --{option} DIR.")
        stems = [line.split()[0] for line in read_lines(file, what="an image's name in each line")]
        odd = next((stem for stem in stems if Path(stem).name != stem), None)
        if odd is not None or len(set(stems)) < len(stems):
            reason = f"the name {odd!r} leads elsewhere" if odd is not None else "a name comes twice"
            raise DataError(f"{file}: {reason}, expected an image's name in each line, each once.")
        super().__init__(
            places[0], places[1], dict(enumerate(CLASSES)), named_in="the 21 classes of VOC", fold=fold, stems=stems,
            lists=[file],
        )  # fmt: skip
