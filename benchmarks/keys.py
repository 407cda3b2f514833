"""The figures of `make bench`: what each must reach, what is aimed at, and which module measures it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Key:
    """One figure.

    Attributes:
        must, aim: bounds of its value.
        module: of this folder, whose `measure(scale)` returns it.
        lower: whether lower is better.
    """

    must: float
    aim: float
    module: str
    lower: bool = False

    def reached(self, value: float | None, bound: float) -> bool | None:
        """Whether a value is as good as a bound; None where there is no value."""
        if value is None:
            return None
        return value <= bound if self.lower else value >= bound


KEYS = {
    "train_step_ratio": Key(1.05, 1.15, "training"),
    "train_step_bf16_ratio": Key(1.2, 1.5, "training"),
    "train_cached_ratio": Key(1.8, 2.2, "training"),
    "loading_ratio": Key(1.2, 2.0, "streaming"),
    "query_ratio": Key(20, 50, "asking"),
    "many_queries_ratio": Key(60, 150, "asking"),
    "many_classes_ratio": Key(30, 80, "asking"),
    "startup_ratio": Key(1.15, 1.0, "starting", lower=True),
    "ddp_efficiency": Key(0.70, 0.85, "ranks"),
    "index_seconds": Key(2.0, 2.0, "large_index", lower=True),
    "memory_ratio": Key(1.05, 1.05, "large_index", lower=True),
}
"""Name -> figure. A ratio is the peer's time over ours, and higher is better, where `lower` does not say otherwise."""


def modules_of(keys: list[str]) -> list[str]:
    """The modules that measure some keys, in order, each once."""
    return list(dict.fromkeys(KEYS[key].module for key in keys))
