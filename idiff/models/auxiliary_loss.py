"""Auxiliary dense text-alignment loss: the U-Net learns which class or joint is at which place.

A prompt names one class or a few joints, so one painted answer says little about everything else in an image. Where the data
says what every pixel shows, the U-Net's features of each cell are compared with the text encoder's states of all names, as in LSeg
(Li et al., arXiv 2201.03546, section 3.1), and the right name has to win. The two projections are for training only; nothing of
it is exported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from idiff.types import Parts

_WIDTH = 64
_THINGS = 4.0
"""How much more a cell counts that shows a thing than one that shows the rest."""


class AuxiliaryLoss(nn.Module):
    """Compares features before the U-Net's last up block with names.

    Args:
        unet: a diffusers U-Net of two levels or more.
        width: channels of the text encoder's states.

    Attributes:
        accuracy: share of the cells that show a thing which were given its name, in the last batch; nan where there were none.
    """

    def __init__(self, unet: Any, *, width: int) -> None:
        super().__init__()
        before = unet.up_blocks[-2]
        self.warp_sample = nn.Conv2d(before.resnets[-1].out_channels, _WIDTH, kernel_size=1)
        self.read = nn.Linear(width, _WIDTH)
        self.seen: list[Tensor] = []
        self.accuracy = float("nan")
        before.register_forward_hook(self._keep)

    def _keep(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        if self.training:
            self.seen = [output]

    def loss(self, parts: Sequence[Parts | None], encode: Callable[[list[str]], Tensor]) -> Tensor:
        """Cross-entropy of the names of cells, of the examples that the U-Net saw last.

        Args:
            parts: what each of the B examples shows; None where nobody knows.
            encode: names to vectors (N, width).

        Returns:
            scalar; 0 where no example knows its parts.
        """
        features = self.warp_sample(self.seen.pop())
        total: Tensor = 0.0 * (
            features.sum() + self.read.weight.sum() + self.read.bias.sum()
        )  # every rank has every gradient
        groups: dict[tuple[str, ...], list[int]] = {}
        for row, known in enumerate(parts):
            if known is not None:
                groups.setdefault(tuple(known.names), []).append(row)
        rows = sum(map(len, groups.values()))
        right = things = 0.0
        for names, members in groups.items():
            words = self.read(encode(list(names)))
            logits = torch.einsum("bchw,nc->bnhw", features[members], words) / _WIDTH**0.5
            labels = torch.stack([known.labels for row in members if (known := parts[row]) is not None])
            truth = _shares(labels.to(logits.device), len(names), logits.shape[-2:]).to(logits)
            rest = names.index("background") if "background" in names else None
            weight = truth.sum(dim=1) * _THINGS
            if rest is not None:
                weight = weight - (_THINGS - 1) * truth[:, rest]
            error = -(truth * logits.log_softmax(dim=1)).sum(dim=1) * weight
            shown = truth.argmax(dim=1)
            thing = shown != (-1 if rest is None else rest)
            right += float(((logits.detach().argmax(dim=1) == shown) & thing).sum())
            things += float(thing.sum())
            total = total + error.sum() / weight.sum().clamp_min(1e-6) * (len(members) / rows)
        self.accuracy = right / things if things else float("nan")
        return total


def _shares(labels: Tensor, count: int, cells: Sequence[int]) -> Tensor:
    """How much of each cell shows each of `count` names: labels (B, H, W) to float (B, N, h, w). Unknown pixels count for none."""
    one_hot = F.one_hot(labels.long().clamp(max=count), count + 1)[..., :-1]
    return F.adaptive_avg_pool2d(one_hot.permute(0, 3, 1, 2).float(), (cells[0], cells[1]))
