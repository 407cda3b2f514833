"""The structure of a checkout in figures: files, lines, imports, repeated code, and how far an example travels.

    python tools/house.py [ROOT] [--json FILE] [--no-walks] [--draw]

ROOT is the folder that holds idiff/ (this checkout), which may be an older one: then compare the two tables. `--draw` writes the
map of the imports into ROOT/docs/architecture.md, between its two marker lines.
"""

import argparse
import ast
import json
import re
import statistics
import sys
from collections import Counter
from pathlib import Path

from house_lines import LEAST, repeated, split_lines
from house_walks import walks

MODULE = re.compile(r"idiff(\.\w+)+")
BEGIN, END = "<!-- map: begin (tools/house.py --draw) -->", "<!-- map: end -->"


def sources(package):
    """Files of a package; what lies under `assets` is data, a file in Python's language too."""
    return [path for path in sorted(package.rglob("*.py")) if path.relative_to(package).parts[0] != "assets"]


def sizes(package):
    """Files and lines: counts, median, the largest file, and how many .py files stand in each folder."""
    files = sources(package)
    lengths, kinds = {}, Counter()
    for path in files:
        source = path.read_text(encoding="utf-8")
        lengths[str(path.relative_to(package))] = len(source.splitlines())
        kinds.update({kind: len(lines) for kind, lines in split_lines(source).items()})
    largest = max(lengths, key=lengths.get)
    folders = Counter(str(path.parent.relative_to(package.parent)) for path in files)
    return {
        "files": len(files),
        "lines": {"all": sum(lengths.values()), **kinds},
        "median file": statistics.median(lengths.values()),
        "largest file": {"file": largest, "lines": lengths[largest]},
        "files a folder": dict(folders.most_common()),
    }


def imported(source, package):
    """Modules that a file imports, at any depth and by a string that names one. `from a import b` gives a and a.b."""
    tree = ast.parse(source)
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield from (module, *(f"{module}.{alias.name}" for alias in node.names))
        elif isinstance(node, ast.Constant) and id(node) not in alone and MODULE.fullmatch(str(node.value)):
            yield node.value


def arrows(package, *, passed_over=()):
    """Part -> the other parts it imports. A part is a package or a module directly in the package.

    Args:
        package: folder of the package.
        passed_over: files, relative to it, whose imports do not count.
    """
    files = sources(package)
    part = {path: inside[0] if len(inside := path.relative_to(package).parts) > 1 else path.stem for path in files}
    found = {name: set() for name in part.values()}
    for path in files:
        if path.relative_to(package).as_posix() not in passed_over:
            above = [package.name, *path.relative_to(package).parts[:-1]]
            names = (name.split(".") for name in imported(path.read_text(encoding="utf-8"), above))
            found[part[path]] |= {name[1] for name in names if name[0] == package.name and len(name) > 1}
    return {name: (below & found.keys()) - {name} for name, below in found.items()}


def layer_table(path):
    """The sets and mappings of plain values that tests/test_layers.py defines, by name; empty without the file."""
    table = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body if path.is_file() else ():
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                table[node.targets[0].id] = ast.literal_eval(node.value)
            except ValueError:
                continue
    return table


def upward(found, table):
    """Arrows that the table of layers does not allow, as `from -> to`; None where there is no table."""
    if "MAY_IMPORT" not in table:
        return None
    top, lowest = table["TOP"], table["LOWEST"]
    allowed = {part: below | table["EVERYWHERE"] for part, below in table["MAY_IMPORT"].items()} | lowest
    wrong = {part: below - allowed.get(part, set()) for part, below in found.items() if part not in top}
    return sorted(f"{part} -> {other}" for part, below in wrong.items() for other in below)


def reached(found, part):
    """Every part that is imported by one directly or through others."""
    seen, waiting = set(), [part]
    while waiting:
        fresh = found[waiting.pop()] - seen
        seen |= fresh
        waiting += fresh
    return seen


def cycles(found):
    """Groups of parts that import one another in a circle."""
    below = {part: reached(found, part) for part in found}
    return sorted({tuple(sorted(p for p in found if part in below[p] and p in below[part])) for part in found} - {()})


def house(root, *, traced=True):
    """All figures of a checkout as plain values.

    Args:
        root: folder that holds idiff/.
        traced: run the walks as well, which takes a minute.
    """
    package, table = root / "idiff", layer_table(root / "tests" / "test_layers.py")
    found = arrows(package, passed_over=table.get("NAMES_ALONE", ()))
    twice = repeated({str(path.relative_to(package)): path.read_text(encoding="utf-8") for path in sources(package)})
    figures = sizes(package) | {
        "arrows": sum(map(len, found.values())),
        "upward arrows": upward(found, table),
        "cycles": cycles(found),
        "repeated runs": twice,
    }
    if traced:
        figures["walks"] = walks(root)
    return figures


def shown(figures):
    """The figures as lines of a table."""
    lines, folders, twice = figures["lines"], figures["files a folder"], figures["repeated runs"]
    kinds = ", ".join(f"{kind} {lines[kind]:,}" for kind in ("code", "docstring", "comment", "blank"))
    fullest = ", ".join(f"{folder} {count}" for folder, count in list(folders.items())[:5])
    largest, wrong = figures["largest file"], figures["upward arrows"]
    rows = {
        "files": figures["files"],
        "lines": f"{lines['all']:,}: {kinds}",
        "median file": f"{figures['median file']:g} lines",
        "largest file": f"{largest['file']}, {largest['lines']} lines",
        "fullest of the folders": f"{fullest}; {len(folders)} folders",
        "arrows between parts": figures["arrows"],
        "upward arrows": "no table of layers" if wrong is None else f"{len(wrong)} {', '.join(wrong)}".strip(),
        "cycles": "; ".join(map(", ".join, figures["cycles"])) or 0,
        f"repeated runs of {LEAST} lines or more": f"{twice['pairs']} pairs, {twice['lines']} lines",
    }
    rows |= {
        name: f"{hop['functions']} functions in {hop['files']} files" for name, hop in figures.get("walks", {}).items()
    }
    width = max(map(len, rows))
    return [f"{name:<{width}}  {value}" for name, value in rows.items()]


def drawing(root):
    """The map of the imports in Markdown: a Mermaid graph, and a table of every part.

    The graph leaves out what every part may import, and arrows that follow from others: a -> c beside a -> b -> c.
    """
    package, table = root / "idiff", layer_table(root / "tests" / "test_layers.py")
    below = arrows(package, passed_over=table.get("NAMES_ALONE", ()))
    dropped = {*table.get("EVERYWHERE", ()), "__init__", "__main__"}
    found = {part: others - dropped for part, others in sorted(below.items()) if part not in dropped}
    lines = ["```mermaid", "graph TD"]
    for part, others in found.items():
        further = set().union(*(reached(found, other) for other in others))
        lines.append("    " + " --> ".join([part, " & ".join(sorted(others - further))]).removesuffix(" --> "))
    lines += ["```", "", "| part | what it holds | imports |", "|---|---|---|"]
    for part, others in found.items():
        path = package / part / "__init__.py" if (package / part).is_dir() else package / f"{part}.py"
        said = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")[0]
        lines.append(f"| `{part}` | {said} | {', '.join(sorted(others)) or 'none'} |")
    return "\n".join(lines)


def drawn_into(text, drawing_text):
    """A page with the drawing between its marker lines.

    Raises:
        ValueError: the page lacks a marker line.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"docs/architecture.md lacks a marker: expected the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{drawing_text}\n{END}{after}"


def main(words=None):
    """Print the table, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", nargs="?", type=Path, default=Path(__file__).resolve().parents[1], help="holds idiff/")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures, every repeated run included")
    parser.add_argument("--no-walks", action="store_true", help="do not trace examples, which takes a minute")
    parser.add_argument(
        "--draw", action="store_true", help="write the map into docs/architecture.md, and measure nothing"
    )
    options = parser.parse_args(words)
    if options.draw:
        page = options.root / "docs" / "architecture.md"
        page.write_text(drawn_into(page.read_text(encoding="utf-8"), drawing(options.root)), encoding="utf-8")
        return 0
    figures = house(options.root.resolve(), traced=not options.no_walks)
    print("\n".join(shown(figures)))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
