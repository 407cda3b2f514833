"""Scripts of the project that are no part of the package: tools and benchmarks."""

import importlib.util

from small_models import ROOT


def load_script(path):
    """The module that a script is, run under a name that is not `__main__`; `path` is relative to the project."""
    spec = importlib.util.spec_from_file_location(path.removesuffix(".py").replace("/", "_"), ROOT / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
