"""Tensors out of torch files that hold anything at all. Nothing in such a file is ever imported, called or made.

Old checkpoints name classes of libraries that moved or are gone. torch's own safe reader refuses them whole. Here every class
becomes an inert placeholder, whatever the file would do with it, and only tensors, containers and plain values are made.
"""

from __future__ import annotations

import pickle
import pickletools
import struct
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.storage import TypedStorage

from idiff.errors import CheckpointError

DAMAGED = (
    pickle.UnpicklingError, EOFError, OSError, RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError,
    AssertionError, OverflowError, MemoryError, struct.error,
)  # fmt: skip
"""What reading a damaged or hostile file may raise."""


class Placeholder:
    """Stands where the file names a class or function, and where it would have called one.

    Attributes:
        name: what stood there, such as `pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint`.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<{self.name}, not loaded>"


def _tensor(storage: TypedStorage, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
    """A view of a storage that lies within it."""
    numbers = (offset, *size, *stride)
    if not isinstance(storage, TypedStorage) or any(type(number) is not int or number < 0 for number in numbers):
        raise pickle.UnpicklingError("a tensor in it is not described by whole numbers")
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if 0 not in size and (last + 1) * storage.dtype.itemsize > storage._untyped_storage.nbytes():
        raise pickle.UnpicklingError("a tensor in it reaches past its storage")
    return torch.empty((), dtype=storage.dtype).set_(storage._untyped_storage, offset, size, stride)


def _parameter(data: Tensor, *_: Any) -> Tensor:
    """A parameter's tensor."""
    return data


def _of_a_class(make: Callable[..., Any], _: Any, arguments: tuple[Any, ...], *__: Any) -> Any:
    """A tensor of a subclass, as a tensor."""
    return make(*arguments) if _is_known(make) else Placeholder("a tensor's class")


KNOWN: dict[tuple[str, str], Callable[..., Any]] = {
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch._tensor", "_rebuild_from_type_v2"): _of_a_class,
    ("collections", "OrderedDict"): OrderedDict,
}
"""Names in a file that stand for something; any other is a placeholder."""


def _is_known(value: Any) -> bool:
    return any(value is each for each in KNOWN.values())


class _Unpickler(pickle._Unpickler):
    """The unpickler of the standard library that is written in Python; what would call or change an object does not."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]]
    stack: list[Any]
    append: Callable[[Any], None]
    pop_mark: Callable[[], list[Any]]
    readline: Callable[[], bytes]

    def find_class(self, module: str, name: str) -> Any:
        """What a name stands for: never what it names."""
        return KNOWN.get((module, name)) or Placeholder(f"{module}.{name}")

    def _reduce(self) -> None:
        arguments, made = self.stack.pop(), self.stack[-1]
        known = _is_known(made) and isinstance(arguments, tuple)
        self.stack[-1] = made(*arguments) if known else _instance(made)

    def _newobj(self) -> None:
        self.stack.pop()
        self.stack[-1] = _instance(self.stack[-1])

    def _newobj_ex(self) -> None:
        del self.stack[-2:]
        self.stack[-1] = _instance(self.stack[-1])

    def _obj(self) -> None:
        arguments = self.pop_mark()
        self.append(_instance(arguments[0] if arguments else None))

    def _inst(self) -> None:
        module, name = self.readline()[:-1].decode(), self.readline()[:-1].decode()
        self.pop_mark()
        self.append(Placeholder(f"{module}.{name}"))

    def _build(self) -> None:
        self.stack.pop()

    def _append(self) -> None:
        value = self.stack.pop()
        if type(self.stack[-1]) is list:
            self.stack[-1].append(value)

    def _appends(self) -> None:
        values = self.pop_mark()
        if type(self.stack[-1]) is list:
            self.stack[-1].extend(values)

    def _setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._keep([key, value])

    def _setitems(self) -> None:
        self._keep(self.pop_mark())

    def _keep(self, pairs: list[Any]) -> None:
        if type(self.stack[-1]) in {dict, OrderedDict}:
            self.stack[-1].update(zip(pairs[::2], pairs[1::2], strict=True))

    def _additems(self) -> None:
        values = self.pop_mark()
        if type(self.stack[-1]) is set:
            self.stack[-1].update(values)


_OWN: dict[str, Callable[[_Unpickler], None]] = {
    "REDUCE": _Unpickler._reduce,
    "NEWOBJ": _Unpickler._newobj,
    "NEWOBJ_EX": _Unpickler._newobj_ex,
    "OBJ": _Unpickler._obj,
    "INST": _Unpickler._inst,
    "BUILD": _Unpickler._build,
    "APPEND": _Unpickler._append,
    "APPENDS": _Unpickler._appends,
    "SETITEM": _Unpickler._setitem,
    "SETITEMS": _Unpickler._setitems,
    "ADDITEMS": _Unpickler._additems,
}
"""Instructions that would call or change an object of any class."""

_Unpickler.dispatch = _Unpickler.dispatch | {
    ord(code.code): _OWN[code.name] for code in pickletools.opcodes if code.name in _OWN
}


def _instance(of: Any) -> Placeholder:
    return Placeholder(of.name if isinstance(of, Placeholder) else type(of).__name__)


_READER = SimpleNamespace(
    __name__="idiff.models.io.importing.pickles",
    Unpickler=_Unpickler,
    load=lambda stream, **options: _Unpickler(stream, **options).load(),
)
"""Takes the place of the module `pickle` in `torch.load`, which then knows no other unpickler."""


def read_torch(file: Path) -> Any:
    """Read a file of `torch.save`, old or new, and run nothing of it. Large tensors stay on the disk until they are used.

    Returns:
        what was saved, with placeholders for all that is neither a tensor, a container nor a plain value.

    Raises:
        CheckpointError: cut short, damaged, or no file of `torch.save`.
    """
    zipped = zipfile.is_zipfile(file)
    if zipped and any(name.endswith("/constants.pkl") for name in _names(file)):
        raise CheckpointError(
            f"{file} is a TorchScript archive, which is a program: expected weights that torch.save wrote."
        )
    if not zipped and tarfile.is_tarfile(file):
        raise CheckpointError(f"{file} is a tar archive: unpack it, and name the file with the weights.")
    try:
        # weights_only=False is what makes torch take our unpickler, which is stricter than weights_only=True
        return torch.load(file, map_location="cpu", pickle_module=_READER, weights_only=False, mmap=zipped)
    except RecursionError:
        reason = "it is nested too deep"
    except KeyError:
        reason = "it has an instruction that no pickle has, or a part of it is missing"
    except DAMAGED as error:
        reason = " ".join(str(error).split(". ")[0].split())[:160] or type(error).__name__
    raise CheckpointError(
        f"{file} cannot be read as weights ({reason}): it is cut short or damaged, or torch.save did not write it. Get it again."
    )


def _names(file: Path) -> list[str]:
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise CheckpointError(f"{file} cannot be read as weights ({error}): it is cut short. Get it again.") from None
