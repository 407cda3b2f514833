"""Semantic segmentation of ADE20K with 150 classes, in the layout of its scene parsing benchmark.

Source: Zhou et al., CVPR 2017; `ADEChallengeData2016.zip` (http://sceneparsing.csail.mit.edu).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from idiff.data.sources.label_maps import LabelMaps
from idiff.data.sources.places import find_folder, given, read_lines
from idiff.errors import DataError

_NAMES, _SCENES = "objectInfo150.txt", "sceneCategories.txt"
_MAIN = "ADEChallengeData2016"


class Ade20k(LabelMaps):
    """ADE20K: value v of a label map is line v of `objectInfo150.txt`, and 0, which is everything else, is void.

    A class is called by the first of its names. Where `sceneCategories.txt` is there, the annotation has the `scene`. See
    `LabelMaps`.

    Args:
        root: the folder `ADEChallengeData2016`, or the one it lies in.
        split: `train` (or `training`), `val` (or `validation`).
        fold: a file that maps labels to fewer classes; labels that it does not name become void.
        annotations: folder of the split's label maps, where it is not found under `root`.
        images: folder of the split's images, where it is not found under `root`.

    Raises:
        DataError: files are not where they should be, or `objectInfo150.txt` is of another form.
    """

    def __init__(
        self, root: str, split: str, fold: str | None = None, annotations: str | None = None, images: str | None = None
    ) -> None:
        folder = Path(root) / _MAIN if (Path(root) / _MAIN).is_dir() else Path(root)
        remedy = "Give --root the folder ADEChallengeData2016, and check --split."
        pictures = (
            given(images, what="the folder of images", remedy="Check --images.")
            if images
            else find_folder(folder, ("images/{split}",), split=split, what="the images", remedy=remedy)
        )
        maps = (
            given(annotations, what="the folder of label maps", remedy="Check --annotations.")
            if annotations
            else find_folder(folder, ("annotations/{split}",), split=split, what="the label maps", remedy=remedy)
        )
        names, scenes = folder / _NAMES, folder / _SCENES
        super().__init__(pictures, maps, read_names(names), named_in=_NAMES, void=[0], fold=fold, lists=[names, scenes])
        lines = read_lines(scenes, what="a line `picture scene` for each image") if scenes.is_file() else []
        known = dict(line.split(maxsplit=1) for line in lines if len(line.split(maxsplit=1)) == 2)
        self._scenes = {stem: known[stem] for stem in self._stems if stem in known}

    def facts(self, stem: str) -> dict[str, Any]:
        """File name, and the scene where it is known."""
        scene = self._scenes.get(stem)
        return super().facts(stem) | ({"scene": scene.replace("_", " ")} if scene else {})


def read_names(file: Path) -> dict[int, str]:
    """Read `objectInfo150.txt` into label value -> name.

    Its lines are `Idx, Ratio, Train, Val, (Stuff,) Name`, with tabs or several spaces between; the name is a list of words
    for one thing, of which the first is taken; where two classes share it, the whole list is.

    Raises:
        DataError: missing, or a line of another form; an index or name twice.
    """
    rows: dict[int, str] = {}
    for line in read_lines(file, what="the table of the 150 classes"):
        cells = [cell.strip() for cell in (line.split("\t") if "\t" in line else re.split(r"\s{2,}", line.strip()))]
        if cells[0] == "Idx":
            continue
        if len(cells) < 2 or not cells[0].isdecimal() or not 0 < int(cells[0]) < 255 or int(cells[0]) in rows:
            raise DataError(
                f"{file}: got the line {line[:60]!r}, expected a new index from 1 to 254, figures and a name."
            )
        rows[int(cells[0])] = cells[-1]
    names = first_names(rows)
    if not names or len(set(names.values())) < len(names) or not all(names.values()):
        raise DataError(f"{file}: expected a table of classes, each with a name of its own.")
    return dict(sorted(names.items()))


def first_names(texts: Mapping[int, str]) -> dict[int, str]:
    """Value -> the first of a class's names, which stand in one text with `,` or `;` between; the whole text where two share it."""
    firsts = {value: re.split("[,;]", text)[0].strip() for value, text in texts.items()}
    count = Counter(firsts.values())
    return {value: text if count[firsts[value]] > 1 else firsts[value] for value, text in texts.items()}
