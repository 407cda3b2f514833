"""Restoration sets in their authors' own layouts: GoPro, REDS, SIDD, CLWD, and pairs of folders in general.

Sources: GoPro (Nah et al., CVPR 2017); REDS (Nah et al., CVPRW 2019); SIDD (Abdelhamed et al., CVPR 2018); CLWD (Liu et
al., WACV 2021).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from idiff.data.sources.base import Stored
from idiff.data.sources.image_pairs import PairedPictures
from idiff.data.sources.mat_files import list_blocks
from idiff.data.sources.pictures import first_folder, list_pictures
from idiff.data.sources.places import split_words
from idiff.errors import ConfigError, DataError, missing

_CLEAN = ("gt", "target", "sharp")
_SIDD = re.compile(r"(?P<scene>.*?)(?P<kind>NOISY|GT)_SRGB_(?P<number>\d+)$", re.IGNORECASE)

_BLOCKS = ("ValidationNoisyBlocksSrgb", "ValidationGtBlocksSrgb")

Listing = tuple[Mapping[str, Path | Stored], Mapping[str, Path | Stored], tuple[str, str]]
"""Damaged images, clean images, and the names of their two folders."""


class GoPro(PairedPictures):
    """`{split}/{sequence}/{blur,blur_gamma,sharp}/*.png`, or `{split}/input` and `{split}/target`.

    Args:
        root: folder of the set.
        split: `train` or `test`.
        variant: the blurred folder of a sequence: `blur` or `blur_gamma`.
        images: the damaged images, where they lie elsewhere; then `targets` is needed, too.
        targets: the clean images.

    Raises:
        DataError: files are not where they should be.
    """

    def __init__(
        self, root: str, split: str, variant: str = "blur", images: str | None = None, targets: str | None = None
    ) -> None:
        given = _given(images, targets)
        sources, clean, places = given or _flat(Path(root), split) or self._sequences(Path(root), split, variant)
        super().__init__(sources, clean, places=places, task="deblur")

    @staticmethod
    def _sequences(root: Path, split: str, variant: str) -> Listing:
        folder = first_folder([root / split], what=f"GoPro's sequences, {{sequence}}/{{{variant},sharp}}/")
        sides: list[dict[str, Path | Stored]] = [{}, {}]
        for sequence in sorted(path for path in folder.iterdir() if path.is_dir()):
            for side, name in zip(sides, (variant, "sharp"), strict=True):
                if (sequence / name).is_dir():
                    found = list_pictures(sequence / name, deep=False)
                    side.update({f"{sequence.name}/{stem}": path for stem, path in found.items()})
        return sides[0], sides[1], (f"{folder}/*/{variant}", f"{folder}/*/sharp")


class Reds(PairedPictures):
    """`{split}/{split}_blur/{sequence}/*.png` and `{split}/{split}_sharp/...`, or the shorter `blur` and `sharp`.

    Args:
        root: folder of the set.
        split: `train`, `val`, ...
        variant: of the blurred images: `blur`, `blur_jpeg` or `blur_comp`.
        images: the damaged images, where they lie elsewhere; then `targets` is needed, too.
        targets: the clean images.

    Raises:
        DataError: files are not where they should be.
    """

    def __init__(
        self, root: str, split: str, variant: str = "blur", images: str | None = None, targets: str | None = None
    ) -> None:
        given = _given(images, targets)
        if given is None:
            places = [
                first_folder(
                    [base / name for base in (Path(root) / split, Path(root)) for name in (f"{split}_{kind}", kind)],
                    what=f"REDS' {'sharp' if kind == 'sharp' else 'blurred'} images, a folder a sequence",
                )
                for kind in (variant, "sharp")
            ]
            given = _folders(places[0], places[1])
        super().__init__(given[0], given[1], places=given[2], task="deblur")


class Sidd(PairedPictures):
    """`Data/{scene}/{scene}_NOISY_SRGB_{number}.PNG` and `..._GT_SRGB_...`, or `{split}/input` and `{split}/gt`.

    The split `val` is the authors' benchmark: `ValidationNoisyBlocksSrgb.mat` and `ValidationGtBlocksSrgb.mat`, 1280 blocks of
    256 x 256 pixels.

    Args:
        root: folder of the set: SIDD-Medium or SIDD-Small (sRGB), with `Data` in it; or of the two MATLAB files.
        split: `train` or `val`.
        images: the damaged images, where they lie elsewhere; then `targets` is needed, too.
        targets: the clean images.

    Raises:
        DataError: files are not where they should be.
    """

    def __init__(self, root: str, split: str, images: str | None = None, targets: str | None = None) -> None:
        given = _given(images, targets) or _flat(Path(root), split) or _blocks(Path(root), split)
        given = given or self._scenes(Path(root), split)
        super().__init__(given[0], given[1], places=given[2], task="denoise")

    @staticmethod
    def _scenes(root: Path, split: str) -> Listing:
        folder = root if root.name == "Data" else root / "Data"
        folder = first_folder([folder, root / split / "input"], what="SIDD's scenes, or pairs in input/ and gt/")
        if split != "train":
            raise DataError(
                f"{folder} holds SIDD's training images, got split '{split}'. Pass --split train, or put pairs for "
                f"others into {root / split}/input and gt, or {_BLOCKS[0]} and {_BLOCKS[1]} (val) into {root}."
            )
        sides: dict[str, dict[str, Path | Stored]] = {"NOISY": {}, "GT": {}}
        for name, path in list_pictures(folder).items():
            match = _SIDD.match(name)
            if match:
                sides[match["kind"].upper()][f"{match['scene'].rstrip('_/')}/{match['number']}"] = path
        return sides["NOISY"], sides["GT"], (f"{folder}/*/*NOISY_SRGB_*", f"{folder}/*/*GT_SRGB_*")


class Clwd(PairedPictures):
    """`{split}/Watermarked_image/*.jpg` and `{split}/Watermark_free_image/*.jpg`; masks and alphas are not read.

    Args:
        root: folder of the set.
        split: `train` or `test`.
        images: the damaged images, where they lie elsewhere; then `targets` is needed, too.
        targets: the clean images.

    Raises:
        DataError: files are not where they should be.
    """

    def __init__(self, root: str, split: str, images: str | None = None, targets: str | None = None) -> None:
        given = _given(images, targets)
        if given is None:
            places = [
                first_folder([Path(root) / split / name, Path(root) / name], what=f"CLWD's images {what} watermark")
                for name, what in (("Watermarked_image", "with a"), ("Watermark_free_image", "without a"))
            ]
            given = _folders(places[0], places[1])
        super().__init__(given[0], given[1], places=given[2], task="dewatermark")


class Paired(PairedPictures):
    """`{split}/input` and `{split}/gt` (or `target`): images of a pair have one name up to the suffix.

    Args:
        root: folder of the set.
        split: `train`, `val`, ...
        task: `denoise`, `deblur` or `dewatermark`.
        images: the damaged images, where they lie elsewhere; then `targets` is needed, too.
        targets: the clean images.

    Raises:
        ConfigError: another task.
        DataError: files are not where they should be.
    """

    def __init__(self, root: str, split: str, task: str, images: str | None = None, targets: str | None = None) -> None:
        given = _given(images, targets) or _flat(Path(root), split)
        if given is None:
            raise missing(
                Path(root) / split / "input",
                what="a folder of damaged images, and beside it gt or target",
                remedy="Check --root and --split, or give --images DIR and --targets DIR.",
            )
        super().__init__(given[0], given[1], places=given[2], task=task)


def _blocks(root: Path, split: str) -> Listing | None:
    """SIDD's validation blocks, where they are there."""
    files = [root / f"{name}.mat" for name in _BLOCKS]
    if split not in split_words("val") or not all(file.is_file() for file in files):
        return None
    noisy, clean = (list_blocks(file, file.stem) for file in files)
    return noisy, clean, (str(files[0]), str(files[1]))


def _given(images: str | None, targets: str | None) -> Listing | None:
    """The two folders that were named on the command line.

    Raises:
        ConfigError: only one of them was.
        DataError: one is missing.
    """
    if images is None and targets is None:
        return None
    if images is None or targets is None:
        raise ConfigError("pairs lie in two folders: give both --images DIR (damaged) and --targets DIR (clean).")
    return _folders(first_folder([Path(images)], what="pictures"), first_folder([Path(targets)], what="pictures"))


def _flat(root: Path, split: str) -> Listing | None:
    """`{split}/input` and its clean folder, or both without a split, where they are there."""
    for base in (root / split, root):
        clean = next((base / name for name in _CLEAN if (base / name).is_dir()), None)
        if (base / "input").is_dir() and clean:
            return _folders(base / "input", clean)
    return None


def _folders(damaged: Path, clean: Path) -> Listing:
    return list_pictures(damaged), list_pictures(clean), (str(damaged), str(clean))
