"""Find a class by the path that a user wrote: `module.Class` or `module:Class`."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

from idiff.errors import ConfigError, suggest


def find_class(path: str, *, what: str) -> type:
    """Import a class.

    Args:
        path: `package.module.Class` or `package.module:Class`.
        what: names the thing in errors, such as `source`.

    Raises:
        ConfigError: there is no such module or class, or the module cannot be imported.
    """
    module, _, name = path.partition(":") if ":" in path else path.rpartition(".")
    if not (module and name):
        raise ConfigError(f"{what} '{path}': expected a class as MODULE.CLASS or MODULE:CLASS.")
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
    kind = getattr(found, name, None)
    if not inspect.isclass(kind):
        classes = [word for word, value in vars(found).items() if inspect.isclass(value)]
        raise ConfigError(f"{what} '{path}': {module} has no class {name}{suggest(name, classes) or '.'}")
    return kind


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
