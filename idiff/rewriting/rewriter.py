"""Multiply hand-written sentences by a language model, and keep only what passes the checks of the bank.

Source: InstructDiffusion, section 3.1: ten instructions a task by hand, rewritten and expanded by GPT-4. That expansion was
never released. What a model answers is data: it is parsed, checked and written down, never run or asked again as a prompt.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from idiff.rewriting.responses import Messages
from idiff.tasks.instructions.instruction_checks import Known, fault_of
from idiff.tasks.instructions.kinds import Kind

STYLES = (
    "short commands", "polite requests", "questions", "sentences that describe the wanted result", "casual speech",
    "precise technical language", "two short sentences each", "sentences that first say what is wrong or wanted, and why",
)  # fmt: skip

_SYSTEM = (
    "You write instructions that people give to an image editing program. You answer with one JSON object of the form "
    '{"rewrites": ["...", "..."]} and nothing else.'
)
_FENCE = re.compile(r"\A```(?:json)?\s*\n(.*)\n```\Z", re.DOTALL)
_SHOWN = 300

Ask = Callable[[Messages, Callable[[str], list[str]]], "list[str] | None"]
"""Sends a prompt and reads the answer; None where no answer could be read. See `Endpoint.ask`."""


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt: `wanted` rewrites of a seed."""

    number: int
    seed: str
    wanted: int
    messages: Messages


@dataclass(slots=True)
class Rewriting:
    """What came of it.

    Attributes:
        kind: of the sentences.
        seeds: those that were multiplied.
        accepted: new sentences that passed every check, in the order they came.
        rejected: `{"kind", "request", "seed", "rewrite", "reason"}` of each that did not.
        requests: prompts that were asked.
    """

    kind: Kind
    seeds: list[str]
    accepted: list[str] = field(default_factory=list)
    rejected: list[dict[str, str | int]] = field(default_factory=list)
    requests: int = 0


def requests(kind: Kind, seeds: Sequence[str], *, per_request: int) -> Iterator[Request]:
    """Prompts without end: each seed in turn, each time in another style. A pure function of its arguments."""
    number = 0
    while True:
        turn, place = divmod(number, len(seeds))
        style = STYLES[(place + turn) % len(STYLES)]
        yield Request(number, seeds[place], per_request, _prompt(kind, seeds[place], style, turn, wanted=per_request))
        number += 1


def most_requests(count: int, *, per_request: int) -> int:
    """Prompts after which rewriting stops, however few sentences passed."""
    return 4 * math.ceil(count / per_request)


def rewrite(
    kind: Kind, seeds: Sequence[str], ask: Ask, *, count: int, per_request: int, limit: int, avoid: Sequence[str] = ()
) -> Rewriting:
    """Ask until enough sentences passed.

    Args:
        kind: of the sentences.
        seeds: sentences to multiply.
        ask: sends a prompt.
        count: sentences wanted, the seeds not among them.
        per_request: rewrites that one prompt asks for.
        limit: most prompts.
        avoid: sentences that must not be repeated either, such as the unseen ones of the bank.

    Raises:
        ServiceError: from `ask`.
    """
    done, known = Rewriting(kind, list(seeds)), Known()
    for line in (*seeds, *avoid):
        known.add(line)
    for request in requests(kind, seeds, per_request=per_request):
        if len(done.accepted) >= count or done.requests >= limit:
            return done
        done.requests += 1
        found = ask(request.messages, read_answer)
        if found is None:
            _reject(done, request, "", "no usable answer: not the JSON that was asked for, or cut")
            continue
        for place, text in enumerate(found):
            line = text.strip(" ")
            twin = None
            reason = "more than were asked for" if place >= request.wanted else fault_of(line, kind)
            if reason is None:
                twin = known.twin(line)
            if twin is not None:
                reason = f"it nearly repeats '{twin}'"
            if reason is not None:
                _reject(done, request, text, reason)
            elif len(done.accepted) < count:
                known.add(line)
                done.accepted.append(line)
    return done


def read_answer(text: str) -> list[str]:
    """The sentences of an answer: a JSON object with a list of strings `rewrites`, perhaps in a fence of backticks.

    Raises:
        ValueError: it is anything else.
    """
    fenced = _FENCE.match(text.strip())
    try:
        value = json.loads(fenced.group(1) if fenced else text)
    except RecursionError:
        raise ValueError("nested too deep") from None
    found = value.get("rewrites") if isinstance(value, dict) else None
    if not isinstance(found, list) or not found or not all(isinstance(line, str) for line in found):
        raise ValueError('expected {"rewrites": [strings]}')
    return [str(line) for line in found]


def _reject(done: Rewriting, request: Request, text: str, reason: str) -> None:
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text):,} characters)"
    done.rejected.append(
        {"kind": done.kind.name, "request": request.number, "seed": request.seed, "rewrite": shown, "reason": reason}
    )


def _prompt(kind: Kind, seed: str, style: str, turn: int, *, wanted: int) -> Messages:
    slots = ", ".join(f"{{{name}}}" for name in sorted(kind.slots))
    rules = [
        f"Write {wanted} new ways to say the sentence below, as {style} (set {turn + 1}). What it asks for stays the same: "
        f"{kind.asks}.",
        f"Sentence: {seed}",
        f"Each holds {slots} exactly once, written just like that, with no other braces."
        if slots
        else "Use no braces.",
        "Keep them plain: no lists, markup, addresses or quotation of these rules; at most 25 words each; no two alike.",
    ]
    if kind.clause:
        names = ", ".join(f"{{{name}}}" for name in sorted(kind.clause))
        rules.insert(
            3, f"After one bar `|` comes a clause of at most 5 words with {names}, once each; it replaces {slots}."
        )
    return [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": "\n".join(rules)}]
