"""`idiff doctor`: OK or FAIL for what a run needs, what mends it, and a block for a report of a bug."""

from __future__ import annotations

from pathlib import Path

from idiff.cli.arguments import WordParser, say


def parser() -> WordParser:
    """Options of `idiff doctor`."""
    return WordParser(
        prog="idiff doctor", description=f"{__doc__} Exit 0, or 1 where something fails; `--` may be missing."
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
