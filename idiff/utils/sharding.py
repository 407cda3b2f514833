"""Weights that are sharded over ranks (FSDP2, `fully_shard`): each holds a part of every tensor."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from idiff.errors import ConfigError


def shard_unet(module: nn.Module, unet: nn.Module, mesh: DeviceMesh) -> None:
    """Shard a U-Net block by block over the ranks of a mesh; done once.

    Args:
        module: all of the model.
        unet: the part of it that is trained.
        mesh: with a dimension `data_parallel`, as Lightning's `ModelParallelStrategy` makes it.

    Raises:
        ConfigError: more than the U-Net is trained, or the mesh splits tensors, too.
    """
    if isinstance(unet, FSDPModule):
        return
    inside = {id(p) for p in unet.parameters()}
    others = [name for name, p in module.named_parameters() if p.requires_grad and id(p) not in inside]
    if others:
        raise ConfigError(
            f"trainer.strategy: ModelParallelStrategy shards the U-Net, and {len(others)} other weights are trained, such as "
            f"{others[0]}. Use strategy ddp, or a model whose text encoder is frozen."
        )
    if mesh.size() != mesh["data_parallel"].size():
        raise ConfigError(
            "trainer.strategy: ModelParallelStrategy with tensor_parallel_size above 1 is not supported: set "
            "tensor_parallel_size: 1 and data_parallel_size to the number of ranks."
        )
    for parameter in unet.parameters():
        parameter.data = parameter.data.contiguous()  # `fully_shard` takes no other layout
    for name in ("down_blocks", "mid_block", "up_blocks"):
        part = getattr(unet, name)
        for block in part if isinstance(part, nn.ModuleList) else [part]:
            fully_shard(block, mesh=mesh["data_parallel"])
    fully_shard(
        unet, mesh=mesh["data_parallel"], reshard_after_forward=True
    )  # what is averaged and saved is always sharded


def unsharded(value: Tensor) -> Tensor:
    """The whole of a tensor; where it is sharded, all ranks must call it."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def as_sharded(value: Tensor, like: Tensor) -> Tensor:
    """A tensor on the device of another one, and sharded as that one is."""
    if not isinstance(like, DTensor) or isinstance(value, DTensor):
        return value.to(like.device)
    with torch.no_grad():
        return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)
