"""Every key of a file is accounted for: which part it is of, what became of it, or why it was left out."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

from idiff.errors import CheckpointError
from idiff.models.io.importing.held import UNET, Held

VAE, TEXT = "first_stage_model.", "cond_stage_model.transformer."
PREFIXES = {"unet": UNET, "vae": VAE, "text_encoder": TEXT}
"""Part of a model -> what its keys begin with in CompVis' names."""

_SCHEDULE = (
    r"betas|alphas_cumprod(_prev)?|(sqrt|log)_one_minus_alphas_cumprod|sqrt_alphas_cumprod|sqrt_recipm?1?_alphas_cumprod|"
    r"posterior_(variance|log_variance_clipped|mean_coef[12])|lvlb_weights|ddim_\w+"
)
LEFT_OUT = {
    _SCHEDULE: "the noise schedule, which is computed",
    r"logvar|scale_factor|cond_ids|global_step|model\.logvar": "no weight of a part",
    r"(cond_stage_model\.)?(model\.)?(transformer\.)?logit_scale": "a temperature of CLIP's training",
    r"first_stage_model\.loss\..+": "a loss of the autoencoder's training",
    r"cond_stage_model\.transformer\.(text_model\.)?embeddings\.position_ids": "a counter, which is computed",
    r"cond_stage_model\.transformer\.(vision_model\..+|(visual|text)_projection\.weight)": "a part of CLIP that paints nothing",
}
"""Patterns of keys that no part needs -> why they are left out."""

_INSIDE = (
    r"in_layers\.[02]|emb_layers\.1|out_layers\.[03]|skip_connection|op|conv|norm|proj_in|proj_out|"
    r"transformer_blocks\.\d+\.(norm[123]|attn[12]\.(to_[qkv]|to_out\.0)|ff\.net\.(0\.proj|2))"
)
_BLOCK, _ATTENTION = r"norm[12]|conv[12]|nin_shortcut", r"norm|q|k|v|proj_out"
NAMES = {
    "unet": r"(time_embed\.[02]|out\.[02]|input_blocks\.0\.0|"
    rf"((in|out)put_blocks\.\d+|middle_block)\.\d\.({_INSIDE}))\.(weight|bias)",
    "vae": r"(quant_conv|post_quant_conv|(encoder|decoder)\.(conv_in|conv_out|norm_out|"
    rf"mid\.(block_[12]\.({_BLOCK})|attn_1\.({_ATTENTION}))|"
    rf"(down|up)\.\d+\.(block\.\d+\.({_BLOCK})|attn\.\d+\.({_ATTENTION})|(down|up)sample\.conv)))\.(weight|bias)",
    "text_encoder": r"(text_model\.)?(embeddings\.(token|position)_embedding\.weight|(final_layer_norm|"
    r"encoder\.layers\.\d+\.(layer_norm[12]|self_attn\.(q|k|v|out)_proj|mlp\.fc[12]))\.(weight|bias))",
}
"""Part -> what its keys look like after the prefix."""

SCALE_KEY = "scale_factor"
Fate = Literal["loaded", "converted", "left out"]


@dataclass(slots=True)
class KeyReport:
    """What became of each key.

    Attributes:
        rows: `{"key", "fate", "to" or "why"}`, one a key.
        said: the summary, one line each.
    """

    rows: list[dict[str, str]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def loaded(self, key: str, to: str) -> None:
        """A weight that was taken as it is."""
        self.rows.append({"key": key, "fate": "loaded", "to": to})

    def converted(self, key: str, to: str, why: str) -> None:
        """A weight whose values or shape were changed."""
        self.rows.append({"key": key, "fate": "converted", "to": to, "why": why})

    def left_out(self, key: str, why: str) -> None:
        """A key that nothing was taken of."""
        self.rows.append({"key": key, "fate": "left out", "why": why})

    def summary(self) -> list[str]:
        """Lines for the terminal: how many keys, and why some were left out."""
        fates = Counter(row["fate"] for row in self.rows)
        lines = [", ".join(f"{fates[fate]:,} keys {fate}" for fate in ("loaded", "converted", "left out"))]
        reasons = Counter(row["why"] for row in self.rows if row["fate"] == "left out")
        lines += [f"left out, {count:,}: {why}" for why, count in reasons.most_common()]
        return [*self.said, *lines]

    def plain(self) -> dict[str, Any]:
        """The whole report as plain values."""
        return {"summary": self.summary(), "keys": self.rows}


def sort_keys(held: Held, report: KeyReport) -> dict[str, dict[str, Any]]:
    """Tell the tensors of a file apart by part, and note what no part needs.

    Returns:
        part -> tensors by their whole names.

    Raises:
        CheckpointError: a key is of no part, or a part has no keys.
    """
    parts: dict[str, dict[str, Any]] = {part: {} for part in PREFIXES}
    foreign = []
    for key, tensor in held.tensors.items():
        why = next((why for pattern, why in LEFT_OUT.items() if re.fullmatch(pattern, key)), None)
        part = next((part for part, prefix in PREFIXES.items() if key.startswith(prefix)), None)
        if why is not None:
            report.left_out(key, why)
        elif part is not None and re.fullmatch(NAMES[part], key.removeprefix(PREFIXES[part])):
            parts[part][key] = tensor
        else:
            foreign.append(key)
    for key, why in held.left_out.items():
        report.left_out(key, why)
    empty = ", ".join(PREFIXES[part].rstrip(".") for part, tensors in parts.items() if not tensors)
    if any(key.startswith("cond_stage_model.model.") for key in foreign):
        raise CheckpointError(
            f"{held.file} holds an OpenCLIP text encoder (cond_stage_model.model.), as Stable Diffusion 2 has it: expected Stable "
            "Diffusion 1's CLIP. Use a model of the Stable Diffusion 1 family."
        )
    if foreign:
        also = f"; it has no key of {empty}" if empty else ""
        raise CheckpointError(
            f"{held.file} holds {len(foreign)} keys that no part of Stable Diffusion 1 has ({', '.join(foreign[:3])}){also}. They "
            "were renamed or prefixed, or it is another model: get the original file."
        )
    if empty:
        raise CheckpointError(
            f"{held.file} holds no keys of {empty}: expected a whole model, with U-Net, autoencoder and text encoder."
        )
    return parts


def scale_of(held: Held, default: float) -> float:
    """The autoencoder's scale: the file's own, where it was measured in training, or the default."""
    value = held.tensors.get(SCALE_KEY)
    return default if value is None or value.numel() != 1 else float(value)
