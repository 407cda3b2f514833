"""Arrays as `.npy` files: numbers alone, and nothing is allocated before the header is found to be sound."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from idiff.errors import BadSampleError
from idiff.utils.foreign import decoding

MAGIC = b"\x93NUMPY"
"""What a `.npy` file starts with."""

EXPECTED = "expected numbers (bool, int, uint or float of at most 64 bits) of shape (H, W) or (H, W, C)"


def decode_array(data: bytes, *, where: str, field: str) -> NDArray[Any]:
    """Decode a `.npy` file. No pickle is ever read.

    Args:
        data: the whole file.
        where: names the file in errors: `shard:key` or a path.
        field: names the member in errors.

    Returns:
        a writable array (H, W) or (H, W, C) of the machine's byte order.

    Raises:
        BadSampleError: not such a file, of another type or shape, or with more or fewer bytes than its header says.
    """
    stream = io.BytesIO(data)
    with decoding(lambda reason: BadSampleError(where, field, f"cannot be read as an .npy file: {reason}")):
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(stream)
    _check(dtype, shape, where=where, field=field)
    start, size = stream.tell(), dtype.itemsize
    for side in shape:
        size *= side
    if len(data) - start != size:
        raise BadSampleError(where, field, f"{len(data) - start:,} bytes after its header, expected {size:,}")
    array = np.frombuffer(data, dtype, offset=start).reshape(shape, order="F" if fortran else "C")
    return np.array(array, dtype=dtype.newbyteorder("="), order="C")


def encode_array(array: NDArray[Any], *, where: str, field: str) -> bytes:
    """Write an array as `.npy`. The same array gives the same bytes.

    Raises:
        BadSampleError: it is of a type or shape that `decode_array` refuses.
    """
    _check(array.dtype, array.shape, where=where, field=field)
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")), allow_pickle=False)
    return stream.getvalue()


def _check(dtype: np.dtype[Any], shape: tuple[int, ...], *, where: str, field: str) -> None:
    if dtype.kind not in "biuf" or dtype.itemsize > 8 or len(shape) not in (2, 3) or min(shape) < 1:
        raise BadSampleError(where, field, f"got {str(dtype)[:80]} of shape {shape}, {EXPECTED}")
