"""Find a class or function by the path that a user wrote: `module.Class` or `module:Class`."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import Any

from idiff.errors import ConfigError, suggest


def find_class(path: str, *, what: str) -> type:
    """Import a class; see `find`.

    Raises:
        ConfigError: there is no such module or class, or the module cannot be imported.
    """
    kind = find(path, what=what)
    if not inspect.isclass(kind):
        raise ConfigError(f"{what} '{path}': expected a class, got {type(kind).__name__}.")
    return kind


def find(path: str, *, what: str) -> Any:
    """Import what a path names.

    Args:
        path: `package.module.Name` or `package.module:Name`.
        what: names the thing in errors, such as `source`.

    Raises:
        ConfigError: the module is missing or cannot be imported, or it has no such class or function.
    """
    module, _, name = path.partition(":") if ":" in path else path.rpartition(".")
    if not (module and name):
        raise ConfigError(f"{what} '{path}': expected MODULE.NAME or MODULE:NAME.")
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or f"{module}.".startswith(f"{error.name}."):
            raise _no_module(path, module, what=what) from None
        raise ConfigError(
            f"{what} '{path}': {module} needs the module {error.name}, which is not installed."
        ) from error
    except Exception as error:  # a module of the user's may fail in any way
        raise ConfigError(f"{what} '{path}': importing {module} fails: {type(error).__name__}: {error}.") from error
    if not callable(getattr(found, name, None)):
        known = [word for word, value in vars(found).items() if callable(value)]
        raise ConfigError(f"{what} '{path}': {module} has no class or function {name}{suggest(name, known) or '.'}")
    return getattr(found, name)


def _no_module(path: str, module: str, *, what: str) -> ConfigError:
    """Say which part of a dotted module does not exist, with the nearest name beside it."""
    parts = module.split(".")
    above: list[str] | None = None
    for place, part in enumerate(parts):
        beside = [each.name for each in pkgutil.iter_modules(above)]
        if part not in beside:
            where = f" in {'.'.join(parts[:place])}" if place else " in the working folder or installed"
            return ConfigError(f"{what} '{path}': there is no module {part}{where}{suggest(part, beside) or '.'}")
        above = list(getattr(importlib.import_module(".".join(parts[: place + 1])), "__path__", []))
    return ConfigError(f"{what} '{path}': there is no module {module}.")
