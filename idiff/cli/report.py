"""`idiff report RUN [OTHER ...]`: rebuild the page of a run from its folder, or compare it with other runs."""

from __future__ import annotations

from pathlib import Path

from idiff.cli.arguments import WordParser, say, writable
from idiff.errors import ConfigError


def parser() -> WordParser:
    """Options of `idiff report`."""
    options = WordParser(prog="idiff report", description=__doc__)
    add = options.add_argument
    add("run", metavar="RUN", help="a run folder of `idiff fit`")
    add("others", metavar="OTHER", nargs="*", default=[], help="run folders to compare it with")
    add(
        "--out",
        metavar="FILE.html",
        help="the page; default: report.html in RUN, or comparison.html if there are other runs",
    )
    return options


def run(words: list[str]) -> int:
    """Write the page and say where it is.

    Raises:
        IdiffError: a folder is not that of a run, or the page cannot be written.
    """
    options = parser().parse_args(words)
    if options.out is not None and not writable(Path(options.out)):
        raise ConfigError(
            f"--out {options.out} cannot be written: expected a file in a folder that exists and can be written"
        )
    from idiff.reporting.page import write_report

    say(str(write_report(options.run, options.others, out=options.out)))
    return 0
