"""What a batch of queries asks to be painted: colors, and how much of the image shows through them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from idiff.errors import ConfigError
from idiff.utils.painting import rgb_values


def query_colors(rgbs: Sequence[Sequence[Sequence[int]]], like: Tensor) -> Tensor:
    """Colors of a batch of queries: float (B, K, 3) in [-1, 1] on the device of `like`, padded with rows of NaN.

    Args:
        rgbs: for each query its colors, 0 to 255.
        like: a tensor of the wanted device and type.
    """
    colors = torch.full((len(rgbs), max(len(row) for row in rgbs), 3), float("nan"))
    for place, row in enumerate(rgbs):
        colors[place, : len(row)] = rgb_values(row)
    return colors.to(like)


def asked_paint(queries: Sequence[Mapping[str, Any]], like: Tensor) -> tuple[Tensor, Tensor]:
    """Read colors and transparency out of the queries of any task that paints.

    Args:
        queries: B queries. Each names its colors as `rgb` (one) or `rgbs` (several), 0 to 255, and its `transparency`.
        like: a tensor of the wanted device and type.

    Returns:
        colors, float (B, K, 3) in [-1, 1], padded with rows of NaN; transparency, float (B,) in [0, 1).

    Raises:
        ConfigError: a query names no color or no transparency, as those of editing and restoration.
    """
    for query in queries:
        if not ({"rgb", "rgbs"} & query.keys() and "transparency" in query):
            raise ConfigError(
                f"the query of task '{query.get('task', '?')}' has {', '.join(sorted(query)) or 'nothing'}: expected 'rgb' or "
                "'rgbs', and 'transparency'. Train a decoder on tasks that paint in colors alone: leave the others out of data."
            )
    colors = query_colors([query["rgbs"] if "rgbs" in query else [query["rgb"]] for query in queries], like)
    return colors, torch.tensor([float(query["transparency"]) for query in queries]).to(like)


def visible(answer: Tensor) -> Tensor:
    """What can be seen of discs that were painted one over the other: later channels cover earlier ones.

    Args:
        answer: float (B, C, H, W) in [0, 1], channels in the order of painting.

    Returns:
        float (B, C, H, W) in [0, 1].
    """
    shown = (1.0 - answer).flip(1).cumprod(dim=1).flip(1)  # of this channel and all later ones
    after = torch.cat([shown[:, 1:], torch.ones_like(shown[:, :1])], dim=1)
    return answer * after
