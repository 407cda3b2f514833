"""`idiff new`: the files of a task or a data set of one's own, which work as they are."""

from __future__ import annotations

import keyword
import re
import sys
from importlib.machinery import PathFinder
from pathlib import Path

from idiff.errors import ConfigError
from idiff.starting.project import template
from idiff.starting.writing import write_new

FILES = {
    "task": {"{}.py": "module", "{}.yaml": "yaml", "{}.txt": "sentences", "test_{}.py": "test"},
    "data": {"{}.py": "module", "{}.yaml": "yaml", "test_{}.py": "test"},
}
"""What is written of each kind: file name -> its template."""

SCHEMA = {"task": "configs/schema/task.json", "data": "configs/schema/experiment.json"}


def write_files(kind: str, name: str, folder: Path) -> list[Path]:
    """Write the files of a task or a data set.

    Args:
        kind: a key of `FILES`.
        name: of the module: small letters, digits and `_`.
        folder: where to; `idiff` is then started there.

    Returns:
        what was written.

    Raises:
        ConfigError: the name cannot be used, or one of the files is there already.
    """
    check_name(kind, name)
    words = {"name": name, "words": name.replace("_", " "), "title": name.replace("_", " ").capitalize()}
    words["Class"] = class_name(name)
    texts = {
        file.format(name): template(f"{kind}/{source}.txt").substitute(words) for file, source in FILES[kind].items()
    }
    if (folder / SCHEMA[kind]).is_file():
        texts[f"{name}.yaml"] = f"# yaml-language-server: $schema={SCHEMA[kind]}\n{texts[f'{name}.yaml']}"
    existing = [folder / file for file in texts if (folder / file).exists()]
    if existing:
        raise ConfigError(f"{', '.join(map(str, existing))}: there already. Nothing was written; choose another name.")
    return write_new(folder, texts)


def class_name(name: str) -> str:
    """`blood_vessels` -> `BloodVessels`."""
    return "".join(part.capitalize() for part in name.split("_"))


def check_name(kind: str, name: str) -> None:
    """Refuse a name that cannot be a module's, or that another module or task has.

    Raises:
        ConfigError: says what is wrong with it.
    """
    near = re.sub(r"\W+", "_", name).strip("_").lower()
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name) or keyword.iskeyword(name):
        hint = (
            f", such as {near}" if re.fullmatch(r"[a-z][a-z0-9_]{0,39}", near) and not keyword.iskeyword(near) else ""
        )
        raise ConfigError(
            f"the name '{name}' cannot be a Python module's: expected small letters, digits and '_'{hint}."
        )
    places = [place for place in sys.path if place not in {"", str(Path.cwd())}]
    if name in sys.stdlib_module_names or PathFinder.find_spec(name, places) is not None:
        raise ConfigError(f"a module '{name}' is installed already and would be found first: choose another name.")
    if kind == "task" and name in _kinds():
        raise ConfigError(f"a task '{name}' comes with idiff: choose another name. Its settings: configs/task.")


def _kinds() -> set[str]:
    import idiff.tasks

    found = (getattr(idiff.tasks, name) for name in idiff.tasks.__all__)
    return {kind.kind for kind in found if hasattr(kind, "kind")}
