"""Where the slices of a build are worked on."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

from idiff.errors import unknown

if TYPE_CHECKING:
    from idiff.data.build.slices import Done, Job
    from idiff.data.sources.base import Source

EXECUTORS = {"local": "idiff.data.build.slices", "ray": "idiff.data.build.ray_executor"}
"""Name -> module with a `run`. Whatever runs a slice writes the same bytes."""


class Run(Protocol):
    """Build slices; yields each as it is done."""

    def __call__(
        self, source: Source, meta: Mapping[str, Any], jobs: list[Job], *, workers: int
    ) -> Iterator[tuple[Job, Done]]:
        """See `idiff.data.build.slices.run`."""


def create(name: str) -> Run:
    """Find an executor.

    Raises:
        ConfigError: no such executor.
    """
    if name not in EXECUTORS:
        raise unknown("executor", name, EXECUTORS)
    return cast(Run, importlib.import_module(EXECUTORS[name]).run)
