"""A metric of a user's own, made from what a configuration says of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torchmetrics import Metric

from idiff.errors import ConfigError
from idiff.utils.lookup import find_class
from idiff.utils.settings import ARGUMENTS, CLASS


def own_metric(described: str | Mapping[str, Any]) -> Metric:
    """Make a metric.

    >>> own_metric({"class_path": "torchmetrics.MeanMetric", "init_args": {"nan_strategy": "ignore"}})
    MeanMetric()

    Args:
        described: `module.Class`, or `{class_path: module.Class, init_args: {...}}`.

    Raises:
        ConfigError: there is no such class, it is not a metric, or it does not take these arguments.
    """
    whole: Mapping[str, Any] = {CLASS: described} if isinstance(described, str) else described
    if CLASS not in whole or whole.keys() - {CLASS, ARGUMENTS}:
        raise ConfigError(f"metric {dict(whole)}: expected module.Class, or its {CLASS} and {ARGUMENTS}.")
    path, arguments = str(whole[CLASS]), whole.get(ARGUMENTS) or {}
    kind = find_class(path, what="metric")
    if not issubclass(kind, Metric):
        raise ConfigError(f"metric '{path}' is not a subclass of torchmetrics.Metric.")
    try:
        made: Metric = kind(**arguments)
    except TypeError as error:
        raise ConfigError(f"metric '{path}' refuses the arguments {arguments}: {error}.") from error
    return made
