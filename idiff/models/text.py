"""The text encoder: prompts to the states that the U-Net attends to. transformers' CLIP text model and tokenizer."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from idiff.errors import CheckpointError
from idiff.models.attention import quick_on_cpu
from idiff.models.io.folders import folder_sha256, subfolder
from idiff.models.network import build_network, in_float, load_network, quiet
from idiff.utils.foreign import decoding
from idiff.utils.settings import WEIGHTS

log = logging.getLogger(__name__)

KEPT = 256
"""Prompts whose states a frozen encoder keeps (60 MB with CLIP's 77 x 768)."""


def builtin_tokenizer() -> Path:
    """Folder of the byte-pair tokenizer that comes with the package."""
    return Path(str(files("idiff") / "assets" / "tokenizer"))


def _tokenizer(folder: Path) -> Any:
    with decoding(lambda reason: CheckpointError(f"the tokenizer in {folder} cannot be read: {reason}. Get it again.")):
        return CLIPTokenizer.from_pretrained(folder, local_files_only=True)


class TextEncoder(nn.Module):
    """Prompts to hidden states (B, 77, C): the last layer's, normalised, padding included, as Stable Diffusion 1.5 uses them.

    Args:
        config: arguments of `transformers.CLIPTextConfig`, for an encoder that is trained with the U-Net. The vocabulary
            and the special tokens are the tokenizer's.
        weights: folder in the hub's layout (`text_encoder/` and `tokenizer/` inside, or the encoder's own); frozen.
            Just one of the two is given.
        tokenizer: folder of a CLIP tokenizer; None: beside the weights, else the package's own.
    """

    def __init__(
        self,
        *,
        config: dict[str, Any] | None = None,
        weights: Annotated[str | None, WEIGHTS] = None,
        tokenizer: str | None = None,
    ) -> None:
        super().__init__()
        if (config is None) == (weights is None):
            raise CheckpointError(
                "a text encoder needs either config (trained with the U-Net) or weights (a folder; kept frozen): got "
                + ("neither." if config is None else "both.")
            )
        self.reference: dict[str, str] | None = None
        self.tokenizer_folder = tokenizer
        if weights is not None:
            folder = subfolder(weights, "text_encoder")
            self.tokenizer = _tokenizer(subfolder(tokenizer or weights, "tokenizer"))
            self.net = load_network(CLIPTextModel, folder, part="text encoder", dtype=torch.float32)
            self.reference = {"path": str(Path(weights)), "sha256": folder_sha256(folder)}
        else:
            self.tokenizer = _tokenizer(subfolder(tokenizer or builtin_tokenizer(), "tokenizer"))
            ids = {"bos_token_id": self.tokenizer.bos_token_id, "eos_token_id": self.tokenizer.eos_token_id}
            given = {
                "vocab_size": len(self.tokenizer),
                "pad_token_id": self.tokenizer.pad_token_id,
                **ids,
                **(config or {}),
            }
            described = build_network(CLIPTextConfig, given, part="text encoder")
            self.net = build_network(CLIPTextModel, {"config": described}, part="text encoder")
        self.truncated = 0
        self._kept: OrderedDict[str, Tensor] = OrderedDict()
        self._kept_of: list[tuple[int, int]] = []

    @property
    def length(self) -> int:
        """Tokens a prompt is padded or cut to (77 for CLIP)."""
        return int(self.net.config.max_position_embeddings)

    @property
    def width(self) -> int:
        """Channels D of the hidden states."""
        return int(self.net.config.hidden_size)

    def describe(self) -> dict[str, Any]:
        """Plain values to build it again: frozen weights by path and SHA-256, or the config of a trained one."""
        if self.reference is not None:
            return {"weights": self.reference, "tokenizer": self.tokenizer_folder}
        keys = (
            "hidden_size",
            "intermediate_size",
            "num_hidden_layers",
            "num_attention_heads",
            "max_position_embeddings",
        )
        config = {key: getattr(self.net.config, key) for key in keys}
        return {"config": {**config, "hidden_act": self.net.config.hidden_act}, "tokenizer": self.tokenizer_folder}

    @quiet()
    def save(self, folder: str | Path) -> None:
        """Write encoder and tokenizer in the hub's layout: `text_encoder/` and `tokenizer/` in the folder."""
        self.net.save_pretrained(Path(folder) / "text_encoder")
        self.tokenizer.save_pretrained(Path(folder) / "tokenizer")

    def tokenize(self, prompts: Sequence[str]) -> Tensor:
        """Token ids (B, 77). Prompts that are too long are cut; `truncated` counts them and the first one is logged."""
        full = self.tokenizer(list(prompts), padding="max_length", max_length=self.length)["input_ids"]
        for prompt, ids in zip(prompts, full, strict=True):
            if len(ids) > self.length:
                if self.truncated == 0:
                    log.warning("a prompt of %d tokens was cut to %d: %.80s", len(ids), self.length, prompt)
                self.truncated += 1
        cut = [
            ids if len(ids) <= self.length else [*ids[: self.length - 1], self.tokenizer.eos_token_id] for ids in full
        ]
        return torch.tensor(cut, dtype=torch.long)

    def pooled(self, texts: Sequence[str]) -> Tensor:
        """One vector (B, C) a text: the state of its last token, as CLIP has it."""
        vectors: Tensor = self.net(self.tokenize(texts).to(self.net.device)).pooler_output
        return vectors

    def forward(self, prompts: Sequence[str]) -> Tensor:
        """Hidden states (B, 77, C) of the prompts. Equal prompts are encoded once."""
        distinct = list(dict.fromkeys(prompts))
        tokens = self.tokenize(distinct).to(self.net.device)
        with quick_on_cpu(tokens):
            states = in_float(self.net, self.net(tokens).last_hidden_state)
        if len(distinct) == len(prompts):
            return states
        place = {prompt: row for row, prompt in enumerate(distinct)}
        return states[torch.tensor([place[prompt] for prompt in prompts], device=states.device)]

    @torch.no_grad()
    def states(self, prompts: Sequence[str]) -> Tensor:
        """Hidden states (B, 77, C) for sampling: a frozen encoder encodes each distinct prompt once and keeps the last `KEPT`.

        Each is encoded on its own, so that its states do not hang on the prompts that came with it or before it, to the last bit.
        An encoder that is trained keeps nothing.
        """
        if self.reference is None or self.training or next(self.net.parameters()).requires_grad:
            states: Tensor = self(prompts)
            return states
        weights = [(parameter.data_ptr(), parameter._version) for parameter in self.net.parameters()]
        if weights != self._kept_of:  # loaded, moved or converted since
            self.forget()
            self._kept_of = weights
        found: dict[str, Tensor] = {}
        for prompt in dict.fromkeys(prompts):
            found[prompt] = self._kept.pop(prompt) if prompt in self._kept else self([prompt])[0]
        self._kept.update(found)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return torch.stack([found[prompt] for prompt in prompts])

    def forget(self) -> None:
        """Drop the states that `states` keeps."""
        self._kept.clear()
