"""A set of shards from picks, with how far the annotators agree beside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from idiff.alignment.agreement import Choice
from idiff.alignment.build import PickedEdits, picks_of
from idiff.alignment.candidates import CandidateFolder
from idiff.data.build.builder import Report, build
from idiff.utils.files import write_atomic

FIGURES = "agreement.json"
"""The file beside the shards that `write_figures` writes."""


def build_picked(
    folder: CandidateFolder,
    decisions: Mapping[str, Mapping[str, Choice]],
    candidates: Mapping[str, int],
    out: str | Path,
    *,
    rule: str,
    pairs: str,
    split: str,
    shard_size: int,
    progress: Callable[[int, int], None],
) -> Report:
    """Build the shards of what was chosen.

    Args:
        folder: of the candidates.
        decisions: annotator -> sample -> decision.
        candidates: sample -> how many candidates it has.
        out: folder of the shards.
        rule: see `picks_of`.
        pairs: see `picks_of`.
        split: names the shards.
        shard_size: samples a shard.
        progress: called with (pairs done, pairs in all).

    Raises:
        ConfigError: an unknown rule or way to pair, or the folder holds another set.
        DataError: nothing was chosen, or the folder cannot be written.
    """
    picks = picks_of(decisions, candidates, rule=rule, pairs=pairs)
    stages = {
        "samples": len(candidates),
        "decided": len({sample for decided in decisions.values() for sample in decided if sample in candidates}),
        "with a choice": len({pick.sample for pick in picks}),
    }
    chosen = [[pick.sample, pick.chosen, pick.rejected] for pick in picks]
    settings = {
        "rule": rule, "pairs": pairs, "annotators": sorted(decisions), "candidates": _digest(folder.settings),
        "picks": f"{len(picks)} pairs, {_digest(chosen)}",
    }  # fmt: skip
    return build(
        PickedEdits(folder, picks, stages=stages), out, name="align", split=split, options=settings, shard_size=shard_size,
        progress=progress,
    )  # fmt: skip


def write_figures(figures: Mapping[str, Any], out: str | Path) -> None:
    """Write what `agreement` found beside the shards."""
    write_atomic(Path(out) / FIGURES, json.dumps(figures, indent=1).encode() + b"\n")


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
