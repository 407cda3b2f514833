"""The kinds of sentence: what each asks, its slots, the words that give it away, and the words that are of another task."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from idiff.errors import unknown
from idiff.tasks.instructions.bank import noted_slots
from idiff.utils.task_notes import noted

_NOISE = r"\bnois|\bdenois|\bgrain|\bspeckle"
_BLUR = r"\bdeblur|\bsharpen|\bblurr|\bdefocus|\bmotion blur"
_MARK = r"\bwatermark|\blogos?\b|\blettering"
_JOINTS = r"\bjoint|\bkeypoint|\bskeleton|\bpose\b"
_MASK = r"\bmask|\bsegment|\bsilhouette"
_REMOVE = r"\bremov|\beras|\bdelet|\binpaint|\bget rid\b"
_SWAP = r"\breplac|\bswap|\bexchang|\bsubstitut|\binstead of\b|\binsert"
_RECOLOUR = r"\brecolou?r|\brepaint|\bdye\b"
_MOVE = r"\bmove\b|\brelocat|\bshift\b"
_OTHER = (
    r"\btranslat|\bdescri(be|ption) of\b|\bcaption (this|the|it)\b|\bsummar|\bpoem|\bessay|\bcrop\b|\brotat|\bupscal"
    r"|\bstyle of\b|\bgenerate\b|\bhow many\b"
)


@dataclass(frozen=True, eq=False)
class Kind:
    """One kind of sentence.

    Attributes:
        name: such as `deblur`.
        asks: what its sentences ask for, in words, for whoever is to write more of them.
        slots: slots of a sentence, once each.
        clause: slots of the clause that is repeated; none: no clause.
        values: long values of the slots, one mapping for each thing asked for. Filled with them, a sentence must fit the
            text encoder.
        must: a sentence of this kind has one of these, a regular expression; empty: its slots say enough.
        never: marks of other tasks, each a regular expression. Where a sentence forbids (`do not blur`) they do not count.
        words: fewest words of a sentence, once filled.
    """

    name: str
    asks: str
    slots: frozenset[str]
    must: str
    never: tuple[str, ...]
    clause: frozenset[str] = frozenset()
    values: Sequence[Mapping[str, str]] = ({},)
    words: int = 4

    @cached_property
    def task_words(self) -> re.Pattern[str]:
        """`must`, compiled."""
        return re.compile(self.must, re.IGNORECASE)

    @cached_property
    def other_words(self) -> re.Pattern[str]:
        """`never`, compiled."""
        return re.compile("|".join((*self.never, _OTHER)), re.IGNORECASE)


def kind_of(name: str) -> Kind:
    """A kind by its name.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in KINDS:
        raise unknown("kind of instruction", name, KINDS)
    return KINDS[name]


_PAINT = (
    r"\bmask|overlay|\bshad(e|ing)|\btint|\bpaint|\bcolou?r|\bhighlight|\bsegment|\bmark|\blay|\bcover|\bveil|\bfill|\bturn"
    r"|\bblend|\bbrush|\bdye|\bstain|\bfilm|\bglass|\btone|\bput\b|\bdraw|\bmix|\bpour|\bsheet|\bcut-out|\bregion|\bdip\b"
    r"|\bpixels|\bgets?\b|\bonly\b|\bover(lai|\b)|\bon top\b|\bwash|\bcoat|\bspread|\barea|\bpatch|\bmap\b"
)
_WHERE = r"\bshow|\bpicture|\bimage|\bscene|\{place\}"
_LONGEST = {
    "object": "traffic light beside the wooden cupboard", "color": "magenta",
    "caption": "a magenta crescent in the middle right, a turquoise hexagon in the upper left and a person seen from the side",
}  # fmt: skip
_PHRASE = "the second largest magenta crescent to the right of the smallest striped yellow hexagon"
_FIVE = ("left shoulder", "right shoulder", "right mouth corner", "left eyebrow", "right elbow")
_EDIT = {"object": "magenta crescent", "thing": "an orange hexagon", "color": "turquoise", "place": "middle right"}

_RESTORED = (_JOINTS, _MASK, _RECOLOUR)
_PAINTED = (_NOISE, _BLUR, _MARK, _REMOVE, _SWAP, _MOVE)

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "segmentation",
            "lay a half-transparent mask of the colour {color} over every pixel of the class {object} (a bare noun such as "
            "`car`), leave all other pixels alone, and change nothing where there is no such thing",
            frozenset({"object", "color"}), _PAINT, (_JOINTS, *_PAINTED), values=(_LONGEST,),
        ),
        Kind(
            "legend",
            "lay half-transparent masks over several classes, each in its own colour: {legend} stands for the list; the clause "
            "after the bar names one class {object} (a bare noun such as `car`) and its colour {color} and is repeated for each "
            "class in place of {legend}; all other pixels are left alone, and a class that is not there changes nothing",
            frozenset({"legend"}), "", (_JOINTS, *_PAINTED), clause=frozenset({"object", "color"}),
            values=tuple({"object": name, "color": color} for name, color in zip(
                ("baseball glove", "traffic light", "wine glass", "fire hydrant"), ("magenta", "yellow", "green", "blue"),
                strict=True)),
        ),
        Kind(
            "referring",
            "lay a half-transparent mask of the colour {color} over what the phrase {object} (with its article, such as "
            "`the largest star`) names, leave all other pixels alone, and change nothing where the phrase fits nothing",
            frozenset({"object", "color"}), _PAINT, (_JOINTS, *_PAINTED), values=({"object": _PHRASE, "color": "magenta"},),
        ),
        Kind(
            "keypoints",
            "put a filled disc on each of the joints {joints} of a person; the clause after the bar names one {joint} and its "
            "{color} and is repeated for each joint in place of {joints}",
            frozenset({"joints"}), r"\bdis[ck]|\bdot|\bcircle|\bspot|\bmark|\bpoint|\bjoint|\bball|\bblob|\bpose\b|\bfind|\bpaint"
            r"|\bdraw|\bbutton|\bdetect|\bhighlight|\bcover|\bstamp|\bbrush|\bannotat|\blocate|\bpin\b|\blabel|\bkeypoint",
            (_MASK, *_PAINTED), clause=frozenset({"joint", "color"}),
            values=tuple({"joint": joint, "color": color} for joint, color in zip(
                _FIVE, ("magenta", "yellow", "green", "blue", "cyan"), strict=True)),
        ),
        Kind(
            "denoise", "take the random noise (grain, speckle) out of the picture and keep its detail", frozenset(),
            r"\bnois|\bdenois|\bgrain|\bspeck|\bspeckle|\bdots?\b|\biso\b|\bclean|\bsensor|\bgood light|\brandom|\bpixels?\b"
            r"|\brough|\bsignal|\bchance\b|\bflicker|\bdust|\bsand\b", (r"\bdeblur|\bsharpen\b|\bdefocus", _MARK, *_RESTORED),
        ),
        Kind(
            "deblur", "take the blur of motion or focus out of the picture, so that edges are sharp", frozenset(),
            r"\bblur|\bdeblur|\bunblur|\bsharp|\bfocus|\brefocus|\bcrisp|\bsmear|\bshak|\bsteady|\bsoft|\bstreak|\bcontour"
            r"|\bdefocus|\bspread\b|\bfuzz|\bshook|\bedges?\b|\bstill\b|\bclear\b|\bunsharp|\bhalo|\btripod|\blens|\bglasses"
            r"|\bphotographer|\bcamera mov|\bclearly\b|\bshutter|\bborder|\bfine structure",
            (r"\bdenois|\bnois[ey]|\bgrain", _MARK, *_RESTORED),
        ),
        Kind(
            "dewatermark", "take the half-transparent text or logo off the picture and restore what lies under it", frozenset(),
            r"\bwatermark|\blogo|\btext|\bletter|\bstamp|\bmark|\bunmark|\boverlay|\bword|\bsign|\bwriting|\bwrote|\bname\b"
            r"|\bprint|\bblend|\bunstamp|\bbrand|\bcaption", (_NOISE, r"\bdeblur|\bsharpen|\bdefocus", *_RESTORED),
        ),
        Kind(
            "detection",
            "find every single object of the class {object} (a bare noun such as `car`) and paint each of them {color}, apart from "
            "its neighbours, so that they can be told apart and boxed; leave all other pixels alone, and change nothing where "
            "there is no such thing",
            frozenset({"object", "color"}), r"\bdetect|\beach\b|\bevery|\ball\b|\bany\b|\binstance|\bone by one\b|\bsingle\b"
            r"|\bboth\b|\bnone\b|\bseparate|\bcount|\bindividual|\bwherever\b|\bno\b|\bapart\b",
            (_JOINTS, *_PAINTED), values=(_LONGEST,),
        ),
        Kind(
            "classification",
            "say which of several classes the picture shows by painting a see-through square in its middle: {choices} stands for "
            "the list; the clause after the bar names one class {object} (a bare noun such as `car`) and its colour {color} and is "
            "repeated for each class in place of {choices}; nothing changes where none of them is right",
            frozenset({"choices"}), r"\bsquare|\bpatch|\bblock\b|\btile\b|\bpanel|\bmiddle\b|\bcent(re|er)",
            (_JOINTS, _MASK, *_PAINTED), clause=frozenset({"object", "color"}),
            values=tuple({"object": name, "color": color} for name, color in zip(
                ("baseball glove", "traffic light", "wine glass", "fire hydrant"), ("magenta", "yellow", "green", "blue"),
                strict=True)),
        ),
        Kind(
            "recolour", "give the object {object} (a colour and a noun) the colour {color}, and change nothing else",
            frozenset({"object", "color"}), "", (_NOISE, _BLUR, _MARK, _JOINTS, _REMOVE, _SWAP, _MOVE), values=(_EDIT,), words=3,
        ),
        Kind(
            "remove", "take the object {object} (a colour and a noun) out of the picture and show what is behind it",
            frozenset({"object"}),
            r"\bremov|\beras|\btake|\bdelet|\bdisappear|\bwithout|\brid of\b|\bgo\b|\bgone|\bno\b|\bnot\b|\bcut|\bclear|\bwip"
            r"|\bvanish|\bdrop|\bexcept|\bfill|\bleave out|\bnobody|\bnever|\bthrow|\bhole|\bgrow back",
            (_NOISE, _BLUR, _MARK, _JOINTS, _SWAP, _RECOLOUR, _MOVE), values=(_EDIT,), words=3,
        ),
        Kind(
            "add", "add the new object {thing} (with its article, such as `a red star`) in the part {place} of the picture "
            "(such as `upper left`)", frozenset({"thing", "place"}), "",
            (_NOISE, _BLUR, _MARK, _JOINTS, _REMOVE, r"\breplac|\bswap|\bexchang|\bsubstitut", _RECOLOUR, _MOVE), values=(_EDIT,),
        ),
        Kind(
            "replace", "put the new object {thing} (with its article) in place of the object {object} (a colour and a noun)",
            frozenset({"object", "thing"}), "", (_NOISE, _BLUR, _MARK, _JOINTS, _RECOLOUR, _MOVE), values=(_EDIT,),
        ),
        Kind(
            "move", "move the object {object} (a colour and a noun) to the part {place} of the picture (such as `upper left`)",
            frozenset({"object", "place"}), "", (_NOISE, _BLUR, _MARK, _JOINTS, _REMOVE, r"\breplac|\bswap|\bexchang", _RECOLOUR),
            values=(_EDIT,),
        ),
        Kind(
            "suffix_masks", "a few words that follow the caption of a picture and say that random areas of it are tinted in "
            "several colours", frozenset(), r"\bcolou?r|\btint", (_NOISE, _BLUR, _MARK, _JOINTS, _REMOVE, _SWAP, _MOVE), words=3,
        ),
        Kind(
            "suffix_discs", "a few words that follow the caption of a picture and say that small filled discs of the colour "
            "{color} lie on it", frozenset({"color"}), r"\bdis[ck]|\bcircle|\bdot|\bspot|\bround|\bball|\bpoint|\bbutton|\bcoin"
            r"|\bmarble|\bblob|\bbead", (_NOISE, _BLUR, _MARK, _JOINTS, _MASK, _REMOVE, _SWAP, _MOVE),
            values=({"color": "magenta"},), words=3,
        ),
        *(
            Kind(
                name, notes["asks"], noted_slots(notes), notes.get("must", ""), (_JOINTS, _MASK, *_PAINTED),
                values=(_LONGEST,) if "slots" in notes else ({},),
            )
            for name, notes in noted().items()
        ),
    )
}  # fmt: skip
"""Name -> kind: the tasks of the bank, the operations of an edit, what stage 1 adds to a caption, and what `noted` finds."""

EDITS = ("recolour", "remove", "add", "replace", "move")
"""Kinds whose sentences share one file, each line with its kind before a colon."""
