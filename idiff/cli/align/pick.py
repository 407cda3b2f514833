"""`idiff align pick`: a web page on this machine where people choose the best none to two candidates of each sample."""

from __future__ import annotations

import argparse
import importlib
import sys

from idiff.cli.arguments import WordParser
from idiff.cli.pages import need_packages, port
from idiff.errors import DataError

PORT = 8765


def run(words: list[str]) -> int:
    """Serve the picker until Ctrl-C, or pick by a metric where `--auto` is among the words.

    Args:
        words: the words after `pick`.

    Returns:
        the exit code.

    Raises:
        ConfigError: a port that is taken, a name that cannot be used, or packages that are missing.
        DataError: no folder of candidates, or one without samples.
    """
    if any(word == "--auto" or word.startswith("--auto=") for word in words):
        code: int = importlib.import_module("idiff.cli.align.auto").run(words)
        return code
    arguments = _parser().parse_args(words)
    need_packages("the picker", "fastapi", "uvicorn")
    return _serve(arguments)


def _parser() -> WordParser:
    parser = WordParser(prog="idiff align pick", description=__doc__, allow_abbrev=False)
    parser.add_argument("folder", metavar="DIR", help="from `idiff align generate`, which may still be at work")
    parser.add_argument(
        "--port", type=port, default=PORT, metavar="N", help=f"port on 127.0.0.1; default: {PORT}; 0: any free port"
    )
    parser.add_argument("--annotator", metavar="NAME", help="who decides (the page asks)")
    parser.add_argument(
        "--auto",
        metavar="METRIC",
        help="serve nothing: pick by a metric; idiff align pick --auto METRIC --help says more",
    )
    return parser


def _serve(arguments: argparse.Namespace) -> int:
    from idiff.alignment.candidates import CandidateFolder
    from idiff.alignment.picks import PickJournal
    from idiff.apps.picker import create_app
    from idiff.apps.serving import HOST, listen, serve

    folder = CandidateFolder.open(arguments.folder)
    samples = folder.samples()
    if not samples:
        raise DataError(
            f"{arguments.folder} has no sample yet: expected some under samples/. Let `idiff align generate` begin."
        )
    app = create_app(folder, annotator=arguments.annotator)
    listening = listen(arguments.port)
    line = f"{arguments.folder}: {len(samples):,} samples of {folder.settings.get('task', '?')}"
    query = ""
    if arguments.annotator:
        done = len(PickJournal(folder.path, arguments.annotator).decisions().keys() & set(samples))
        line += f", {done:,} of them decided by {arguments.annotator}"
        query = f"?annotator={arguments.annotator}"
    _say(line)
    _say(f"http://{HOST}:{listening.getsockname()[1]}/{query}  (Ctrl-C ends; each decision is on the disk at once)")
    try:
        serve(app, on=listening)
    except KeyboardInterrupt:
        _say("\nended; all that the page calls saved is on the disk")
    return 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
