"""Who may import whom: read from the source of every file, imports inside of functions included."""

import ast
import re
import subprocess
import sys

import pytest
from small_models import ROOT

FILES = sorted(path for path in (ROOT / "idiff").rglob("*.py") if path.relative_to(ROOT / "idiff").parts[0] != "assets")
"""What lies under assets is data, a file in Python's language too."""

EVERYWHERE = {"checks", "errors", "predictions", "sampling", "types", "utils", "_version"}
"""What every part may import, besides itself. A part is a package or a module directly under idiff/."""

MAY_IMPORT = {
    "metrics": set(),
    "diffusion": set(),
    "transforms": set(),
    "decoders": set(),
    "models": {"diffusion"},
    "tasks": {"transforms", "metrics", "decoders"},
    "data": {"tasks", "transforms", "metrics"},
    "synthetic": {"data", "tasks", "transforms"},
    "stages": {"models", "decoders", "diffusion"},
    "callbacks": {"tasks", "decoders", "metrics", "reporting"},
    "reporting": set(),
    "config": {"callbacks", "data", "stages", "tasks"},
    "planning": {"data", "models"},
    "pipeline": {"models", "stages", "tasks", "decoders", "transforms"},
    "evaluation": {"callbacks", "curation", "data", "diffusion", "metrics", "models", "stages", "tasks"},
    "curation": {"data", "synthetic", "tasks", "transforms"},
    "alignment": {"tasks", "models", "metrics", "data", "diffusion", "curation", "evaluation"},
    "rewriting": {"tasks"},
    "starting": {"models", "tasks"},
    "chains": {"callbacks", "config", "models"},
}
"""Stages never see a task, tasks never see diffusion; both meet in `types.Batch` and in the callbacks."""

LOWEST = {
    "errors": set(),
    "_version": set(),
    "checks": {"errors"},
    "sampling": {"checks", "errors"},
    "types": {"sampling"},
    "predictions": {"errors", "types"},
    "utils": {"checks", "errors", "sampling", "types"},
}
"""What everything stands on stands on nothing else."""

TOP = {"cli", "apps", "__init__", "__main__"}
"""These may import all of the above, and nothing imports them, but for each other."""

SATELLITES = {"alignment", "curation", "rewriting", "chains", "starting", "apps"}
"""These stand on the core, and nothing of the core imports them."""

CORE = set(MAY_IMPORT) - SATELLITES - {"evaluation"}

LIGHTNING = (
    "stages/",
    "callbacks/",
    "cli/",
    "config/sections.py",
    "data/datamodule.py",
    "data/sentence_datamodule.py",
)
"""Where Lightning may be imported."""

NAMES_ALONE = {"utils/moved.py"}
"""Files whose strings name modules and never import them."""

MODULE = re.compile(r"idiff(\.\w+)+")
"""A string that is a module or a class in it is imported; `module:Class` is an entry of a registry, looked up at run time."""

LONGEST = 300
LONGEST_COMMAND = 120
"""Commands parse and print; what they do stands beside what it is about."""


def imported(tree, package):
    """Names of all modules that a file imports: statements at any depth, and modules named by a string.

    `from a import b` gives both a and a.b, because b may be a module.
    """
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*parents, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and id(node) not in docstrings and MODULE.fullmatch(str(node.value)):
            yield node.value


def imports_of(path):
    package = ["idiff", *path.relative_to(ROOT / "idiff").parts[:-1]]
    if name(path) in NAMES_ALONE:
        return set()
    return set(imported(ast.parse(path.read_text(encoding="utf-8")), package))


def part_of(path):
    inside = path.relative_to(ROOT / "idiff").parts
    return inside[0] if len(inside) > 1 else path.stem


def parts_in(names):
    return {name.split(".")[1] for name in names if name.startswith("idiff.")}


def name(path):
    return str(path.relative_to(ROOT / "idiff"))


@pytest.mark.parametrize("path", FILES, ids=name)
def test_imports_follow_the_arrows(path):
    part = part_of(path)
    if part in TOP:
        return
    known = MAY_IMPORT | LOWEST
    assert part in known, f"idiff.{part} is new: say in MAY_IMPORT what it may import"
    allowed = LOWEST[part] if part in LOWEST else MAY_IMPORT[part] | EVERYWHERE
    exist = {part_of(file) for file in FILES}
    crossed = parts_in(imports_of(path)) & exist - allowed - {part}
    assert not crossed, f"idiff.{part} must not import {sorted(crossed)}"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_lightning_stays_where_it_belongs(path):
    roots = {module.split(".")[0] for module in imports_of(path)}
    if not name(path).startswith(LIGHTNING):
        assert not roots & {"lightning", "pytorch_lightning", "lightning_fabric"}


@pytest.mark.parametrize("path", FILES, ids=name)
def test_nothing_imports_tools_or_tests(path):
    roots = {module.split(".")[0] for module in imports_of(path)}
    beside = {file.stem for folder in ("tools", "tests", "benchmarks") for file in (ROOT / folder).rglob("*.py")}
    assert not roots & ({"tools", "tests", "benchmarks", "conftest", "pytest", "hypothesis"} | beside)


def test_files_are_short():
    lengths = {name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {path: lines for path, lines in lengths.items() if lines > LONGEST} == {}


def test_commands_are_shorter():
    lengths = {
        name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES if part_of(path) == "cli"
    }
    assert lengths and {path: lines for path, lines in lengths.items() if lines > LONGEST_COMMAND} == {}


def test_the_core_never_imports_a_satellite():
    assert {part: below & SATELLITES for part, below in MAY_IMPORT.items() if part in CORE and below & SATELLITES} == {}


def test_the_arrows_have_no_cycle():
    left = dict(MAY_IMPORT)
    while left:
        free = [part for part, below in left.items() if not below & left.keys()]
        assert free, f"a cycle among {sorted(left)}"
        for part in free:
            del left[part]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import idiff.models.unet", "idiff.models.unet"),
        ("def f():\n    from idiff import models", "idiff.models"),
        ("if True:\n    from ..models import unet", "idiff.models"),
        ("from .. import models", "idiff.models"),
        ("importlib.import_module('idiff.models.unet')", "idiff.models.unet"),
        ("TABLE = {'a': 'idiff.models.unet'}", "idiff.models.unet"),
    ],
)
def test_every_way_to_import_is_seen(source, found):
    assert found in set(imported(ast.parse(source), ["idiff", "tasks"]))


@pytest.mark.parametrize(
    "source",
    ['"""idiff.models.unet"""', 'x = "see idiff.models.unet"', "REGISTRY = {'a': 'idiff.models.unet:UNet'}"],
)
def test_words_about_a_module_and_entries_of_a_registry_are_no_import(source):
    assert set(imported(ast.parse(source), ["idiff"])) == set()


@pytest.mark.parametrize(
    "words",
    [
        ["-c", "import idiff"],
        ["--help"],
        ["--version"],
        ["data", "--help"],
        ["evaluate", "--help"],
        ["tune", "--help"],
        ["run", "--help"],
        ["report", "--help"],
        ["segment", "--help"],
        ["serve", "--help"],
        ["export", "--help"],
        ["push", "--help"],
        ["align", "--help"],
        ["align", "pick", "--help"],
        ["instructions", "--help"],
        ["instructions", "rewrite", "--help"],
        ["align", "generate", "--help"],
        ["align", "build", "--help"],
        ["align", "pick", "--auto", "headline", "--help"],
        ["doctor", "--help"],
        ["init", "--help"],
        ["new", "--help"],
        ["schema", "--help"],
        ["no-such-command"],
    ],
    ids=" ".join,
)
def test_starts_without_torch_and_lightning(words):
    run = words[1] if words[0] == "-c" else f"from idiff.cli import main; main({words!r})"
    heavy = ("torch", "lightning", "diffusers", "transformers", "numpy", "albumentations")
    script = f"import sys; {run}; sys.exit(','.join(set({heavy!r}) & set(sys.modules)) or 0)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60, cwd=ROOT
    )
    assert done.returncode == 0, f"{' '.join(words)} loads {done.stderr}"
