"""A small CLIP with random weights, written as the hub's folders are: what tests use in the place of ViT-L/14."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

WIDTH = 12
"""Numbers of its features."""


def write_clip(folder: Path) -> Path:
    """Model, pre-processing and a byte-level tokenizer without merges."""
    from transformers import CLIPConfig, CLIPModel
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    folder.mkdir(parents=True, exist_ok=True)
    characters = [chr(code) for code in range(33, 127)]
    tokens = [*characters, *(f"{one}</w>" for one in characters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CLIPTokenizer"}))
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = sizes | {
        "vocab_size": len(vocabulary), "bos_token_id": len(vocabulary) - 2, "eos_token_id": len(vocabulary) - 1,
        "max_position_embeddings": 32,
    }  # fmt: skip
    torch.manual_seed(0)
    CLIPModel(
        CLIPConfig(text_config=text, vision_config=sizes | {"image_size": 32, "patch_size": 8}, projection_dim=WIDTH)
    ).save_pretrained(folder)
    CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    ).save_pretrained(folder)  # fmt: skip
    return folder


def write_head(file: Path, *, width: int = WIDTH) -> Path:
    """A linear aesthetic predictor on its features."""
    weight = torch.randn(1, width, generator=torch.Generator().manual_seed(2))
    save_file({"linear.weight": weight, "linear.bias": torch.tensor([5.0])}, file)
    return file
