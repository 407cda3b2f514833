"""`idiff doctor`: check the machine and the installation. Prints OK or FAIL with the fix, and a block for a bug report."""

from __future__ import annotations

from pathlib import Path

from idiff.cli.arguments import WordParser, say


def parser() -> WordParser:
    """Options of `idiff doctor`."""
    return WordParser(
        prog="idiff doctor", description=f"{__doc__} Lines with `--` are optional. Exit code 0, or 1 if a check fails."
    )


def run(words: list[str]) -> int:
    """Print what was found. Returns 0, or 1 where something fails."""
    parser().parse_args(words)
    from idiff.starting.doctor import examine, report

    findings = []
    for finding in examine(Path.cwd()):
        say(finding.line())
        findings.append(finding)
    failed = sum(finding.state == "FAIL" for finding in findings)
    say("\nFor a report of a bug:\n")
    say(report(findings))
    say(f"\n{failed} of {len(findings)} failed" if failed else "\nall is well")
    return 1 if failed else 0
