"""Which of the commands a sentence asks for, and in which words that command is asked."""

from __future__ import annotations

import re
from collections.abc import Sequence

from idiff.errors import ConfigError, unknown
from idiff.pipeline.asking import RESTORATIONS, Pipeline
from idiff.pipeline.choosing import choose_task
from idiff.sampling import Sampling
from idiff.tasks.saved import saved_kinds
from idiff.utils.strings import normalise_prompt
from idiff.utils.task_notes import task_commands

KINDS: dict[str, tuple[str, ...]] = {
    "segment": ("referring", "segmentation"),
    "keypoints": ("keypoints",),
    "edit": ("editing",),
    "restore": RESTORATIONS,
    **{name: (name,) for name in task_commands()},
}
"""Command of `Pipeline` -> the kinds of the tasks that answer it."""

_POLITE = re.compile(r"^(please|can you|could you|now|then)[ ,]+", re.IGNORECASE)
_DAMAGE = {"denoise": r"noise|noisy|grain", "deblur": r"blur", "dewatermark": r"watermark"}
_MEND = re.compile(r"(remove|take|clean|reduce|fix|get rid|undo|restore|erase|delete)\b", re.IGNORECASE)
_EDIT = re.compile(
    r"(make|turn|change|replace|remove|delete|erase|add|put|move|swap|paint|colou?r|recolou?r|draw|give|set|insert|cover|transform"
    r"|convert|fill|shrink|enlarge|rotate|brighten|darken|take)\b",
    re.IGNORECASE,
)
_FIND = re.compile(
    r"(find|segment|select|highlight|detect|locate|mark|show( me)?|point (to|at)|where('s| is| are)|keypoints?( of)?)\s+",
    re.IGNORECASE,
)
_JOINT = re.compile(
    r"(the )?((left|right|upper|lower|mid|middle) )*(nose|head|head top|neck|thorax|pelvis|spine|chin|mouth|eye|ear|shoulder"
    r"|elbow|wrist|hand|hip|knee|ankle|foot|heel|toe|big toe|small toe)",
    re.IGNORECASE,
)


def commands_of(pipe: Pipeline) -> list[str]:
    """The commands that a model can answer, of those in `KINDS`."""
    known = set(saved_kinds(pipe.loaded.config, trust=pipe.trust).values())
    return [command for command, kinds in KINDS.items() if known.intersection(kinds)]


def steps_of(pipe: Pipeline, command: str, words: str) -> int:
    """Sampling steps that a command takes as the pipeline is asked. `words` are those that `choose` gave."""
    kinds = (words,) if command == "restore" else KINDS[command]
    known = set(saved_kinds(pipe.loaded.config, trust=pipe.trust).values())
    wanted = next((kind for kind in kinds if kind in known), None)
    if wanted is None:
        return Sampling().steps
    return choose_task(pipe.loaded, pipe.asking, wanted, trust=pipe.trust).sampling.steps


def choose(text: str, known: Sequence[str], command: str | None = None) -> tuple[str, str]:
    """Choose a command by a sentence.

    Args:
        text: such as `Make the red star blue.` or `left hand, nose`.
        known: commands that the model can answer.
        command: the one that is wanted; None: it is chosen by the words.

    Returns:
        the command, and the words it is asked in: `Find the red star.` becomes `the red star`.

    Raises:
        ConfigError: the wanted command is unknown, or there are no words.
    """
    words = normalise_prompt(text)
    while _POLITE.match(words):
        words = _POLITE.sub("", words)
    if not words:
        raise ConfigError("the text is empty: expected a sentence, such as 'the red star' or 'Make the red star blue.'")
    if command is not None and command not in known:
        raise unknown("task", command, known)
    named = _named(words)
    if named is not None and named[0] in known and command in {None, named[0]}:
        return named
    chosen = command or next((each for each in (_meant(words), "segment", "edit") if each in known), known[0])
    if chosen == "restore":
        return chosen, _damage(words) or words
    if chosen == "edit":
        return chosen, words
    asked = _FIND.sub("", words, count=1).rstrip(" .?!") or words
    return chosen, re.sub(r"\bthe ", "", asked) if chosen == "keypoints" else asked


def _named(words: str) -> tuple[str, str] | None:
    """A task's command that a sentence calls by its name, and what is asked of it: `depth`, `Show the depth map.`, ..."""
    asked = _FIND.sub("", words, count=1).rstrip(" .?!")
    for name, each in task_commands().items():
        found = re.fullmatch(rf"(?:the )?{name}(?: map| of)?:? ?(.*)", asked, re.IGNORECASE)
        if found and bool(found[1]) == bool(each.words):
            return name, found[1] or words
    return None


def _meant(words: str) -> str:
    """The command that a sentence means."""
    if _damage(words) and (_MEND.match(words) or re.match(r"de(noise|blur|watermark)|sharpen", words, re.IGNORECASE)):
        return "restore"
    asked = _FIND.sub("", words, count=1).rstrip(" .?!")
    names = [name for name in re.split(r"\s*(?:[,;]|\band\b)\s*", asked) if name]
    if names and all(_JOINT.fullmatch(name) for name in names):
        return "keypoints"
    return "edit" if _EDIT.match(words) else "segment"


def _damage(words: str) -> str | None:
    """The restoration that a sentence asks for."""
    if re.match("sharpen", words, re.IGNORECASE):
        return "deblur"
    if words.rstrip(".") in RESTORATIONS:
        return words.rstrip(".")
    found = {kind: re.search(damage, words, re.IGNORECASE) for kind, damage in _DAMAGE.items()}
    places = {kind: match.start() for kind, match in found.items() if match}
    return min(places, key=lambda kind: places[kind]) if places else None
