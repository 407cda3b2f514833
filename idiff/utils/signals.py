"""Requests to stop: SIGTERM and Ctrl-C, noted so that work can end where nothing is lost."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn, Self

TERMINATED, INTERRUPTED = 143, 130
"""Exit codes after SIGTERM and after SIGINT."""

CODES = {signal.SIGTERM: TERMINATED, signal.SIGINT: INTERRUPTED}


class StopRequest:
    """Listen for signals that ask this process to stop. Outside the main thread nothing is listened for.

    Args:
        signals: which to listen for.
        on_stop: called with the exit code when the first signal arrives; it may raise.
        said: a sentence for stderr at the first signal; none where empty.
        twice: a second signal ends the process at once.

    Attributes:
        code: the exit code that was asked for; None: nobody asked.
    """

    def __init__(
        self,
        *signals: signal.Signals,
        on_stop: Callable[[int], Any] = lambda code: None,
        said: str = "",
        twice: bool = True,
    ) -> None:
        self.signals, self.on_stop, self.said, self.twice = signals, on_stop, said, twice
        self.code: int | None = None
        self._before: dict[signal.Signals, Any] = {}

    def start(self) -> None:
        """Listen from now on."""
        for number in self.signals:
            before = signal.getsignal(number)
            try:
                signal.signal(number, self._note)
            except ValueError:  # not the main thread
                return
            self._before[number] = before

    def stop(self) -> None:
        """Listen no more: whoever listened before does so again."""
        while self._before:
            number, before = self._before.popitem()
            signal.signal(number, before)

    def __enter__(self) -> Self:
        """See `start`."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """See `stop`."""
        self.stop()

    def _note(self, number: int, frame: FrameType | None) -> None:
        code = CODES[signal.Signals(number)]
        if self.code is not None and self.twice:
            os._exit(code)
        self.code = code if self.code is None else self.code
        if self.said:
            sys.stderr.write(f"idiff: {self.said}\n")
        self.on_stop(code)


def leave(code: int) -> NoReturn:
    """End this process with an exit code, as a handler of `StopRequest`.

    Raises:
        SystemExit: always.
    """
    raise SystemExit(code)
