"""Read the plain values of a pickle file and run nothing.

A pickle is a program. Some old data sets are published as one, though all they hold is lists of records. This reader knows
the instructions that make containers, strings and numbers. Any other one, those first of all that name or call something,
ends the reading, so that no module is imported, no object made and no memory set aside by a number in the file.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Callable
from typing import Any, ClassVar, NoReturn

from idiff.errors import DataError
from idiff.utils.foreign import decoding

_ALLOWED = frozenset({
    "PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "DUP", "MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT", "GET",
    "BINGET", "LONG_BINGET", "NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1",
    "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "BINUNICODE8",
    "SHORT_BINUNICODE", "BINBYTES", "BINBYTES8", "SHORT_BINBYTES", "LIST", "EMPTY_LIST", "APPEND", "APPENDS", "TUPLE",
    "EMPTY_TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "DICT", "EMPTY_DICT", "SETITEM", "SETITEMS",
})  # fmt: skip
_NAMES = {ord(opcode.code): opcode.name for opcode in pickletools.opcodes}


class _Instructions(dict[int, Callable[[Any], None]]):
    """The allowed instructions by code."""

    def __missing__(self, code: int) -> NoReturn:
        raise pickle.UnpicklingError(f"it has the instruction {_NAMES.get(code, code)}, which plain values do not need")


class _PlainUnpickler(pickle._Unpickler):
    """The unpickler of the standard library that is written in Python, with fewer instructions.

    The one written in C cannot be cut down, and sets memory aside by numbers in the file.
    """

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = _Instructions(
        {code: step for code, step in pickle._Unpickler.dispatch.items() if _NAMES.get(code) in _ALLOWED}
    )

    def find_class(self, module: str, name: str) -> NoReturn:
        """No instruction that is left asks for a name; should one do so, refuse it."""
        raise pickle.UnpicklingError(f"it names {module}.{name}")

    def persistent_load(self, pid: Any) -> NoReturn:
        """As `find_class`."""
        raise pickle.UnpicklingError("it points to something outside of the file")


def load_plain(data: bytes, *, where: str) -> Any:
    """Read a pickle that holds dict, list, tuple, str, bytes, int, float, bool and None alone.

    Strings of Python 2 are read as UTF-8.

    Args:
        data: the whole file, of any protocol.
        where: names the file in errors.

    Returns:
        the value. A container in it may be in it several times, or hold itself: walk only the fields that you know.

    Raises:
        DataError: damaged, cut short, or it holds anything else.
    """

    def refused(reason: str) -> DataError:
        return DataError(
            f"{where} is not a pickle of plain lists, records, words and numbers: {reason}. Nothing in it was run."
        )

    with decoding(refused):
        return _PlainUnpickler(io.BytesIO(data), encoding="utf-8", errors="replace").load()
