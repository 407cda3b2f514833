"""Running averages, whose names have lost their dots, go back to the weights they are averages of."""

from __future__ import annotations

from typing import Literal

from idiff.errors import CheckpointError
from idiff.models.io.importing.held import EMA, UNET, Held
from idiff.models.io.importing.keys import TEXT

EmaChoice = Literal["auto", "yes", "no"]
"""Whether averages are taken: where they are there and whole, always, never."""


def take_average(held: Held, wanted: EmaChoice) -> tuple[dict[str, str], str]:
    """Put the running averages in the place of the weights, in `held`, or note them as left out.

    Args:
        held: changed in place; `averaged` is empty afterwards.
        wanted: `auto` takes averages where there is one of every weight of the U-Net.

    Returns:
        weights that are averages now -> the keys of these, and a sentence about what was done.

    Raises:
        CheckpointError: averages are asked for and not whole, one belongs to no weight, or has another shape.
    """
    places = _places(held)
    lost = [name for name in held.averaged if name not in places]
    if lost:
        raise CheckpointError(
            f"{held.file} holds {len(lost)} running averages of no weight in it ({_named(lost)}): they were renamed, or are "
            "of another model. Get the file again."
        )
    averages = {places[name]: (name, value) for name, value in held.averaged.items()}
    missing = sorted(name for name in held.tensors if name.startswith(UNET) and name not in averages)
    if wanted == "yes" and missing:
        none = "no running averages" if not averages else f"none of {len(missing)} weights ({', '.join(missing[:3])})"
        raise CheckpointError(f"--ema yes, and {held.file} holds {none}: take --ema auto or no.")
    taken = wanted != "no" and bool(averages) and not missing
    for name, (flat, value) in averages.items():
        if not taken:
            held.left_out[EMA + flat] = "a running average: the weights themselves are taken"
            continue
        if value.shape != held.tensors[name].shape:
            raise CheckpointError(
                f"{held.file}: {EMA}{flat} has the shape {tuple(value.shape)}, expected {tuple(held.tensors[name].shape)}, "
                f"as {name} has. Take --ema no, or get the file again."
            )
        held.tensors[name] = value
    held.averaged = {}
    if taken:
        return {name: EMA + flat for name, (flat, _) in averages.items()}, "the running averages (EMA) are taken"
    if not averages:
        return {}, "the file holds no running averages (EMA) beside its weights"
    if wanted == "no":
        return {}, "the running averages (EMA) are left out"
    return {}, f"the running averages (EMA) are left out: {len(missing)} are missing ({', '.join(missing[:3])})"


def _places(held: Held) -> dict[str, str]:
    """Name without dots -> the weight's name.

    An average is named from the whole model or from within `model.`, and by transformers 4 or 5, whatever the weight is named by.

    Raises:
        CheckpointError: two weights of the averages have one name without dots.
    """
    places: dict[str, str] = {}
    for name in held.tensors:
        short = name.replace(TEXT + "text_model.", TEXT)
        forms = {name, name.removeprefix("model."), short, short.replace(TEXT, TEXT + "text_model.")}
        for flat in {form.replace(".", "") for form in forms}:
            if flat in places and flat in held.averaged:
                raise CheckpointError(f"{held.file}: {EMA}{flat} may be of {places[flat]} or of {name}: take --ema no.")
            places[flat] = name
    return places


def _named(lost: list[str]) -> str:
    return ", ".join(EMA + name for name in lost[:3])
