"""Pixels of held-out images: one half fits a decoder's calibration, the other half says how good it is."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torchmetrics.functional.classification import binary_calibration_error

from idiff.decoders.calibration import Calibration, fit_calibration, paint_kind
from idiff.utils.seeds import hash64

PIXELS = 512
"""Pixels of each map that are kept."""

BINS = 15


@dataclass(slots=True)
class HeldOut:
    """What one validation has read. All maps of one image are of one half.

    Attributes:
        rows: kind of paint, whether it is of the half that fits, logits and truth of some pixels.
    """

    rows: list[tuple[str, bool, Tensor, Tensor]] = field(default_factory=list)

    def add(self, key: str, transparency: float, logits: Tensor, truth: Tensor, *, rng: torch.Generator) -> None:
        """Keep some pixels of a map.

        Args:
            key: of the example; what stands before a `/` names the image.
            transparency: of the paint.
            logits: float (H, W).
            truth: float (H, W) in [0, 1].
            rng: CPU generator that chooses the pixels.
        """
        flat, true = logits.flatten(), truth.flatten()
        pixels = torch.randint(len(flat), (min(PIXELS, len(flat)),), generator=rng).to(flat.device)
        fits = hash64("calibration", key.partition("/")[0]) % 2 == 0
        self.rows.append((paint_kind(transparency), fits, flat[pixels].cpu(), true[pixels].cpu().round()))

    def fit(self, *, bias: bool) -> tuple[dict[str, Calibration], dict[str, Tensor]]:
        """Calibrate each kind of paint.

        Args:
            bias: fit a bias beside the temperature.

        Returns:
            the calibrations of the kinds that both halves have; the expected calibration error of the other half, `ece_raw` before
            and `ece` after, each float32 (); empty where there is nothing.
        """
        found: dict[str, Calibration] = {}
        raw, after, truths = [], [], []
        for kind in sorted({row[0] for row in self.rows}):
            fitting, checking = ([row for row in self.rows if row[:2] == (kind, half)] for half in (True, False))
            if not fitting or not checking:
                continue
            found[kind] = fit_calibration(
                torch.cat([row[2] for row in fitting]), torch.cat([row[3] for row in fitting]), bias=bias
            )
            logits = torch.cat([row[2] for row in checking])
            raw.append(logits.sigmoid())
            after.append(found[kind](logits))
            truths.append(torch.cat([row[3] for row in checking]).long())
        if not found:
            return {}, {}
        scored = {"ece_raw": torch.cat(raw), "ece": torch.cat(after)}
        true = torch.cat(truths)
        return found, {name: binary_calibration_error(one.float(), true, n_bins=BINS) for name, one in scored.items()}
