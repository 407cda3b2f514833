"""What the set's own files call a sample, so that answers can be re-scored beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from idiff.types import Sample

_NAMES = ("file_name", "image_id", "id", "ref_id", "sent_id")


def origin(sample: Sample, entry: Mapping[str, Any] | None = None) -> dict[str, str | int]:
    """Names and numbers of a sample, and of one of its items, as far as the set has them.

    Args:
        sample: its annotation may have `file_name` and `image_id`.
        entry: the item: a person (`id`), or a phrase (`ref_id`, `sent_id`).

    Returns:
        JSON-able; empty where the set names nothing.
    """
    known = {name: sample.annotation.get(name) for name in _NAMES[:2]}
    known |= {name: (entry or {}).get(name) for name in _NAMES[2:]}
    return {name: value for name, value in known.items() if isinstance(value, str | int)}
