"""What every decoder does: score each pixel for each color that was asked for."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Decoder(Protocol):
    """Compares a painted image with its source. Knows colors, not tasks; never sees the truth."""

    def scores(self, edited: Tensor, rendered: Tensor, colors: Tensor, transparency: float) -> Tensor:
        """Score how surely each pixel was painted in each asked color.

        Args:
            edited: float32 (B, 3, H, W) in [-1, 1], what the model painted.
            rendered: float32 (B, 3, H, W) in [-1, 1], the source as the autoencoder renders it.
            colors: float32 (B, K, 3) in [-1, 1]; a row of NaN stands for a color that this image was not asked for.
            transparency: the share of the image that shows through the paint, in [0, 1); 0 is opaque.

        Returns:
            float32 (B, K, H, W) in [0, 1]; larger than 0.5 where the pixel is nearer to the asked blend of source and
            color than to the source and to every other asked blend. 0 for colors that were not asked for.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """Plain values that name this decoder in a metric card: at least `name`; `weights` and their `sha256` where it has some."""
        ...
