"""NYUv2 as folders of images, as three published tools write them.

Sources: BTS (https://github.com/cleinc/bts, `utils/extract_official_train_test_set_from_mat.py`); NYUv2 Python Toolkit
(https://github.com/VainF/nyuv2-python-toolkit); DSINE's evaluation set (https://github.com/baegwangbin/DSINE), whose normals are
GeoNet's (CVPR 2018).
"""

from __future__ import annotations

from pathlib import Path

from idiff.data.sources.map_sets import LABEL, MapEntry
from idiff.data.sources.pictures import list_pictures

BTS, TOOLKIT, DSINE = "bts", "toolkit", "dsine"


def bts(root: Path, split: str) -> list[MapEntry]:
    """`SCENE/rgb_NNNNN.jpg` and `SCENE/sync_depth_NNNNN.png` below `official_splits/{split}`, `{split}` or, for train, `sync`."""
    for place in (f"official_splits/{split}", split, *(["sync"] if split == "train" else [])):
        found = sorted((root / place).glob("*/rgb_*.*"))
        if found:
            return [
                MapEntry(
                    f"{path.parent.name}/{path.stem.removeprefix('rgb_')}",
                    path,
                    {"depth": path.with_name(f"sync_depth_{path.stem.removeprefix('rgb_')}.png")},
                    {"scene": path.parent.name},
                )
                for path in found
            ]
    return []


def toolkit(root: Path, split: str, labels: str | None) -> list[MapEntry]:
    """`image/{split}/NNNNN.png`, `depth/{split}/` and, where labels are asked for, `seg40/{split}/` or `seg13/{split}/`."""
    folder = root / "image" / split
    if not folder.is_dir() or not (root / "depth" / split).is_dir():
        return []
    return [
        MapEntry(
            name,
            path,
            {"depth": root / "depth" / split / f"{name}.png"}
            | ({LABEL: root / f"seg{labels}" / split / f"{name}.png"} if labels in {"40", "13"} else {}),
        )
        for name, path in list_pictures(folder, deep=False).items()
    ]


def dsine(root: Path, split: str) -> list[MapEntry]:
    """`{split}/NNNNNN_img.png` and `{split}/NNNNNN_normal.png`."""
    for place in (split, f"nyuv2/{split}"):
        found = sorted((root / place).glob("*_img.*"))
        if found:
            stems = [(path, path.stem.removesuffix("_img")) for path in found]
            return [MapEntry(stem, path, {"normals": path.with_name(f"{stem}_normal.png")}) for path, stem in stems]
    return []
