"""Where the weights of a model come from, key by key: what was loaded, changed, made new, kept and left out."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from idiff.errors import CheckpointError
from idiff.utils.files import write_atomic

FILE = "handover.json"
"""The full list, in the run folder."""

CONV_OUT = ("unet.conv_out.weight", "unet.conv_out.bias")
COPY = "zeros: the model starts as a copy of its source"


@dataclass(slots=True)
class Provenance:
    """What a model got from other weights. Keys are those of `LatentDiffusion.state_dict`.

    Attributes:
        sources: the weights it started from: `{"path": str, "kind": "model" or "unet", "sha256": str or None, "step": int}`.
        loaded: key -> where its value is from.
        changed: key -> what was done to the value that was loaded, or what stands in its place.
        new: key -> how it starts.
        kept: keys of this model's own frozen parts -> their folder.
        left_out: keys of the other model that this one has no place for -> where they are.
        said: the summary for the terminal, one line each.
    """

    sources: list[dict[str, Any]] = field(default_factory=list)
    loaded: dict[str, str] = field(default_factory=dict)
    changed: dict[str, str] = field(default_factory=dict)
    new: dict[str, str] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    @property
    def fresh(self) -> set[str]:
        """Keys that have to be trained before they are of use: new and changed ones."""
        return {*self.new, *self.changed}

    def start_as_copy(self) -> None:
        """Note that the last convolution is zero, as residual models start where they get their source for the first time."""
        for key in CONV_OUT:
            self.loaded.pop(key, None)
            self.new.pop(key, None)
        self.changed |= dict.fromkeys(CONV_OUT, COPY)
        self.said.append("U-Net: last convolution is zero: it starts as a copy of its source")

    def complete(self, keys: list[str], *, frozen: dict[str, str]) -> None:
        """Note the keys that nothing was said of: frozen parts by their folder, everything else as new.

        Args:
            keys: of the model.
            frozen: key prefix -> folder of a frozen part.
        """
        for key in keys:
            part = next((prefix for prefix in frozen if key.startswith(prefix)), None)
            if part is not None:
                self.kept[key] = frozen[part]
            elif key not in self.loaded and key not in self.changed and key not in self.new:
                self.new[key] = "random"

    def write(self, folder: str | Path) -> Path:
        """Write `handover.json`. It appears whole or not at all.

        Args:
            folder: the run folder; it is made where it is missing.

        Raises:
            CheckpointError: the folder cannot be written.
        """
        parts = ("sources", "loaded", "changed", "new", "kept", "left_out")
        content: dict[str, Any] = {"summary": self.said} | {part: getattr(self, part) for part in parts}
        target = Path(folder) / FILE
        remedy = "Set trainer.default_root_dir to a folder that can."
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CheckpointError(f"{target} cannot be written: {error.strerror}. {remedy}") from None
        write_atomic(target, json.dumps(content, indent=1) + "\n", error=CheckpointError, remedy=remedy)
        return target
