"""`idiff init`: the configurations that a project of one's own starts from."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from string import Template

from idiff.starting.writing import write_new

OURS = ("experiment/base_", "experiment/ablation")
"""Configurations of the models that ship and of the study in the documentation, which few others need."""


def configs_folder() -> Path:
    """The configurations that come with the package."""
    return Path(str(files("idiff") / "assets" / "configs"))


def template(name: str) -> Template:
    """A template of a file, such as `task/module.txt`."""
    return Template((files("idiff") / "assets" / "templates" / name).read_text(encoding="utf-8"))


def start_project(folder: Path, *, everything: bool = False) -> list[Path]:
    """Write `configs/` and a first experiment into a folder.

    Args:
        folder: new or not.
        everything: also what trained the models that ship.

    Returns:
        what was written.

    Raises:
        ConfigError: a file of the same name and other content is there; nothing is written then.
    """
    origin = configs_folder()
    found = sorted(path for path in origin.rglob("*") if path.suffix in {".yaml", ".json", ".txt"})
    named = {path.relative_to(origin).as_posix(): path for path in found}
    texts = {
        f"configs/{name}": path.read_text(encoding="utf-8")
        for name, path in named.items()
        if everything or not name.startswith(OURS)
    }
    return write_new(folder, texts | {"first.yaml": template("project/first.yaml.txt").substitute()})
