"""Write a learned decoder as a folder of safetensors and JSON, and read one back. Nothing in such a folder is ever run.

    model.safetensors    weights, float32
    config.json          widths, calibration, what it was trained on, and the SHA-256 of the weights

`config.json` is written last and names the weights by their checksum, so that a folder with both is whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from idiff.decoders.calibration import Calibration
from idiff.decoders.decoder_unet import ReadoutNet
from idiff.errors import CheckpointError
from idiff.utils.files import write_atomic
from idiff.utils.foreign import decoding, read_json, read_regular, reason_of

CONFIG, WEIGHTS, INSIDE = "config.json", "model.safetensors", "decoder"
FORMAT = 1


@dataclass(slots=True)
class Learned:
    """A decoder's net and what is known of it.

    Attributes:
        net: in evaluation mode.
        calibrations: by kind of paint, see `idiff.decoders.calibration.paint_kind`.
        trained: what it was trained on, plain values.
        sha256: of the weights' file.
    """

    net: ReadoutNet
    calibrations: dict[str, Calibration]
    trained: dict[str, Any]
    sha256: str


def save(
    folder: str | Path,
    net: ReadoutNet,
    *,
    calibrations: Mapping[str, Calibration] | None = None,
    trained: Mapping[str, Any] | None = None,
) -> Path:
    """Write a decoder; what the folder held of an earlier one is replaced.

    Args:
        folder: is made where it does not exist.
        net: with the weights that are to be used.
        calibrations: by kind of paint.
        trained: what it was trained on, JSON-able.

    Raises:
        CheckpointError: the folder cannot be written.
    """
    place = Path(folder)
    data = save_tensors({name: value.detach().cpu().contiguous() for name, value in net.state_dict().items()})
    config = {
        "format": FORMAT,
        "kind": "unet",
        "widths": list(net.widths),
        "calibration": {kind: asdict(value) for kind, value in (calibrations or {}).items()},
        "trained": dict(trained or {}),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    try:
        place.mkdir(parents=True, exist_ok=True)
        write_atomic(place / WEIGHTS, data, error=CheckpointError)
        write_atomic(place / CONFIG, json.dumps(config, indent=1) + "\n", error=CheckpointError)
    except OSError as error:
        raise CheckpointError(f"{place} cannot be written: {error.strerror}. Name another folder.") from None
    return place


def load(weights: str | Path) -> Learned:
    """Read a decoder.

    Args:
        weights: a folder that `save` wrote, one with such a folder `decoder/` inside, or the name of a pretrained decoder.

    Raises:
        CheckpointError: there is none, or a file is not the one that was written.
    """
    place = _located(weights)
    expected = f"expected {CONFIG} and {WEIGHTS}, as a training with configs/stage/readout.yaml writes them."
    try:
        config = read_json(place / CONFIG)
        data = read_regular(place / WEIGHTS)
        if config["format"] != FORMAT or config["kind"] != "unet":
            raise ValueError(f"format {config['format']} of kind {config['kind']}")
        calibrations = {kind: Calibration(**value) for kind, value in config["calibration"].items()}
        net, wanted, trained = ReadoutNet(config["widths"]), str(config["sha256"]), dict(config["trained"])
    except Exception as error:  # whatever is met in a foreign file
        raise CheckpointError(
            f"{place} holds no decoder that can be read ({reason_of(error)[:120]}): {expected}"
        ) from None
    got = hashlib.sha256(data).hexdigest()
    if got != wanted:
        raise CheckpointError(
            f"{place / WEIGHTS} is damaged or another file: SHA-256 {got[:12]}, expected {wanted[:12]}. Get the folder again."
        )

    def refused(reason: str) -> CheckpointError:
        return CheckpointError(
            f"{place / WEIGHTS} does not fit widths {config['widths']}: {reason[:120]}. Get the folder again."
        )

    with decoding(refused):
        net.load_state_dict(load_tensors(data))
    return Learned(net.eval(), calibrations, trained, got)


def pretrained() -> dict[str, Path]:
    """The decoders that come with the package: name -> folder."""
    root = Path(str(files("idiff") / "assets" / "decoders"))
    return {path.parent.name: path.parent for path in sorted(root.glob(f"*/{CONFIG}"))}


def _located(weights: str | Path) -> Path:
    place = Path(weights)
    known = pretrained()
    for folder in (place, place / INSIDE):
        if (folder / CONFIG).is_file() or (folder / WEIGHTS).is_file():
            return folder
    if str(weights) in known:
        return known[str(weights)]
    raise CheckpointError(
        f"there is no decoder '{weights}': expected a folder with {CONFIG} and {WEIGHTS}, or one with {INSIDE}/ inside, or the "
        f"name of a pretrained one ({', '.join(known) or 'there is none'}). configs/experiment/readout_tiny.yaml trains one."
    )
