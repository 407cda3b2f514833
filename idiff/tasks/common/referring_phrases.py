"""What a phrase names, and whether it speaks of places or order: then a part of the image is not enough to tell."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from idiff.errors import BadSampleError
from idiff.tasks.common.view import check_picture
from idiff.types import Sample
from idiff.utils.masks import decode_mask, mask_size
from idiff.utils.strings import normalise_prompt

_WORD = re.compile(r"[a-z0-9]+")
_PLACE = re.compile(
    r"""
    (left|right|bottom|middle|cent(er|re|ral)|corner|behind|front|background|foreground|between|nearby|top)\w*
    | \w*(left|right|most) | \w*oclock | \d+(st|nd|rd|th)
    | above | across | adjacent | against | ahead | along | alone | amid | among | amongst | another | apart | around | away | back
    | below | beneath | beside | besides | beyond | by | close | column | distance | distant | down | edge | either | else | end
    | facing | far | final | half | high | inner | inside | last | least | less | line | low | mid | more | near | next | only
    | opposite | others? | outer | outside | over | past | quarter | rear | remaining | rest | rows? | same | sides? | surrounded
    | than | towards? | under | underneath | up | upper | within
    | north(east|west)? | south(east|west)? | east | west
    | first | second | third | fourth | fifth | sixth | seventh | eighth | ninth | tenth | eleventh | twelfth
    | (bigg|broad|clos|dark|deep|farth|fatt|few|furth|heavi|high|larg|light|long|low|near|new|old|short|small|tall|thick)er
    | (thinn|wid|young)er
    | bg | bkgd | btm | ctr | fg | l | lft | lt | m | r | rgt | rt
    """,
    re.VERBOSE,
)
_SUPERLATIVE = re.compile(r"\w{2,}est")
_OTHER_USES = re.compile(
    r"bright|upright|almost|utmost|cleft|arrest|breast|chest|conquest|contest|crest|forest|guest|harvest|honest|interest|invest"
    r"|modest|protest|quest|request|vest|best|nest|pest|test|zest"
)


def referred(sample: Sample, item: int) -> tuple[str, NDArray[np.bool_]]:
    """Read one entry of `annotation["phrases"]`: its words, and the union of the objects it names.

    Objects may overlap: a pixel in several of them belongs to the union (adding masks up would leave holes).

    Returns:
        the phrase, and bool (H, W) in the image's pixels, empty where nothing is named.

    Raises:
        BadSampleError: the image, the phrase, or a named object's mask is missing or does not fit.
    """
    check_picture(sample)
    phrases, instances = (sample.annotation.get(name) for name in ("phrases", "instances"))
    if not isinstance(phrases, Sequence) or not 0 <= item < len(phrases):
        count = len(phrases) if isinstance(phrases, Sequence) else "no"
        raise BadSampleError(sample.key, "annotation.phrases", f"got {count} phrases, expected number {item}")
    where, phrase = f"annotation.phrases[{item}]", phrases[item]
    text = normalise_prompt(str(phrase.get("text", "")))
    if not text:
        raise BadSampleError(sample.key, f"{where}.text", f"got {phrase.get('text')!r}, expected words")
    named = phrase.get("instances")
    known = len(instances) if isinstance(instances, Sequence) else 0
    if not isinstance(named, Sequence) or not all(type(index) is int and 0 <= index < known for index in named):
        reason = f"got {named!r}, expected a list of indices of the {known} instances; an empty one where nothing fits"
        raise BadSampleError(sample.key, f"{where}.instances", reason)
    shape = (sample.image.shape[0], sample.image.shape[1])
    union = np.zeros(shape, np.bool_)
    for index in named:
        field, mask = f"annotation.instances[{index}].mask", sample.annotation["instances"][index].get("mask")
        try:
            if mask_size(mask) != shape:
                raise ValueError(f"the size is {list(mask_size(mask))}, expected {list(shape)} as the picture")
            union |= decode_mask(mask)
        except ValueError as error:
            raise BadSampleError(sample.key, field, str(error)) from None
    return text, union


def speaks_of_place(phrase: str) -> bool:
    """True where a part of an image could make the phrase false, or leave out what it compares with.

    Words for places (left, top, corner, behind), for neighbours (next to, between), for order (first, second from, last),
    for comparison (closest, larger, other, only); also a phrase with letters beyond ASCII, whose language this list does
    not know. Words for looks and doings (red, striped, sitting, with a hat) are not among them. It errs on the side of place.

    >>> speaks_of_place("second man from the left"), speaks_of_place("woman in a red vest")
    (True, False)
    """
    words = _WORD.findall(phrase.lower().replace("o'clock", "oclock"))
    return not phrase.isascii() or any(_is_place(word) for word in words)


def _is_place(word: str) -> bool:
    if _OTHER_USES.fullmatch(word):
        return False
    return bool(_PLACE.fullmatch(word) or _SUPERLATIVE.fullmatch(word))
