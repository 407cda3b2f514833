"""Write a model as one CompVis file, the kind that the authors of InstructDiffusion publish and their tools read.

model.ckpt     {"state_dict": weights}: U-Net, autoencoder and text encoder under CompVis names, 8 input channels
config.yaml    the architecture as those tools write it, with key names of `ldm`
tokenizer/     which no such file holds
README.md      model card, where there is one
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from idiff.errors import CheckpointError
from idiff.models.backbone import LatentDiffusion
from idiff.models.io.compvis_keys import text_keys, unet_keys, vae_keys
from idiff.models.lora import merged_copy
from idiff.utils.files import whole_folder

FILE = "model.ckpt"


def write_compvis(
    backbone: LatentDiffusion, folder: str | Path, *, step: int = 0, half: bool = False, card: str | None = None
) -> Path:
    """Write a model as a CompVis file. The folder appears whole or not at all.

    The file has no place for the guidance rule and the presets: whoever reads it has to say of which family it is.

    Args:
        backbone: with the weights that are to be used; adapters are merged in what is written.
        folder: must not exist yet, or be empty.
        step: optimizer steps taken.
        half: weights in float16.
        card: text of README.md.

    Raises:
        CheckpointError: the folder cannot be written, or such files cannot express the model.
    """
    objective = backbone.objective
    odd = {
        "objective.residual (the source is added to what the U-Net says)": objective.residual,
        f"objective.prediction '{objective.prediction}'": objective.prediction != "epsilon",
        "objective.zero_terminal_snr": objective.zero_terminal_snr,
    }
    if any(odd.values()):
        raise CheckpointError(
            f"this model has {', '.join(name for name, there in odd.items() if there)}, which the tools that read CompVis files do "
            "not know: export it with --format diffusers or safetensors."
        )
    target, dtype = Path(folder), torch.float16 if half else torch.float32
    unet, vae, text = merged_copy(backbone.unet), backbone.autoencoder.net, backbone.text.net
    state = unet_keys(unet.state_dict(), unet.config)
    state |= vae_keys(vae.state_dict(), vae.config) | text_keys(text.state_dict())
    content = {"state_dict": {key: _stored(value, dtype) for key, value in state.items()}, "global_step": step}
    with whole_folder(target, error=CheckpointError) as staged:
        torch.save(content, staged / FILE)
        described = yaml.safe_dump(ldm_config(backbone), sort_keys=False)
        (staged / "config.yaml").write_text(described, encoding="utf-8")
        backbone.text.tokenizer.save_pretrained(staged / "tokenizer")
        if card is not None:
            (staged / "README.md").write_text(card, encoding="utf-8")
    return target


def _stored(value: Tensor, dtype: torch.dtype) -> Tensor:
    value = value.detach().cpu().contiguous()
    return value.to(dtype) if value.is_floating_point() else value


def ldm_config(backbone: LatentDiffusion) -> dict[str, Any]:
    """The architecture as a configuration of latent-diffusion; diffusers reads it as `original_config`."""
    unet, vae, schedule = backbone.unet.config, backbone.autoencoder.net.config, backbone.schedule
    widths, base = list(unet.block_out_channels), unet.block_out_channels[0]
    attended = [2**i for i, kind in enumerate(unet.down_block_types) if kind == "CrossAttnDownBlock2D"]
    size = _cells(backbone.unet)
    network = {
        "image_size": size,
        "in_channels": unet.in_channels,
        "out_channels": unet.out_channels,
        "model_channels": base,
        "attention_resolutions": attended,
        "num_res_blocks": unet.layers_per_block,
        "channel_mult": [each // base for each in widths],
        "num_heads": unet.attention_head_dim,
        "use_spatial_transformer": True,
        "transformer_depth": unet.transformer_layers_per_block,
        "context_dim": unet.cross_attention_dim,
        "use_checkpoint": True,
        "legacy": False,
    } | ({"use_linear_in_transformer": True} if unet.use_linear_projection else {})
    first = {
        "embed_dim": vae.latent_channels,
        "monitor": "val/rec_loss",
        "ddconfig": {
            "double_z": True,
            "z_channels": vae.latent_channels,
            "resolution": vae.sample_size,
            "in_channels": vae.in_channels,
            "out_ch": vae.out_channels,
            "ch": vae.block_out_channels[0],
            "ch_mult": [each // vae.block_out_channels[0] for each in vae.block_out_channels],
            "num_res_blocks": vae.layers_per_block,
            "attn_resolutions": [],
            "dropout": 0.0,
        },
        "lossconfig": {"target": "torch.nn.Identity"},
    }
    return {
        "model": {
            "base_learning_rate": 1.0e-4,
            "target": "ldm.models.diffusion.ddpm_edit.LatentDiffusion"
            if backbone.with_source
            else "ldm.models.diffusion.ddpm.LatentDiffusion",
            "params": {
                "linear_start": schedule.beta_start,
                "linear_end": schedule.beta_end,
                "timesteps": schedule.num_train_timesteps,
                "first_stage_key": "edited" if backbone.with_source else "jpg",
                "cond_stage_key": "edit" if backbone.with_source else "txt",
                "image_size": size,
                "channels": unet.out_channels,
                "conditioning_key": "hybrid" if backbone.with_source else "crossattn",
                "scale_factor": backbone.autoencoder.scale,
                "use_ema": False,
                "unet_config": {"target": "ldm.modules.diffusionmodules.openaimodel.UNetModel", "params": network},
                "first_stage_config": {"target": "ldm.models.autoencoder.AutoencoderKL", "params": first},
                "cond_stage_config": {"target": "ldm.modules.encoders.modules.FrozenCLIPEmbedder"},
            },
        }
    }


def _cells(unet: Any) -> int:
    """Latent cells of a side that the U-Net was made for; 64 where it does not say."""
    cells: Any = unet.config.sample_size
    return cells if isinstance(cells, int) else 64
