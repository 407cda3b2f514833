"""Write several new files of a person's, all or none, and never over one that is there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from idiff.errors import ConfigError
from idiff.utils.files import write_atomic


def write_new(folder: Path, files: Mapping[str, str]) -> list[Path]:
    """Write the files that are not there yet.

    Args:
        folder: made where it is missing.
        files: path in the folder -> text.

    Returns:
        what was written; files that are there with the same text are left out.

    Raises:
        ConfigError: a file of another text is there, and then nothing is written; or the folder cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file: expected a folder, new or not. Choose another name.")
    paths = {folder / name: text for name, text in files.items()}
    kept = [path for path, text in paths.items() if _there(path) and not _holds(path, text)]
    if kept:
        more = f" and {len(kept) - 3} more" if len(kept) > 3 else ""
        raise ConfigError(
            f"{', '.join(map(str, kept[:3]))}{more}: there already, with other content. Nothing was written; move it away, "
            "or choose another folder or name."
        )
    left = [path for path in paths if not _there(path)]
    for path in left:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{path.parent} cannot be made: {error.strerror}. Choose another folder.") from None
        write_atomic(path, paths[path], error=ConfigError)
    return left


def _there(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _holds(path: Path, text: str) -> bool:
    try:
        return path.read_text(encoding="utf-8") == text
    except (OSError, ValueError):
        return False
