"""Memory of a computation that is not carried out: tensors without values, whose storages are counted as they come and go."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class MemoryTracker(TorchDispatchMode):
    """Counts the bytes of storages that operations make while it is entered.

    Args:
        known: tensors that are there already and do not count.

    Attributes:
        live: bytes that are alive now. peak: the most there were.
    """

    def __init__(self, known: Iterable[Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = self.peak = 0
        self._sizes: dict[int, int] = {tensor.untyped_storage()._cdata: 0 for tensor in known}

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(found):
            if isinstance(leaf, Tensor):
                self._see(leaf.untyped_storage())
        return found

    def _see(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._sizes:
            return
        self._sizes[key] = size = storage.nbytes()
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._drop, key)

    def _drop(self, key: int) -> None:
        self.live -= self._sizes.pop(key, 0)


@contextmanager
def norms_in_float32() -> Iterator[None]:
    """Normalise in float32 as autocast does on a CUDA device; on the processor, where memory is counted, it does not."""
    group, layer = F.group_norm, F.layer_norm

    def group_norm(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return group(x.float(), *args, **kwargs)

    def layer_norm(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return layer(x.float(), *args, **kwargs)

    F.group_norm, F.layer_norm = group_norm, layer_norm  # type: ignore[assignment]  # they take what they are called with
    try:
        yield
    finally:
        F.group_norm, F.layer_norm = group, layer
