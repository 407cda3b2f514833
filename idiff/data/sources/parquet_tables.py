"""Tables in Parquet files, with images in their cells. An optional extra, `idiff[parquet]`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from idiff.data.sources.base import Stored
from idiff.errors import BadSampleError, ConfigError, DataError
from idiff.utils.foreign import decoding, open_regular


@dataclass(frozen=True, slots=True)
class Cell(Stored):
    """An image in a table: the bytes of its file, alone or as `{"bytes": ..., "path": ...}`.

    Attributes:
        path: of the table.
        name: of the image.
        column: of the table.
        row: in the file.
    """

    path: Path
    name: str
    column: str
    row: int

    def read(self, *, where: str, field: str) -> bytes:
        """The image's bytes. See `Stored`."""
        try:
            value = _cell(self.path, self.column, self.row)
        except (DataError, IndexError) as error:
            raise BadSampleError(where, field, str(error)) from error
        data = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(data, bytes):
            kind = type(data).__name__
            raise BadSampleError(
                where, field, f"column '{self.column}' holds {kind}, expected the bytes of an image file"
            )
        return data


def read_columns(file: Path, columns: Sequence[str]) -> list[dict[str, Any]]:
    """All rows, with some columns.

    Raises:
        ConfigError: pyarrow is not installed.
        DataError: the file cannot be read, or lacks a column.
    """
    table = _open(file, _changed(file))
    there = table.schema_arrow.names
    lacking = [name for name in columns if name not in there]
    if lacking:
        raise DataError(f"{file} has no column {' or '.join(lacking)}: there are {', '.join(there[:20])}.")
    rows: list[dict[str, Any]] = _checked(file, lambda: table.read(columns=list(columns)).to_pylist())
    return rows


def _cell(file: Path, column: str, row: int) -> Any:
    table = _open(file, _changed(file))
    start = 0
    for group in range(table.num_row_groups):
        count = table.metadata.row_group(group).num_rows
        if row < start + count:
            return _group(file, column, group, _changed(file))[row - start].as_py()
        start += count
    raise IndexError(f"{file} has {start:,} rows now")


def _changed(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}.") from error


@lru_cache(maxsize=4)
def _open(file: Path, _changed: int) -> Any:
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise ConfigError(f"{file} is a Parquet file, which needs pyarrow: pip install 'idiff[parquet]'.") from error

    def opened() -> Any:
        with open_regular(file):  # refuses a pipe, which would be waited for
            return ParquetFile(file)

    return _checked(file, opened)


@lru_cache(maxsize=3)
def _group(file: Path, column: str, group: int, changed: int) -> Any:
    """One column of a group of rows; the last three stay in memory, so that samples in order read each group once."""
    return _checked(file, lambda: _open(file, changed).read_row_group(group, columns=[column]).column(0))


def _checked(file: Path, read: Any) -> Any:
    with decoding(
        lambda reason: DataError(f"{file} cannot be read as Parquet: {reason.rstrip('.')}. Download it again.")
    ):
        return read()
