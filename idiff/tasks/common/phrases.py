"""Does a phrase speak of places or order? Then a part of the picture is not enough to tell what it names."""

from __future__ import annotations

import re

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


def speaks_of_place(phrase: str) -> bool:
    """True where a part of a picture could make the phrase false, or leave out what it compares with.

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
