"""`idiff instructions`: check sentences that ask for a task, and multiply them with a language model."""

from __future__ import annotations

from idiff.cli.arguments import WordParser, with_commands

COMMANDS = {
    "check": "check the shipped sentences of a kind, or a file; exit 0, or 1 and each line's fault",
    "rewrite": "write more sentences like the seeds through a service that speaks OpenAI's chat completions",
}


def run(argv: list[str]) -> int:
    """Run `idiff instructions ...`.

    Returns:
        0 done; 1 a check found faults, or fewer sentences passed than were wanted.

    Raises:
        IdiffError: bad input, or a service that fails.
    """
    arguments = parser().parse_args(argv)
    code: int = arguments.command(arguments)
    return code


def parser() -> WordParser:
    """Options of both commands."""
    modules = {name: (f"{__package__}.{name}", text) for name, text in COMMANDS.items()}
    return with_commands("idiff instructions", __doc__, modules)
