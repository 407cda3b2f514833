"""Weights from the Hugging Face hub, where the network was asked for."""

from __future__ import annotations

from pathlib import Path

from idiff.errors import CheckpointError, FetchError
from idiff.models.io.importing.vocabulary import HUB

PATTERNS = ["model_index.json", "idiff.json", "unet/*", "vae/*", "text_encoder/*", "tokenizer/*", "scheduler/*"]
"""What is loaded of a repository in diffusers' layout."""


def from_hub(name: str) -> Path:
    """Load a model from the hub into its cache.

    Args:
        name: `OWNER/NAME` of a repository in diffusers' layout, or `OWNER/NAME/FILE` of a single file in one.

    Returns:
        the local folder or file.

    Raises:
        CheckpointError: no such name.
        FetchError: the hub cannot be reached, or refuses.
    """
    owner, _, rest = name.partition("/")
    repository, _, file = rest.partition("/")
    if not owner or not repository:
        raise CheckpointError(f"--hub {name}: expected OWNER/NAME, or OWNER/NAME/FILE for a single file.")
    repository = f"{owner}/{repository}"
    if file:
        return Path(_fetched(repository, file=file))
    return Path(_fetched(repository, patterns=PATTERNS))


def tokenizer_from_hub() -> str:
    """Load CLIP's tokenizer (MIT) from the hub into its cache; its folder.

    Raises:
        FetchError: the hub cannot be reached.
    """
    return _fetched(HUB, patterns=["vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"])


def _fetched(repository: str, *, file: str | None = None, patterns: list[str] | None = None) -> str:
    from huggingface_hub import hf_hub_download, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        if file is not None:
            return str(hf_hub_download(repository, file))
        return str(snapshot_download(repository, allow_patterns=patterns))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = " ".join(str(error).split())[:160]
        raise FetchError(
            f"{repository} cannot be loaded from the hub: {reason}. Check the name and the network."
        ) from None
