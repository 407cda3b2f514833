"""Pages of the docs site that are made when it is built: the tasks, the data sets, the API, and files from outside docs/.

python tools/docs_pages.py FOLDER    # docs/conf.py calls it; nothing of it is committed
"""

import importlib
import inspect
import re
import sys
from pathlib import Path

import yaml
from drawings import layered

ROOT = Path(__file__).resolve().parents[1]
COPIES = {
    "README.md": "quickstart",
    "SECURITY.md": "security",
    "CONTRIBUTING.md": "contributing",
    "CODE_OF_CONDUCT.md": "conduct",
    "CHANGELOG.md": "changes",
    "idiff/assets/models/README.md": "model-card",
}
"""Files outside docs/ that are pages of the site."""
MADE = {"Data": ["sources/index"], "Extend": ["tasks/index", "api/index"]}
"""Sections of docs/index.md, and the pages made here that belong to them."""
API = {
    "Pipeline": ["idiff.pipeline", "idiff.sampling", "idiff.errors"],
    "Tasks": ["idiff.tasks", "idiff.tasks.base", "idiff.predictions", "idiff.types"],
    "Data": ["idiff.data.sources", "idiff.data.sources.base", "idiff.data.build", "idiff.data.shards.reader",
             "idiff.data.datamodule", "idiff.data.loading.training"],
    "Models": ["idiff.models.backbone", "idiff.models.autoencoder", "idiff.models.text", "idiff.models.io.checkpoint",
               "idiff.models.io.export"],
    "Diffusion": ["idiff.diffusion"],
    "Stages": ["idiff.stages", "idiff.stages.base", "idiff.callbacks"],
    "Decoders and metrics": ["idiff.decoders", "idiff.decoders.base", "idiff.metrics", "idiff.metrics.base"],
}  # fmt: skip
"""Pages of the API reference, and the modules on each."""


def link(path, page):
    """The address of a file from a page of the site, where the site has it; else the path itself."""
    inside = path.removeprefix("../")
    if inside in COPIES:
        return f"/_generated/{COPIES[inside]}.md"
    if page.startswith("_generated/") and inside.startswith("docs/"):
        return f"/{inside.removeprefix('docs/')}"
    return path


def for_the_site(text, page):
    """A page as the site shows it: links out of docs/ lead to the site's copies, and mermaid's graphs are drawn."""

    def changed(match):
        path, mark, part = match[1].partition("#")
        return f"]({link(path, page)}{mark}{part})"

    text = re.sub(r"\]\(((?!https?:|/)[^)\s]+)\)", changed, text)
    if page == "index":
        text = with_contents(text)
    return re.sub(r"^```mermaid\ngraph TD\n(.*?)^```", lambda match: graph(match[1]), text, flags=re.M | re.S)


def with_contents(text):
    """The index with a table of contents a section: the pages that it links to, those made here, and at the end all others."""
    head, *sections = text.split("\n## ")
    listed = [re.findall(r"\]\(/?([\w/-]+)\.md\)", section) for section in sections]
    others = sorted(
        {path.stem for path in (ROOT / "docs").glob("*.md")} - {"index"} - {name for names in listed for name in names}
    )
    for at, (section, names) in enumerate(zip(sections, listed, strict=True)):
        title = section.partition("\n")[0]
        pages = names + [f"_generated/{page}" for page in MADE.get(title, ())] + others * (title == "Project")
        more = "".join(
            f"- [{page.partition('/')[0].capitalize()}](/_generated/{page}.md)\n" for page in MADE.get(title, ())
        )
        pages = ["Quick start <_generated/quickstart>" if page == "_generated/quickstart" else page for page in pages]
        toctree = f":hidden:\n:caption: {title}\n\n" + "\n".join(pages)
        sections[at] = f"{section.rstrip()}\n{more}\n```{{toctree}}\n{toctree}\n```\n"
    return "\n## ".join([head, *sections])


def graph(lines):
    """An SVG of a mermaid graph whose lines are `a --> b & c`."""
    edges = {}
    for line in lines.split("\n"):
        start, _, ends = line.strip().partition(" --> ")
        if start:
            edges[start] = ends.split(" & ") if ends else []
    return f"```{{raw}} html\n{layered(edges)}\n```"


def markdown_code(app, what, name, thing, options, lines):
    """A docstring's code fences as reST literal blocks, and its stars as they are written."""
    lines[:] = [re.sub(r"(?<![`*\w])\*(?=\w+[,:)\s])", r"\\*", line) for line in lines]


def first_words(text):
    """The first paragraph of a docstring."""
    return " ".join(inspect.cleandoc(text or "").partition("\n\n")[0].split())


def task_pages():
    """One page a task: what its class says, its YAML, and some of its sentences."""
    from idiff import tasks
    from idiff.tasks.instructions import InstructionBank  # noqa: F401  the bank is found where tasks find it

    for path in sorted((ROOT / "configs" / "task").glob("*.yaml")):
        config = path.read_text(encoding="utf-8")
        name = yaml.safe_load(config)["task"]["class_path"].rpartition(".")[2]
        bank = ROOT / "idiff" / "tasks" / "instructions" / f"{path.stem}.txt"
        said = [line for line in bank.read_text(encoding="utf-8").splitlines() if line.strip() and line[0] != "#"] \
            if bank.is_file() else []  # fmt: skip
        sentences = "".join(f"- `{line.strip()}`\n" for line in said[:5])
        shown = f"## Instructions\n\nFive of {len(said)} templates:\n\n{sentences}\n" if said else ""
        yield (
            f"tasks/{path.stem}",
            f"# {path.stem}\n\n{first_words(getattr(tasks, name).__doc__)}\n\n## Settings\n\n"
            f"`configs/task/{path.name}`:\n\n```yaml\n{config}```\n\n{shown}## Class\n\n"
            f"```{{eval-rst}}\n.. autoclass:: idiff.tasks.{name}\n   :no-members:\n   :no-index:\n```\n",
        )


def source_pages():
    """One page a data set: what it is, the files it must have, and the command that builds it."""
    from idiff.data.sources import SOURCES

    for name, entry in SOURCES.items():
        module, _, kind = entry.target.partition(":")
        made = getattr(importlib.import_module(module), kind)
        takes = inspect.signature(made).parameters
        options = (
            " --root PATH"
            if "root" in takes
            else " --task segmentation --count 1000 --seed 0"
            if name == "synthetic"
            else ""
        )
        command = f"idiff data build {name}{options} --split train --out data/{name}/train"
        yield (
            f"sources/{name}",
            f"# {name}\n\n{first_words(inspect.getmodule(made).__doc__)}\n\n## Files\n\n"
            f"Download the set from its authors, and lay it out so:\n\n```text\n{entry.layout}\n```\n\n"
            f"## Build\n\n```sh\n{command}\nidiff data check data/{name}/train\n```\n\n## Options\n\n"
            f"Each argument `NAME` is the option `--NAME`; `idiff data build {name} --help` lists them.\n\n"
            f"```{{eval-rst}}\n.. autoclass:: {module}.{kind}\n   :no-members:\n   :no-index:\n```\n",
        )


def api_pages():
    """The API reference: the public names of each module with their docstrings."""
    for title, modules in API.items():
        blocks = []
        for module in modules:
            exported = "   :imported-members:\n" if hasattr(importlib.import_module(module), "__all__") else ""
            blocks.append(f"## {module}\n\n```{{eval-rst}}\n.. automodule:: {module}\n{exported}```\n")
        yield f"api/{title.lower().replace(' ', '-')}", f"# {title}\n\n" + "\n".join(blocks)


def listing(title, text, pages):
    """A page with a card for each of others: its name and its first sentence."""
    names = [page.rpartition("/")[2] for page in pages]
    cards = "\n".join(
        f":::{{grid-item-card}} {name}\n:link: {name}\n:link-type: doc\n\n{said(text)}\n:::"
        for name, text in zip(names, pages.values(), strict=True)
    )
    toctree = "\n".join(names)
    return (
        f"# {title}\n\n{text}\n\n::::{{grid}} 1 2 2 3\n:gutter: 2\n\n{cards}\n::::\n\n"
        f"```{{toctree}}\n:hidden:\n\n{toctree}\n```\n"
    )


def said(page):
    """The first paragraph of a page; of one that begins with a section, what the section is called."""
    begin = page.split("\n\n")[1]
    return ", ".join(re.findall(r"^## (.+)$", page, re.MULTILINE)) if begin.startswith("#") else begin


def write(folder):
    """Write all pages below a folder; files whose text is the same stay as they are, so that a second build is quick."""
    kinds = {
        "tasks": ("Tasks", "What a task paints, how it is read back, and what can be set.", dict(task_pages())),
        "sources": ("Data sets", "How each published data set is laid out and built. [Data](/data.md) is the overview.",
                    dict(source_pages())),
        "api": ("API reference", "The public classes and functions, from their docstrings.", dict(api_pages())),
    }  # fmt: skip
    pages = {
        page: (ROOT / path).read_text(encoding="utf-8") for path, page in COPIES.items() if (ROOT / path).is_file()
    }
    for kind, (title, text, made) in kinds.items():
        pages |= made | {f"{kind}/index": listing(title, text, made)}
    (folder / "curve.png").parent.mkdir(parents=True, exist_ok=True)
    (folder / "curve.png").write_bytes((ROOT / "idiff" / "assets" / "models" / "curve.png").read_bytes())
    for page, text in pages.items():
        path = folder / f"{page}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    for path in set(folder.rglob("*.md")) - {folder / f"{page}.md" for page in pages}:
        path.unlink()


if __name__ == "__main__":
    write(Path(sys.argv[1]))
