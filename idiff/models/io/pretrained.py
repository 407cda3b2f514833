"""The models that come with the package: their names, and where they lie."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from pathlib import Path

INDEX = "index.json"


def models_folder() -> Path:
    """Folder of the pretrained models: one folder a variant, and what they share."""
    return Path(str(files("idiff") / "assets" / "models"))


@cache
def names() -> dict[str, str]:
    """Name -> folder name of its variant. `tiny` is the best one for use."""
    index = models_folder() / INDEX
    if not index.is_file():
        return {}
    found: dict[str, str] = json.loads(index.read_text(encoding="utf-8-sig"))
    return found


def located(path: str | Path) -> Path:
    """A path as it is, or the folder of a pretrained model where it is the name of one and no such path exists."""
    name = str(path)
    if name in names() and not Path(name).exists():
        return models_folder() / names()[name]
    return Path(path)
