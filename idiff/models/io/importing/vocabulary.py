"""The tokenizer of an imported model. Single files hold none: it is named, installed, beside the file, or asked of the hub."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import json
from pathlib import Path

from transformers import CLIPTokenizer

from idiff.errors import CheckpointError
from idiff.models.io.folders import subfolder

PACKAGES = ("open_clip", "clip")
"""Packages that bring CLIP's vocabulary (MIT): open_clip_torch, and OpenAI's own."""

FILE = "bpe_simple_vocab_16e6.txt.gz"
SHA256 = "924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a"
TOKENS = 49_408
MERGES = TOKENS - 2 * 256 - 2
BEGIN, END = "<|startoftext|>", "<|endoftext|>"
LENGTH = 77
HUB = "openai/clip-vit-large-patch14"
"""The hub's repository of Stable Diffusion 1's text encoder."""


def find_tokenizer(named: str | None, *, file: Path, tokens: int, into: Path) -> tuple[CLIPTokenizer, str]:
    """Find the tokenizer of a text encoder.

    Args:
        named: a folder in the hub's layout, `tokenizer/` inside or its own; None: `tokenizer/` beside the file, else an installed
            package.
        file: the weights.
        tokens: rows of the text encoder's table.
        into: an empty folder for what has to be written first.

    Returns:
        the tokenizer, and where it is from.

    Raises:
        CheckpointError: there is none, or it has another vocabulary.
    """
    beside = file.parent / "tokenizer"
    if named is not None:
        folder, origin = subfolder(named, "tokenizer"), named
    elif (beside / "vocab.json").is_file() or (beside / "tokenizer.json").is_file():
        folder, origin = beside, str(beside)
    elif tokens == TOKENS and (installed := _installed()) is not None:
        folder, origin = write_vocabulary(installed, into), f"{installed} (CLIP's vocabulary, MIT)"
    else:
        public = (
            f"; or `pip install --no-deps open_clip_torch`, which brings CLIP's vocabulary; or --hub, to load {HUB}"
        )
        raise CheckpointError(
            f"{file} holds no tokenizer, as no single file does, and none is guessed: give --tokenizer DIR, the one of {tokens:,} "
            f"tokens that its text encoder was trained with (vocab.json, merges.txt){public if tokens == TOKENS else ''}."
        )
    tokenizer = open_tokenizer(folder)
    if len(tokenizer) != tokens:
        raise CheckpointError(
            f"the tokenizer in {origin} has {len(tokenizer):,} tokens, and token_embedding.weight in {file} {tokens:,} rows: "
            "expected the tokenizer that this text encoder was trained with. Give it as --tokenizer."
        )
    return tokenizer, origin


def open_tokenizer(folder: Path) -> CLIPTokenizer:
    """Load a tokenizer in the hub's layout.

    Raises:
        CheckpointError: it cannot be read.
    """
    try:
        return CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # tokenizers raises no narrower kind
        raise CheckpointError(
            f"the tokenizer in {folder} cannot be read: {' '.join(str(error).split())[:160]}. Get it again."
        ) from None


def _installed() -> Path | None:
    """The vocabulary that an installed package brings; the package is not imported."""
    for name in PACKAGES:
        found = importlib.util.find_spec(name)
        for folder in (found.submodule_search_locations or []) if found is not None else []:
            if (Path(folder) / FILE).is_file():
                return Path(folder) / FILE
    return None


def write_vocabulary(file: Path, folder: Path) -> Path:
    """Write CLIP's byte-pair vocabulary, as its authors publish it, as a tokenizer in the hub's layout.

    Args:
        file: `bpe_simple_vocab_16e6.txt.gz`.
        folder: is made.

    Raises:
        CheckpointError: it is another file.
    """
    packed = file.read_bytes()
    if hashlib.sha256(packed).hexdigest() != SHA256:
        raise CheckpointError(f"{file} is not CLIP's vocabulary: expected SHA-256 {SHA256[:12]}. Give --tokenizer DIR.")
    return write_tokenizer(gzip.decompress(packed).decode("utf-8").split("\n")[1 : MERGES + 1], folder)


def write_tokenizer(merges: list[str], folder: Path) -> Path:
    """Write a byte-pair tokenizer as CLIP numbers its tokens: bytes, bytes at a word's end, merges in order, begin and end.

    Args:
        merges: pairs of tokens with a space between.
        folder: is made.
    """
    letters = _letters()
    words = [
        *letters,
        *(letter + "</w>" for letter in letters),
        *("".join(pair.split()) for pair in merges),
        BEGIN,
        END,
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(
        json.dumps({word: number for number, word in enumerate(words)}, ensure_ascii=False), encoding="utf-8"
    )
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n", encoding="utf-8")
    settings = {
        "tokenizer_class": "CLIPTokenizer", "model_max_length": LENGTH, "bos_token": BEGIN, "eos_token": END,
        "unk_token": END, "pad_token": END,
    }  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
    return folder


def _letters() -> list[str]:
    """The letters that stand for the 256 bytes, printable ones first, as GPT-2 and CLIP order them."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return [chr(byte) for byte in plain] + [chr(256 + number) for number in range(256 - len(plain))]
