"""`idiff schema`: write JSON Schemas of the configuration files, for editors."""

from __future__ import annotations

import json
from pathlib import Path

from idiff.cli.arguments import WordParser, say


def parser() -> WordParser:
    """Options of `idiff schema`."""
    options = WordParser(prog="idiff schema", description=__doc__)
    options.add_argument(
        "--out", metavar="DIR", default="configs/schema", help="where the files are written; default: configs/schema"
    )
    options.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a file is out of date")
    return options


def schemas() -> dict[str, str]:
    """File name -> text of every schema."""
    from idiff.config.schema_files import experiment_schema, object_schema, task_schema
    from idiff.curation.quality.features import Features

    found = {
        "experiment.json": experiment_schema(),
        "features.json": object_schema(Features, "A feature extractor for `idiff data filter --features`"),
        "task.json": task_schema(),
    }
    return {name: json.dumps(value, indent=1, ensure_ascii=False) + "\n" for name, value in found.items()}


def run(words: list[str]) -> int:
    """Write the schemas, or compare them.

    Returns:
        the exit code: 1 where a file is not what would be written.

    Raises:
        ConfigError: the folder cannot be written.
    """
    options = parser().parse_args(words)
    out = Path(options.out)
    if options.check:
        old = [str(out / name) for name, text in schemas().items() if not _same(out / name, text)]
        say(f"old or missing: {', '.join(old)}. Run `idiff schema --out {out}`." if old else f"{out} is up to date")
        return 1 if old else 0
    from idiff.errors import ConfigError
    from idiff.utils.files import write_atomic

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{out} cannot be made: {error.strerror}. Give another folder.") from None
    for name, text in schemas().items():
        write_atomic(out / name, text, error=ConfigError)
        say(str(out / name))
    return 0


def _same(file: Path, text: str) -> bool:
    return file.is_file() and file.read_bytes() == text.encode()
