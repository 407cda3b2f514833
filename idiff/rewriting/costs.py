"""What a rewriting asks of a service: prompts, tokens, and money."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from idiff.errors import ConfigError
from idiff.rewriting.endpoint import Endpoint
from idiff.rewriting.responses import Messages
from idiff.rewriting.rewriter import requests
from idiff.tasks.instructions.kinds import Kind
from idiff.utils.tokens import count_tokens

ANSWERED = 30
"""Tokens of one rewrite, about."""

Price = tuple[float, float]
"""Money for a million tokens that are asked, and that are answered."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What would be sent.

    Attributes:
        prompt: the first prompt, as lines.
        totals: at best, when all rewrites pass, and at most: (words, requests, tokens asked, tokens answered).
    """

    prompt: str
    totals: list[tuple[str, int, int, int]]


def estimate(
    seeds: Mapping[Kind, Sequence[str]],
    known: Callable[[Messages], bool],
    *,
    count: int,
    per_request: int,
    limit: int,
) -> Estimate:
    """Count what would be sent, without sending it.

    Args:
        seeds: the sentences to multiply, by kind.
        known: whether the answer to a prompt is kept already.
        count: new sentences wanted of each kind.
        per_request: rewrites asked for at once.
        limit: most prompts of each kind.
    """
    best = min(math.ceil(count / per_request), limit)
    shown: str | None = None
    totals = {best: [0, 0], limit: [0, 0]}
    for kind, lines in seeds.items():
        for request in requests(kind, list(lines), per_request=per_request):
            if request.number >= limit:
                break
            shown = shown or "\n".join(f"  {line}" for part in request.messages for line in part["content"].split("\n"))
            if known(request.messages):
                continue
            tokens = sum(count_tokens(part["content"]) for part in request.messages)
            for most, total in totals.items():
                if request.number < most:
                    total[0] += 1
                    total[1] += tokens
    return Estimate(
        str(shown),
        [
            (name, number, tokens, number * per_request * ANSWERED)
            for name, (number, tokens) in (("at best", totals[best]), ("at most", totals[limit]))
        ],
    )


def money(asked: int, answered: int, price: Price | None) -> str:
    """What tokens cost, in words that follow their numbers."""
    if price is None:
        return "; give --price MODEL=IN,OUT to see the cost"
    return f", {(asked * price[0] + answered * price[1]) / 1e6:.4f} at {price[0]:g} and {price[1]:g} a million"


def spent(endpoint: Endpoint, price: Price | None) -> str:
    """What was sent and answered, in words."""
    return (
        f"{endpoint.sent} requests sent, {endpoint.cached} answered from memory: {endpoint.asked:,} tokens asked and "
        f"{endpoint.answered:,} answered{money(endpoint.asked, endpoint.answered, price)}"
    )


def read_price(text: str) -> tuple[str, Price]:
    """A model and its price, from `MODEL=IN,OUT`.

    Raises:
        ConfigError: other text.
    """
    model, _, numbers = text.rpartition("=")
    try:
        asked, answered = (float(number) for number in numbers.split(","))
        if not model or not 0 <= asked < math.inf or not 0 <= answered < math.inf:
            raise ValueError
    except ValueError:
        raise ConfigError(
            f"--price {text}: expected MODEL=IN,OUT, such as gpt-4=30,60, for a million tokens each."
        ) from None
    return model, (asked, answered)
