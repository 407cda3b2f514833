"""Put an exported model on the Hugging Face hub. Only when asked: nothing else of this package writes to a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from idiff.errors import CheckpointError
from idiff.models.io.compvis_export import FILE
from idiff.models.io.export import read_description
from idiff.models.io.folders import DESCRIPTION
from idiff.utils.files import sha256_file


def check_whole(folder: Path) -> None:
    """Refuse a folder that `idiff export` did not write, or that is not whole any more.

    Raises:
        CheckpointError: what is wrong with it.
    """
    if (folder / FILE).is_file() and not (folder / DESCRIPTION).exists():
        return
    description = read_description(folder)
    if description.get("parts"):
        raise CheckpointError(
            f"{folder} shares {', '.join(description['parts'])} with other folders and is not whole without them: export it "
            f"first (idiff export --checkpoint {folder} --out DIR)."
        )
    for name, wanted in description["sha256"].items():
        if not (folder / name).is_file() or sha256_file(folder / name) != wanted:
            raise CheckpointError(
                f"{folder / name} is missing or not the file that was exported: export the model again."
            )


def push_folder(
    folder: str | Path, repo: str, *, public: bool = False, message: str = "idiff push", api: Any = None
) -> str:
    """Upload an exported folder as a model repository, which is made where it is not there.

    Who is logged in is up to the hub's own client (`hf auth login`, `HF_TOKEN`).

    Args:
        folder: what `idiff export` wrote.
        repo: `owner/name`.
        public: a new repository can be seen by everybody; else by its owner alone.
        message: of the commit.
        api: stands for `huggingface_hub.HfApi()`.

    Returns:
        address of the repository.

    Raises:
        CheckpointError: the folder is not a whole exported model, or the hub refuses.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError

    place = Path(folder)
    check_whole(place)
    api = api or HfApi()
    try:
        made = api.create_repo(repo_id=repo, repo_type="model", private=not public, exist_ok=True)
        api.upload_folder(repo_id=repo, folder_path=str(place), commit_message=message, ignore_patterns=[".*", "**/.*"])
    except (HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, OSError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise CheckpointError(
            f"{place} cannot be pushed to '{repo}': {reason}. Log in with `hf auth login`, and name a "
            "repository of yours as owner/name."
        ) from None
    return str(made)
