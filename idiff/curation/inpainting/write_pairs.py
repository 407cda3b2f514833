"""Shards of inpainted pairs, and how many pairs of each operation were kept."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from idiff.curation.inpainting.inpainting_source import Inpainting
from idiff.data.build.builder import REJECTED, Report, build


def build_pairs(
    source: Inpainting, out: str | Path, *, split: str | None = None, limit: int | None = None, **how: Any
) -> tuple[Report, dict[str, tuple[int, int]]]:
    """Build a set of pairs.

    Args:
        source: the pairs.
        out: folder of the shards.
        split: names the shards; None: that of the set they are made from.
        limit: take the first pairs alone.
        how: see `idiff.data.build.builder.build`.

    Returns:
        what the build did, and operation -> (pairs kept, pairs planned).

    Raises:
        IdiffError: see `build`.
    """
    report = build(
        source,
        out,
        name="inpaint",
        split=split or source.shards.manifest.split,
        options=source.options,
        limit=limit,
        **how,
    )
    rejected = (Path(out) / REJECTED).read_text(encoding="utf-8-sig").splitlines() if report.rejected else []
    planned = Counter(source.operation(index) for index in range(min(len(source), limit or len(source))))
    left_out = Counter(source.operation(json.loads(line)["index"]) for line in rejected)
    return report, {name: (planned[name] - left_out[name], planned[name]) for name in source.options["operations"]}
