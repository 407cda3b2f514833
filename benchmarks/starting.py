"""The key of start-up time, in the form of the table; `startup.py` measures it."""

from __future__ import annotations

from measuring import Finding, Scale, Times
from startup import measure as measured


def measure(scale: Scale) -> dict[str, Finding]:
    """CPU seconds of a process that answers once, over those of one that imports its libraries."""
    found = measured(scale.rounds)
    ours, peer = (Times(found["seconds"][name]) for name in ("answer", "libraries"))
    words = "CPU seconds of a process that answers once, over those of importing torch, diffusers' networks and transformers' CLIP."
    ceiling = {
        "value": None,
        "sentence": "no answer without importing torch and building both networks, which is most of it",
    }
    more = {"medians": found["medians"], "help": found["help"]}
    return {"startup_ratio": Finding(found["startup_ratio"], words, ours, peer, ceiling, more=more)}
