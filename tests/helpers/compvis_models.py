"""Small models of the architecture of Stable Diffusion 1.5, which CompVis files can hold: 32 groups, attention."""

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from idiff.models.autoencoder import Autoencoder
from idiff.models.backbone import LatentDiffusion
from idiff.models.objective import Objective
from idiff.models.text import TextEncoder, builtin_tokenizer

VAE = {
    "sample_size": 64,
    "latent_channels": 4,
    "block_out_channels": [32, 32, 64],
    "down_block_types": ["DownEncoderBlock2D"] * 3,
    "up_block_types": ["UpDecoderBlock2D"] * 3,
    "layers_per_block": 2,
    "scaling_factor": 0.18215,
}
UNET = {
    "sample_size": 16,
    "block_out_channels": [32, 64, 64],
    "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
    "layers_per_block": 2,
    "attention_head_dim": 4,
    "cross_attention_dim": 32,
}
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 77,
    "hidden_act": "quick_gelu",
}


def write_parts(folder, *, channels=8, unet=UNET, vae=VAE, seed=0):
    """A folder in the hub's layout with random weights."""
    from transformers import CLIPTokenizer

    torch.manual_seed(seed)
    tokenizer = CLIPTokenizer.from_pretrained(builtin_tokenizer())
    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    UNet2DConditionModel(**unet, in_channels=channels, out_channels=4).save_pretrained(folder / "unet")
    AutoencoderKL(**vae).save_pretrained(folder / "vae")
    CLIPTextModel(CLIPTextConfig(vocab_size=len(tokenizer), **TEXT, **ids)).save_pretrained(folder / "text_encoder")
    tokenizer.save_pretrained(folder / "tokenizer")
    return folder


def small_sd(folder, *, with_source=True, **objective):
    """The model of such a folder."""
    parts = str(write_parts(folder, channels=8 if with_source else 4))
    return LatentDiffusion(
        autoencoder=Autoencoder(weights=parts), text=TextEncoder(weights=parts), unet_weights=parts, with_source=with_source,
        objective=Objective(**{"rule": "instructpix2pix"} | objective),
    ).eval()  # fmt: skip
