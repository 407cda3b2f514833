"""The aesthetic score: a linear map or a chain of them on CLIP image features (LAION's predictors).

Two layouts are read. `aesthetic-predictor`: one linear layer, tensors `weight`, `bias` (or `linear.weight`,
`linear.bias`). `improved-aesthetic-predictor`: `layers.N.weight`, `layers.N.bias`, a chain of linear layers with dropout
between them and no other function, so that nothing but the layers acts when it is used. Scores are on the scale of the
ratings they were trained on, about 1 to 10. Both take features of unit length.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from idiff.errors import CheckpointError, ConfigError, missing
from idiff.utils.foreign import decoding

_CHAIN = re.compile(r"layers\.(\d+)\.(weight|bias)")
Layer = tuple[Tensor, Tensor]


class AestheticHead:
    """Features to a score.

    Args:
        layers: (weight (out, in), bias (out,)) of each linear layer, the last with out = 1.
    """

    def __init__(self, layers: list[Layer]) -> None:
        self.layers = layers

    @property
    def width(self) -> int:
        """Numbers in a feature vector."""
        return self.layers[0][0].shape[1]

    def __call__(self, features: Tensor) -> Tensor:
        """Score feature vectors.

        Args:
            features: float32 (N, D); brought to unit length here. A vector of zeros stays one.

        Returns:
            float32 (N,).

        Raises:
            ConfigError: the features have another D than the head was trained on.
        """
        if features.ndim != 2 or features.shape[1] != self.width:
            raise ConfigError(
                f"the aesthetic head takes features of {self.width} numbers, got {features.shape[-1]}. Use the CLIP model "
                "that it was trained on: ViT-L/14 has 768."
            )
        value = torch.nn.functional.normalize(features.float(), dim=1)
        for weight, bias in self.layers:
            value = torch.nn.functional.linear(value, weight, bias)
        return value[:, 0]


def load_head(path: Path | str) -> AestheticHead:
    """Read an aesthetic head; nothing in the file is run.

    Args:
        path: `.safetensors`, or a state dict that torch saved (`.pth`, `.pt`, `.bin`), read as tensors only.

    Raises:
        DataError: the file is missing.
        CheckpointError: it cannot be read, or has another layout.
    """
    file = Path(path)
    if not file.is_file():
        raise missing(
            file, what="the weights of an aesthetic predictor", remedy="Give the path of a .safetensors file."
        )
    with decoding(
        lambda reason: CheckpointError(f"{file} cannot be read as plain tensors: {reason}. Save it as .safetensors.")
    ):
        plain = file.suffix == ".safetensors"
        state = load_file(file) if plain else torch.load(file, map_location="cpu", weights_only=True)
    layers = _layers(state) if isinstance(state, dict) else []
    fits = all(first[0].shape[0] == second[0].shape[1] for first, second in itertools.pairwise(layers))
    if not (layers and fits and layers[-1][0].shape[0] == 1):
        names = ", ".join(map(str, state)) if isinstance(state, dict) else type(state).__name__
        raise CheckpointError(
            f"{file} is not an aesthetic head, it holds: {names[:300]}. Expected linear.weight and linear.bias, or a chain of "
            "layers.N.weight and layers.N.bias that ends in one number."
        )
    return AestheticHead(layers)


def _layers(state: dict[Any, Any]) -> list[Layer]:
    """The linear layers in order; none where the names or shapes are others."""
    parts: dict[int, dict[str, Tensor]] = {}
    for name, value in state.items():
        found = _CHAIN.fullmatch(str(name))
        number, part = (int(found[1]), found[2]) if found else (0, str(name).removeprefix("linear."))
        if part not in {"weight", "bias"} or not isinstance(value, Tensor):
            return []
        parts.setdefault(number, {})[part] = value.float()
    layers = [(part["weight"], part["bias"]) for _, part in sorted(parts.items()) if len(part) == 2]
    whole = len(layers) == len(parts) and all(weight.ndim == 2 and len(bias) == len(weight) for weight, bias in layers)
    return layers if whole else []
