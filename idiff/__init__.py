"""idiff: every vision task is an instruction-guided image edit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from idiff._version import __version__

if TYPE_CHECKING:
    from idiff.pipeline import Answer, Pipeline

__all__ = ["Answer", "Pipeline", "__version__"]


def __getattr__(name: str) -> Any:
    """Import `Pipeline` and `Answer` when they are first asked for: they bring torch with them."""
    if name in {"Answer", "Pipeline"}:
        from idiff import pipeline

        return getattr(pipeline, name)
    raise AttributeError(f"module 'idiff' has no attribute '{name}'")
