"""The bank that a rewriting writes: whole or not at all, and never over a file that it did not make."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from idiff.errors import ConfigError
from idiff.rewriting.rewriter import Rewriting
from idiff.utils.files import write_atomic

MADE = "# Rewritten by `idiff instructions rewrite`"
"""How a file begins that `rewrite` made, and may write again."""


def free(out: Path) -> Path:
    """A file that can be written: new, or one that `rewrite` made.

    Raises:
        ConfigError: it is another file, or its folder cannot be written.
    """
    if out.suffix != ".txt":
        raise ConfigError(f"--out {out}: expected a name that ends in .txt.")
    if not out.parent.is_dir() or out.is_dir() or not os.access(out.parent, os.W_OK):
        raise ConfigError(f"--out {out} cannot be written: expected a file in a folder that exists and can be written.")
    if out.exists():
        with out.open("rb") as stream:
            if not stream.read(len(MADE)).decode("utf-8", "replace").startswith(MADE):
                raise ConfigError(
                    f"--out {out} is a file that `rewrite` did not make: give another name, or move it away."
                )
    return out


def write_bank(out: Path, done: Sequence[Rewriting], *, model: str, marked: bool) -> Path:
    """Write the bank, and beside it what was rejected and why.

    Args:
        out: the bank.
        done: what came of each kind.
        model: what wrote the sentences.
        marked: begin each line with its kind.

    Returns:
        the file of what was rejected.
    """
    named = "".join(c for c in model if c.isprintable())[:80]
    text = [f"{MADE} with {named}; slots, tokens, task and near-duplicates were checked."]
    for one in done:
        before = f"{one.kind.name}: " if marked else ""
        text += ["# seeds", *(before + line for line in one.seeds), "# more", *(before + line for line in one.accepted)]
    rejected = [json.dumps(entry, sort_keys=True) for one in done for entry in one.rejected]
    beside = out.with_suffix(".rejected.jsonl")
    for path, lines in ((beside, rejected), (out, text)):
        write_atomic(path, "".join(f"{line}\n" for line in lines))
    return beside
