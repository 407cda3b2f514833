"""`idiff push`: upload an exported model to the Hugging Face hub."""

from __future__ import annotations

from idiff.cli.arguments import WordParser, say


def parser() -> WordParser:
    """Options of `idiff push`."""
    options = WordParser(prog="idiff push", description=__doc__)
    options.add_argument("folder", metavar="DIR", help="a folder that `idiff export` wrote")
    options.add_argument("--repo", required=True, metavar="ID", help="owner/name; created if it does not exist")
    options.add_argument("--public", action="store_true", help="make a new repository public; default: private")
    options.add_argument("--message", default="idiff push", help="commit message; default: idiff push")
    return options


def run(words: list[str]) -> int:
    """Upload a folder.

    Raises:
        IdiffError: the folder is not a whole exported model, or the hub refuses.
    """
    options = parser().parse_args(words)
    from idiff.models.io.hub import push_folder

    say(push_folder(options.folder, options.repo, public=options.public, message=options.message))
    return 0
