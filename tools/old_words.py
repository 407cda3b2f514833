"""List the old words that are still in the code, the configurations and the documentation.

    python tools/old_words.py            # exit 0 where there are none outside of ALLOWED, else 1

Words were replaced by the field's terms. Names of files, keys and options that other programs rely on stay; ALLOWED lists them.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

OLD = {
    r"\bguess(?:es)?\b": "baseline",
    r"\bthat (?:does|do) not look\b": "blind baseline",
    r"\bfamiliarity\b|\bFamiliarity\b": "out-of-distribution score",
    r"\brecognition\w*": "auxiliary loss",
    r"\bhand-?over\b|\bHandOver\b|\bhand_over\b": "provenance",
    r"\bembedded (?:model|decoder|variant|default|base)\b|\bembedded\(": "pretrained",
    r"\bgoal\b": "objective",
    r"\blook\(": "warp_sample",
    r"\ba_prompt\b|_a_prompt\b": "per_prompt",
    r"\bcolou?r\b(?<!color)|\bcolours\b": "color",
    r"\bpassed over:": "skipping corrupt checkpoint:",
    r"\bis no valid\b": "is not valid",
    r"words ask for|said plainly|knows no sizes|hang on the key alone|second lesson|asked politely": "plain words",
    r"names what is other|the processor is good at|whose folder it is": "plain words",
}
"""Pattern -> the field's term."""

FILES = ("idiff/**/*.py", "configs/**/*.yaml", "docs/*.md", "README.md", "tools/*.py", "benchmarks/*.py")

ALLOWED = {
    "idiff/utils/moved.py": "names that configurations of earlier versions use",
    "tools/old_words.py": "this list",
    "idiff/synthetic": "keys of annotations in shards, words of drawn scenes",
    "idiff/tasks/instructions": "instructions for a language model, and the old name of a slot",
    "idiff/rewriting": "instructions for a language model",
}
"""Path -> why old words stay there."""

KEYS = re.compile(
    r"handover\.json|[\"'`](?:guess|guess_name|familiarity|colour|goal)[\"'`]|backbone\.recognition|self\.recognition|[\"']recognition\.[\"']"
)
"""Names of files, keys of records and of state dictionaries, which stay."""


def found() -> list[str]:
    """`path:line: word -> term` of every old word that is not allowed."""
    lines = []
    for path in sorted(path for pattern in FILES for path in ROOT.glob(pattern)):
        name = str(path.relative_to(ROOT))
        if any(name.startswith(allowed) for allowed in ALLOWED):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            rest = KEYS.sub("", line)
            lines += [
                f"{name}:{number}: {match[0]} -> {term}"
                for old, term in OLD.items()
                for match in re.finditer(old, rest)
            ]
    return lines


def main() -> int:
    """Print what is left; 1 where there is some."""
    lines = found()
    print("\n".join([*lines, f"{len(lines)} old words"]))
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
