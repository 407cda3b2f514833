"""Low-rank adapters (LoRA, Hu et al., arXiv 2106.09685) on the U-Net: peft, through diffusers' `add_adapter`.

What was loaded is frozen and adapted; what is new (a widened first convolution, the last one of a residual model that starts as a
copy, new attention blocks, a head for training) is trained in full, because an adapter of something that says nothing says nothing.
"""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from idiff.checks import check_number
from idiff.errors import CheckpointError, ConfigError, unknown
from idiff.models.backbone import LatentDiffusion
from idiff.models.unet import UNET

ADAPTER = ".lora_"
"""What marks the weights of adapters."""


@dataclass
class Lora:
    """Adapters of rank `rank`: the update of a weight W (O, I) is alpha / rank * B A, with A (rank, I) and B (O, rank).

    Attributes:
        rank: at least 1.
        alpha: factor of the update times `rank`; larger than 0.
        targets: endings of the names of the linear layers and convolutions in the U-Net that get one.

    Raises:
        ConfigError: a number out of range, or no target.
    """

    rank: int = 8
    alpha: float = 8.0
    targets: list[str] = field(default_factory=lambda: ["to_q", "to_k", "to_v", "to_out.0"])

    def __post_init__(self) -> None:
        check_number("lora.rank", self.rank, least=1, whole=True)
        check_number("lora.alpha", self.alpha, above=0)
        if not self.targets:
            raise ConfigError("lora.targets is empty: expected endings of the names of layers, such as to_q.")


def adapt(backbone: LatentDiffusion, lora: Lora) -> list[str]:
    """Add adapters to a model that has loaded weights, and train them and what is new alone. In place.

    Args:
        backbone: its `provenance` says what is new.
        lora: the adapters.

    Returns:
        names of the adapted layers in the U-Net.

    Raises:
        ConfigError: peft is missing, nothing was loaded, or a target is not a layer of the U-Net.
    """
    record = backbone.provenance
    if not record.sources:
        raise ConfigError(
            "lora adapts trained weights and this model has none: set model.init_from to a checkpoint or an exported "
            "folder (or backbone.unet_weights)"
        )
    fresh = record.fresh
    layers = chosen(backbone.unet, lora.targets, leave={key.removeprefix(UNET) for key in fresh})
    attach(backbone.unet, lora, layers=layers)
    for name, parameter in backbone.named_parameters():
        parameter.requires_grad_(ADAPTER in name or name in fresh)
    sizes = {name: p.numel() for name, p in backbone.named_parameters() if p.requires_grad}
    adapters = sum(size for name, size in sizes.items() if ADAPTER in name)
    full = sum(sizes.values()) - adapters
    record.said.append(
        f"LoRA of rank {lora.rank} on {len(layers)} layers: {adapters:,} weights of adapters are trained"
        + (f", and {full:,} that are new, in full" if full else "")
        + "; all others stay as they were loaded"
    )
    return layers


def chosen(unet: nn.Module, targets: Iterable[str], *, leave: set[str]) -> list[str]:
    """Names of the layers that targets name.

    Args:
        unet: without adapters.
        targets: a layer is named by an ending of its name, whole words between dots.
        leave: weights of layers that are passed over.

    Raises:
        ConfigError: a target names no linear layer or convolution, or only layers that are passed over.
    """
    layers = {name for name, module in unet.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)}
    found: list[str] = []
    for target in targets:
        named = sorted(name for name in layers if name == target or name.endswith(f".{target}"))
        if not named:
            known = {
                name.rpartition(".")[2] if not name[-1].isdigit() else ".".join(name.split(".")[-2:]) for name in layers
            }
            raise unknown("target of lora", target, known)
        found += [name for name in named if f"{name}.weight" not in leave and name not in found]
    if not found:
        raise ConfigError(f"lora.targets {list(targets)} name new layers alone, which are trained in full: name others")
    return found


def attach(unet: Any, lora: Lora, *, layers: list[str]) -> None:
    """Put adapters on layers; A is random, B zero: what the U-Net computes is unchanged at first. In place.

    Raises:
        ConfigError: peft is missing.
    """
    if importlib.util.find_spec("peft") is None:
        raise ConfigError("lora needs the package peft, which is not installed: pip install 'idiff[lora]'")
    from peft import LoraConfig

    unet.add_adapter(LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules=layers, lora_dropout=0.0))


def has_adapters(module: nn.Module) -> bool:
    """Whether adapters were attached."""
    return any(ADAPTER in name for name, _ in module.named_parameters())


def merge(unet: Any) -> None:
    """Add the adapters to the weights and take them away: an ordinary U-Net again. In place."""
    unet.fuse_lora()
    unet.unload_lora()


def merged_copy(net: Any) -> Any:
    """A copy without adapters, what they learnt merged into the weights; the network stays as it is."""
    made = copy.deepcopy(net)
    if has_adapters(made):
        merge(made)
    return made


def put(unet: Any, adapters: dict[str, Tensor], *, lora: Lora, layers: list[str], origin: str) -> None:
    """Put stored adapters on the weights they were trained on, and merge them. In place.

    Args:
        unet: with those weights.
        adapters: their weights, keys as in `LatentDiffusion.state_dict`.
        lora: their settings.
        layers: what they sit on.
        origin: names the checkpoint.

    Raises:
        CheckpointError: adapters are missing, left over or of another shape.
        ConfigError: peft is missing.
    """
    attach(unet, lora, layers=layers)
    given = {key.removeprefix(UNET): value for key, value in adapters.items()}
    wanted = {key: value.shape for key, value in unet.state_dict().items() if ADAPTER in key}
    wrong = sorted(set(wanted) ^ set(given)) or sorted(key for key in wanted if wanted[key] != given[key].shape)
    if wrong:
        raise CheckpointError(
            f"{origin}: {len(wrong)} weights of adapters are missing, left over or of another shape ({', '.join(wrong[:3])}). "
            "Use another checkpoint of the run."
        )
    unet.load_state_dict(given, strict=False)
    merge(unet)
