"""Build shards from a source."""

from idiff.data.build.builder import build

__all__ = ["build"]
