"""Small random models in the layouts of files that people hold, with key names written down from latent-diffusion's own modules."""

import re
from collections import OrderedDict

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from idiff.models.io.importing.vocabulary import write_tokenizer

MERGES = ["t h", "th e</w>", "r e", "re d</w>", "s t", "a r</w>", "st ar</w>"]
WIDTHS = (32, 64, 64)
UNET_CONFIG = {
    "block_out_channels": WIDTHS,
    "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    "layers_per_block": 2,
    "cross_attention_dim": 64,
    "attention_head_dim": 8,
    "sample_size": 8,
}
VAE_CONFIG = {
    "block_out_channels": (32, 32, 64, 64),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
}
LEVELS, LAYERS = len(WIDTHS), 2

RESNET = ("in_layers.0", "in_layers.2", "emb_layers.1", "out_layers.0", "out_layers.3", "skip_connection")
RESNET_THERE = ("norm1", "conv1", "time_emb_proj", "norm2", "conv2", "conv_shortcut")


class Models:
    """U-Net, autoencoder and text encoder with random weights, and their tokenizer's folder."""

    def __init__(self, folder, *, channels=8, seed=0):
        torch.manual_seed(seed)
        self.unet = UNet2DConditionModel(in_channels=channels, **UNET_CONFIG).eval()
        self.vae = AutoencoderKL(**VAE_CONFIG).eval()
        self.tokenizer = write_tokenizer(MERGES, folder / "tokenizer")
        tokens = 512 + len(MERGES) + 2
        self.text = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=tokens, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=1,
                bos_token_id=tokens - 2, eos_token_id=tokens - 1, pad_token_id=tokens - 1,
            )
        ).eval()  # fmt: skip
        for net in (self.unet, self.vae, self.text):
            for parameter in net.parameters():
                parameter.data.add_(0.02 * torch.randn_like(parameter))

    def compvis(self):
        """All weights in CompVis' names."""
        unet = {
            "model.diffusion_model." + unet_name(key): value.clone() for key, value in self.unet.state_dict().items()
        }
        vae = {
            "first_stage_model." + vae_name(key): as_there(key, value) for key, value in self.vae.state_dict().items()
        }
        text = {
            "cond_stage_model.transformer.text_model." + key.removeprefix("text_model."): value.clone()
            for key, value in self.text.state_dict().items()
        }
        return unet | vae | text

    def folder(self, path, **options):
        """A folder in diffusers' layout, without an index."""
        self.unet.save_pretrained(path / "unet", **options)
        self.vae.save_pretrained(path / "vae", **options)
        self.text.save_pretrained(path / "text_encoder")
        (path / "tokenizer").mkdir()
        for file in self.tokenizer.iterdir():
            (path / "tokenizer" / file.name).write_bytes(file.read_bytes())
        return path


def unet_name(key):
    """A weight's name in latent-diffusion's UNetModel."""
    if match := re.fullmatch(r"time_embedding\.linear_(\d)\.(\w+)", key):
        return f"time_embed.{0 if match[1] == '1' else 2}.{match[2]}"
    for there, here in (("conv_in", "input_blocks.0.0"), ("conv_norm_out", "out.0"), ("conv_out", "out.2")):
        if key.startswith(there + "."):
            return key.replace(there, here, 1)
    for there, here in zip(RESNET_THERE, RESNET, strict=True):
        key = re.sub(rf"(resnets\.\d+)\.{there}\.", rf"\1.{here}.", key)
    key = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"middle_block.{2 * int(m[1])}", key)
    key = key.replace("mid_block.attentions.0", "middle_block.1")
    key = re.sub(r"down_blocks\.(\d)\.resnets\.(\d)", lambda m: f"input_blocks.{3 * int(m[1]) + int(m[2]) + 1}.0", key)
    key = re.sub(
        r"down_blocks\.(\d)\.attentions\.(\d)", lambda m: f"input_blocks.{3 * int(m[1]) + int(m[2]) + 1}.1", key
    )
    key = re.sub(r"down_blocks\.(\d)\.downsamplers\.0\.conv", lambda m: f"input_blocks.{3 * int(m[1]) + 3}.0.op", key)
    key = re.sub(r"up_blocks\.(\d)\.resnets\.(\d)", lambda m: f"output_blocks.{3 * int(m[1]) + int(m[2])}.0", key)
    key = re.sub(r"up_blocks\.(\d)\.attentions\.(\d)", lambda m: f"output_blocks.{3 * int(m[1]) + int(m[2])}.1", key)
    # the deepest level has no attention: its upsampling is the second module of its last block
    return re.sub(
        r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"output_blocks.{3 * int(m[1]) + 2}.{1 if m[1] == '0' else 2}", key
    )


def vae_name(key):
    """A weight's name in latent-diffusion's AutoencoderKL."""
    key = key.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
    key = key.replace("mid_block.resnets.0", "mid.block_1").replace("mid_block.resnets.1", "mid.block_2")
    key = key.replace("mid_block.attentions.0", "mid.attn_1")
    for there, here in (("group_norm", "norm"), ("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "proj_out")):
        key = key.replace(f"attn_1.{there}.", f"attn_1.{here}.")
    key = re.sub(r"down_blocks\.(\d)\.resnets", r"down.\1.block", key)
    key = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", key)
    key = re.sub(r"up_blocks\.(\d)\.resnets", lambda m: f"up.{3 - int(m[1])}.block", key)
    return re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{3 - int(m[1])}.upsample", key)


def as_there(key, value):
    """Attention of latent-diffusion's autoencoder is made of 1 x 1 convolutions."""
    linear = "mid_block.attentions.0.to_" in key and key.endswith("weight")
    return value[:, :, None, None].clone() if linear else value.clone()


def buffers():
    """What else a whole file holds besides weights."""
    schedule = ("betas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_alphas_cumprod", "sqrt_one_minus_alphas_cumprod",
                "log_one_minus_alphas_cumprod", "sqrt_recip_alphas_cumprod", "sqrt_recipm1_alphas_cumprod", "posterior_variance",
                "posterior_log_variance_clipped", "posterior_mean_coef1", "posterior_mean_coef2")  # fmt: skip
    return {name: torch.rand(1000) for name in schedule} | {
        "cond_stage_model.transformer.text_model.embeddings.position_ids": torch.arange(77)[None],
        "first_stage_model.loss.logvar": torch.zeros(()),
        "first_stage_model.loss.discriminator.main.0.weight": torch.rand(4, 3, 4, 4),
    }


def averages(weights, *, prefix="model_ema.", within="model."):
    """Running averages beside the weights: other values, and no dots in their names."""
    found = {
        prefix + key.removeprefix(within).replace(".", ""): value + 0.01
        for key, value in weights.items()
        if key.startswith("model.diffusion_model.")
    }
    return found | {prefix + "decay": torch.tensor(0.9999), prefix + "num_updates": torch.tensor(7)}


def ordered(values):
    """As modules save themselves."""
    return OrderedDict(values)
