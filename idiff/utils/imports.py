"""Import the big libraries without the optional packages that they would load and the process never uses."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(*packages: str) -> Iterator[None]:
    """Within the block packages that nothing has loaded cannot be imported: libraries do as they do where these are not installed.

    `None` in `sys.modules` is Python's own way to say so. Afterwards the packages can be imported again, but a library that was
    loaded in it may go on to hold them for missing. So this is for the process of a command, which knows what it will use, and not
    for the process of a caller.

    >>> with without("this"):
    ...     import this
    Traceback (most recent call last):
    ModuleNotFoundError: import of this halted; None in sys.modules
    """
    hidden = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)
