"""`idiff new task|data NAME`: write the files of a task or a data set of your own; they work unchanged."""

from __future__ import annotations

from pathlib import Path

from idiff.cli.arguments import WordParser, say

NEXT = {
    "task": (
        "python -m pytest test_{0}.py   # passes as it is; edit {0}.py and {0}.txt and keep it so",
        "idiff new data NAME            # where its data are not ones that `idiff data sources` lists",
        "a training takes it as an entry of a mixture: tasks: {{{0}: {{include: {0}.yaml, root: data/NAME}}}}",
        "a command that reads its checkpoint imports {0}.py only with --trust: idiff evaluate --checkpoint ... --trust",
    ),
    "data": (
        "python -m pytest test_{0}.py   # passes as it is; edit {0}.py and keep it so",
        "the head of {0}.yaml says how to build, look and train",
    ),
}
"""What to do with the files, by kind."""


def parser() -> WordParser:
    """Options of `idiff new`."""
    options = WordParser(prog="idiff new", description=__doc__)
    options.add_argument(
        "kind", choices=["task", "data"], help="task: Python file, YAML, sentences, test; data: Python file, YAML, test"
    )
    options.add_argument("name", metavar="NAME", help="name of the module: lower-case letters, digits and '_'")
    options.add_argument(
        "--in",
        dest="folder",
        metavar="DIR",
        default=".",
        help="where the files are written; default: the working folder",
    )
    return options


def run(words: list[str]) -> int:
    """Write the files and say what comes next. Returns 0.

    Raises:
        ConfigError: the name cannot be used, or a file is there already.
    """
    arguments = parser().parse_args(words)
    from idiff.starting.scaffold import write_files

    for path in write_files(arguments.kind, arguments.name, Path(arguments.folder)):
        say(str(path))
    say("next, in that folder:")
    for line in NEXT[arguments.kind]:
        say(f"  {line.format(arguments.name)}")
    return 0
