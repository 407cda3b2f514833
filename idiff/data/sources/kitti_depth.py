"""Depth of streets, measured by laser: KITTI's depth prediction, in the layout of its authors.

Source: Uhrig et al., 3DV 2017 (`data_depth_annotated.zip`, `data_depth_selection.zip`); images from KITTI's raw data. Eigen split:
Eigen et al., NIPS 2014, in the lists of BTS (arXiv 1907.10326) and of Monodepth2 (ICCV 2019).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from idiff.checks import check_choice
from idiff.data.sources.map_sets import MapEntry, MapSet, check_some, first_of, meters, read_numbers
from idiff.data.sources.pictures import list_pictures
from idiff.data.sources.places import given, read_lines
from idiff.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Camera = Literal["02", "03", "both"]

SCALE = 256.0
"""Numbers to a meter."""

SELECTION = "val_selection_cropped"

_DEPTHS = (".", "data_depth_annotated", "gt_depth")
_IMAGES = (".", "raw", "kitti_raw", "input", "raw_data")
_SELECTED = re.compile(r"(?P<drive>.+_sync)_(?:image|groundtruth_depth)_(?P<frame>\d+)_image_(?P<camera>0[23])")
_FRAME = re.compile(
    r"(?:.*/)?(?P<drive>\d{4}_\d\d_\d\d_drive_\d{4}_sync)/image_(?P<camera>0[23])/data/(?P<frame>\d{10})\.\w+"
)
_SHORT = re.compile(r"\d{4}_\d\d_\d\d/(?P<drive>\d{4}_\d\d_\d\d_drive_\d{4}_sync) (?P<frame>\d+) (?P<side>[lr])")


class KittiDepth(MapSet):
    """One sample an image, with the map `depth`: meters as float (H, W), 0 where nothing was measured, which is most pixels.

    `train` and `val` take every depth map `{split}/DRIVE/proj_depth/groundtruth/image_02/*.png`, and the image
    `DATE/DRIVE/image_02/data/*.png` of the raw data; `val_selection_cropped` its own two folders. With a list, such as the Eigen
    split's, the images that it names are taken; those whose depth is missing are left out and counted: of 697, 652 stay.

    Args:
        root: the folder that the downloads were unpacked in.
        split: `train`, `val` or `val_selection_cropped`; with a list, its name.
        camera: `02` (left), `03` (right) or `both`; a list names its own.
        annotations: a list of images: `DATE/DRIVE/image_02/data/FRAME.png` and whatever follows, or `DATE/DRIVE FRAME l`, a line.
        images: folder of the raw data, where it is not `root`, or `raw` or `kitti_raw` below it.

    Raises:
        ConfigError: another camera.
        DataError: files are not where they should be, or a line of the list is of another form.
    """

    tasks = ("depth",)

    def __init__(
        self,
        root: str,
        split: str,
        camera: Camera = "02",
        annotations: str | None = None,
        images: str | None = None,
    ) -> None:
        check_choice("camera", camera, Camera)
        base, self.listed = Path(root), 0
        cameras = ("02", "03") if camera == "both" else (camera,)
        told: list[str] = []
        if annotations:
            frames = _frames(given(annotations, what="a list of images", remedy="Check --annotations."))
            self.listed = len(frames)
            found = [(frame, _depth_of(base, frame)) for frame in frames]
            wanted = [(frame, path) for frame, path in found if path is not None]
            if not wanted:
                raise DataError(
                    f"{base} has no depth map of the {len(frames):,} images that {annotations} names: expected "
                    f"{{train,val}}/{frames[0][0]}/proj_depth/groundtruth/image_{frames[0][2]}/{frames[0][1]}.png. Check --root."
                )
            if len(wanted) < len(frames):
                told = [f"{len(frames) - len(wanted):,} of {len(frames):,} listed images have no depth map: left out"]
        elif split == SELECTION:
            super().__init__(_selection(base, cameras))
            return
        else:
            folder = first_of(
                base,
                [f"{part}/{split}" for part in _DEPTHS],
                what="drives with proj_depth/groundtruth",
                remedy=f"Check --root and --split: train, val or {SELECTION}; or give --annotations LIST.",
            )
            paths = [
                path
                for one in cameras
                for path in folder.glob(f"*/proj_depth/groundtruth/image_{one}/*.png")
                if not path.name.startswith(".")
            ]
            wanted = [((path.parts[-5], path.stem, path.parent.name[-2:]), path) for path in sorted(paths)]
            if not wanted:
                raise DataError(
                    f"{folder} has no depth maps in DRIVE/proj_depth/groundtruth/image_{cameras[0]}/*.png. Check --camera."
                )
        raw = _raw(base, images, wanted[0][0])
        entries = [
            MapEntry(f"{drive}/{eye}/{frame}", _image(raw, drive, frame, eye), {"depth": path}, {"drive": drive})
            for (drive, frame, eye), path in wanted
        ]
        check_some(
            entries,
            what="the images of KITTI's raw data, DATE/DRIVE/image_02/data/*.png",
            remedy="Give --images DIR, the folder that holds the dates, such as 2011_09_26.",
        )
        super().__init__(entries, told=told, lists=[Path(annotations)] if annotations else [])

    def funnel(self) -> dict[str, int]:
        """How many a list names, and how many of them have a depth map."""
        return {"listed": self.listed, "with depth": len(self)} if self.listed else super().funnel()

    def values(self, entry: MapEntry, name: str) -> tuple[NDArray[Any], tuple[int, ...]]:
        """Meters. See `MapSet.values`."""
        values = meters(read_numbers(entry.files[name], where=entry.name, field=name), scale=SCALE)
        return values, values.shape


def _frames(file: Path) -> list[tuple[str, str, str]]:
    """Drive, frame and camera of each line.

    Raises:
        DataError: a line of another form.
    """
    frames = []
    for line in read_lines(file, what="a list of images"):
        short, long = _SHORT.fullmatch(line.strip()), _FRAME.fullmatch(line.split()[0])
        if short:
            frames.append((short["drive"], f"{int(short['frame']):010d}", "02" if short["side"] == "l" else "03"))
        elif long:
            frames.append((long["drive"], long["frame"], long["camera"]))
        else:
            raise DataError(
                f"{file}: got the line {line[:80]!r}, expected DATE/DRIVE/image_02/data/FRAME.png or DATE/DRIVE FRAME l."
            )
    return list(dict.fromkeys(frames))


def _depth_of(base: Path, frame: tuple[str, str, str]) -> Path | None:
    """The depth map of a frame in any split, None where there is none."""
    drive, number, eye = frame
    name = PurePosixPath(drive, "proj_depth", "groundtruth", f"image_{eye}", f"{number}.png")
    places = (base / part / split / name for part in _DEPTHS for split in ("train", "val", "."))
    return next((path for path in places if path.is_file()), None)


def _raw(base: Path, images: str | None, frame: tuple[str, str, str]) -> Path:
    """The folder of the raw data."""
    if images:
        return given(images, what="the folder of KITTI's raw data", remedy="Check --images.")
    places = [base / part for part in _IMAGES]
    return next((place for place in places if (place / frame[0][:10]).is_dir()), base)


def _image(raw: Path, drive: str, frame: str, eye: str) -> Path:
    """The image, which some have made JPEG to save space."""
    path = raw / drive[:10] / drive / f"image_{eye}" / "data" / f"{frame}.png"
    return path if path.is_file() or not path.with_suffix(".jpg").is_file() else path.with_suffix(".jpg")


def _selection(base: Path, cameras: Sequence[str]) -> list[MapEntry]:
    """The 1,000 images of `val_selection_cropped`, each with its depth by drive, frame and camera."""
    places = (SELECTION, f"depth_selection/{SELECTION}", ".")
    what, remedy = "the images and depth maps", "Check --root."
    folders = [
        first_of(base, [f"{part}/{name}" for part in places], what=what, remedy=remedy)
        for name in ("image", "groundtruth_depth")
    ]
    shown, measured = (
        {
            (match["drive"], match["frame"], match["camera"]): path
            for name, path in list_pictures(folder, deep=False).items()
            if (match := _SELECTED.fullmatch(name)) and match["camera"] in cameras
        }
        for folder in folders
    )
    if not shown.keys() & measured.keys():
        raise DataError(
            f"no pair of camera {' or '.join(cameras)}: {len(shown):,} images in {folders[0]}, {len(measured):,} depth maps in "
            f"{folders[1]}. Names are DRIVE_sync_image_FRAME_image_02.png and DRIVE_sync_groundtruth_depth_FRAME_image_02.png."
        )
    return [
        MapEntry(
            "/".join((drive, eye, frame)),
            shown.get((drive, frame, eye), folders[0] / f"{drive}_image_{frame}_image_{eye}.png"),
            {
                "depth": measured.get(
                    (drive, frame, eye), folders[1] / f"{drive}_groundtruth_depth_{frame}_image_{eye}.png"
                )
            },
            {"drive": drive},
        )
        for drive, frame, eye in sorted({*shown, *measured})
    ]
