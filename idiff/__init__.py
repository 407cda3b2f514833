"""idiff: every vision task is an image edit that words ask for."""

from idiff._version import __version__

__all__ = ["__version__"]
