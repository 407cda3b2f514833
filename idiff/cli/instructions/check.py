"""`idiff instructions check`: sentences against the rules of their kind."""

from __future__ import annotations

import argparse

from idiff.cli.arguments import say


def add_arguments(child: argparse.ArgumentParser) -> None:
    """Add the options of the command to its parser."""
    child.add_argument("what", metavar="FILE|KIND", nargs="*", help="default: everything that ships")
    child.add_argument("--kind", metavar="KIND", help="of a file whose name does not tell; `editing`: its lines do")


def run(arguments: argparse.Namespace) -> int:
    """Print each fault; 1 where there is one. Raises IdiffError where a file cannot be read."""
    from idiff.tasks.instructions.bank_files import shipped, where
    from idiff.tasks.instructions.instruction_checks import check_text, numbered

    faults = 0
    for what in arguments.what or shipped():
        for file in where(what, kind=arguments.kind):
            found = list(check_text(file.text, file.kind, known=file.avoid))
            for fault in found:
                at = f"{file.name}:{fault.line}" if fault.line else file.name
                say(f"{at}: {fault.reason}" + (f" | {fault.sentence[:100]!r}" if fault.sentence else ""))
            faults += len(found)
            if not found:
                say(f"{file.name}: sound; {sum(1 for _ in numbered(file.text, file.kind))} sentences")
    return 1 if faults else 0
