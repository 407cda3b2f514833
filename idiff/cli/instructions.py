"""`idiff instructions`: check sentences that ask for a task, and multiply them with a language model."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from idiff.cli.arguments import WordParser, at_least_one
from idiff.errors import ConfigError, ServiceError
from idiff.utils.files import write_atomic

if TYPE_CHECKING:
    from idiff.rewriting.endpoint import Endpoint
    from idiff.rewriting.responses import Answers
    from idiff.rewriting.rewriter import Rewriting
    from idiff.tasks.instructions.kinds import Kind

MADE = "# Rewritten by `idiff instructions rewrite`"
"""How a file begins that `rewrite` made, and may write again."""


def run(argv: list[str]) -> int:
    """Run `idiff instructions ...`.

    Returns:
        0 done; 1 a check found faults, or fewer sentences passed than were wanted.

    Raises:
        IdiffError: bad input, or a service that fails.
    """
    arguments = parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = arguments.command
    return command(arguments)


def parser() -> WordParser:
    """Options of `idiff instructions`."""
    top = WordParser(prog="idiff instructions", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    text = "check the shipped sentences of a kind, or a file; exit 0, or 1 and each line's fault"
    child = commands.add_parser("check", help=text, description=text)
    child.set_defaults(command=_check)
    child.add_argument("what", metavar="FILE|KIND", nargs="*", help="default: everything that ships")
    child.add_argument("--kind", metavar="KIND", help="of a file whose name does not tell; `editing`: its lines do")
    text = "write more sentences like the seeds through a service that speaks OpenAI's chat completions"
    child = commands.add_parser("rewrite", help=text, description=text)
    child.set_defaults(command=_rewrite)
    add = child.add_argument
    add(
        "kind",
        metavar="KIND",
        help="segmentation, referring, keypoints, detection, classification, denoise, deblur, dewatermark, editing, or one edit",
    )
    add("--out", metavar="FILE.txt", required=True, help="the bank to write; what was rejected goes beside it")
    add("--seeds", metavar="FILE", help="sentences to multiply; default: the seeds of the shipped bank")
    add("--count", type=at_least_one, default=100, metavar="N", help="new sentences wanted, of each kind (100)")
    add("--per-request", type=at_least_one, default=10, metavar="N", help="rewrites asked for at once (10)")
    add("--max-requests", type=at_least_one, metavar="N", help="most prompts, of each kind (4 x COUNT / PER_REQUEST)")
    add("--model", default="gpt-4", metavar="NAME", help="model of the service (gpt-4)")
    add(
        "--base-url", default="https://api.openai.com/v1", metavar="URL", help="of the service; its key: OPENAI_API_KEY"
    )
    add("--cache", metavar="FILE", help="where answers are kept (OUT.answers.sqlite3)")
    add("--temperature", type=_number(0.0), default=1.0, metavar="X", help="of sampling (1)")
    add("--timeout", type=_number(0.01), default=60.0, metavar="S", help="seconds to wait for an answer (60)")
    add("--retries", type=int, choices=range(21), default=5, metavar="N", help="repeats of a request that fails (5)")
    add("--per-minute", type=_number(0.01), default=60.0, metavar="N", help="most requests a minute (60)")
    add("--price", action="append", default=[], metavar="MODEL=IN,OUT", help="money for a million tokens; once a model")
    add("--dry-run", action="store_true", help="send nothing; say what would be sent and what it may cost")
    return top


def _check(arguments: argparse.Namespace) -> int:
    from idiff.cli.instruction_files import shipped, where
    from idiff.tasks.instructions.checks import check_text, numbered

    faults = 0
    for what in arguments.what or shipped():
        for file in where(what, kind=arguments.kind):
            found = list(check_text(file.text, file.kind, known=file.avoid))
            for fault in found:
                at = f"{file.name}:{fault.line}" if fault.line else file.name
                _say(f"{at}: {fault.reason}" + (f" | {fault.sentence[:100]!r}" if fault.sentence else ""))
            faults += len(found)
            if not found:
                _say(f"{file.name}: sound; {sum(1 for _ in numbered(file.text, file.kind))} sentences")
    return 1 if faults else 0


def _rewrite(arguments: argparse.Namespace) -> int:
    from idiff.cli.instruction_files import seeds_of, unseen_of
    from idiff.rewriting.endpoint import Endpoint
    from idiff.rewriting.responses import Answers
    from idiff.rewriting.rewriter import most_requests, rewrite

    out = _free(Path(arguments.out))
    prices = dict(_price(text) for text in arguments.price)
    seeds = seeds_of(arguments.kind, arguments.seeds)
    limit = arguments.max_requests or most_requests(arguments.count, per_request=arguments.per_request)
    cache = Path(arguments.cache or out.with_suffix(".answers.sqlite3"))
    if arguments.dry_run:
        _plan(arguments, seeds, cache, limit=limit, price=prices.get(arguments.model))
        return 0
    with Answers(cache) as answers:
        endpoint = Endpoint(
            arguments.model, url=arguments.base_url, answers=answers, temperature=arguments.temperature,
            timeout=arguments.timeout, retries=arguments.retries, per_minute=arguments.per_minute,
        )  # fmt: skip
        done: list[Rewriting] = []
        try:
            for kind, lines in seeds.items():
                done.append(
                    rewrite(
                        kind, lines, endpoint.ask, count=arguments.count, per_request=arguments.per_request, limit=limit,
                        avoid=unseen_of(kind.name),
                    )
                )  # fmt: skip
        except (ServiceError, KeyboardInterrupt):
            _spent(endpoint, prices.get(arguments.model))
            raise
    _write(
        out, done, model=arguments.model, marked=arguments.kind == "editing" or next(iter(seeds)).name != arguments.kind
    )
    _spent(endpoint, prices.get(arguments.model))
    return _told(out, done, wanted=arguments.count)


def _plan(
    arguments: argparse.Namespace,
    seeds: dict[Kind, list[str]],
    cache: Path,
    *,
    limit: int,
    price: tuple[float, float] | None,
) -> None:
    """Say what would be sent: at best, when all rewrites pass, and at most."""
    from idiff.rewriting.responses import Answers
    from idiff.rewriting.rewriter import requests
    from idiff.utils.tokens import count_tokens

    best = min(math.ceil(arguments.count / arguments.per_request), limit)
    shown: str | None = None
    totals = {best: [0, 0], limit: [0, 0]}
    answers: Answers | None = Answers(cache) if cache.exists() else None
    for kind, lines in seeds.items():
        for request in requests(kind, lines, per_request=arguments.per_request):
            if request.number >= limit:
                break
            shown = shown or "\n".join(f"  {line}" for part in request.messages for line in part["content"].split("\n"))
            if answers is not None and answers.find(arguments.model, request.messages) is not None:
                continue
            tokens = sum(count_tokens(part["content"]) for part in request.messages)
            for most, total in totals.items():
                if request.number < most:
                    total[0] += 1
                    total[1] += tokens
    _say(f"nothing is sent. The first prompt would be:\n{shown}")
    for name, most in (("at best", best), ("at most", limit)):
        number, asked = totals[most]
        answered = number * arguments.per_request * 30
        _say(
            f"{name}: {number} requests, about {asked:,} tokens asked and {answered:,} answered{_money(asked, answered, price)}"
        )


def _spent(endpoint: Endpoint, price: tuple[float, float] | None) -> None:
    _say(
        f"{endpoint.sent} requests sent, {endpoint.cached} answered from memory: {endpoint.asked:,} tokens asked and "
        f"{endpoint.answered:,} answered{_money(endpoint.asked, endpoint.answered, price)}"
    )


def _money(asked: int, answered: int, price: tuple[float, float] | None) -> str:
    if price is None:
        return "; give --price MODEL=IN,OUT to see the cost"
    return f", {(asked * price[0] + answered * price[1]) / 1e6:.4f} at {price[0]:g} and {price[1]:g} a million"


def _write(out: Path, done: list[Rewriting], *, model: str, marked: bool) -> None:
    """The bank, and what was rejected: each whole or not at all."""
    named = "".join(c for c in model if c.isprintable())[:80]
    text = [f"{MADE} with {named}; slots, tokens, task and near-duplicates were checked."]
    for one in done:
        before = f"{one.kind.name}: " if marked else ""
        text += ["# seeds", *(before + line for line in one.seeds), "# more", *(before + line for line in one.accepted)]
    rejected = [json.dumps(entry, sort_keys=True) for one in done for entry in one.rejected]
    for path, lines in ((out.with_suffix(".rejected.jsonl"), rejected), (out, text)):
        write_atomic(path, "".join(f"{line}\n" for line in lines))


def _told(out: Path, done: list[Rewriting], *, wanted: int) -> int:
    """Say what passed; 1 where it is too little."""
    for one in done:
        refused = f", {len(one.rejected)} rejected" if one.rejected else ""
        _say(f"{one.kind.name}: {len(one.accepted)} of {wanted} new sentences from {len(one.seeds)} seeds{refused}")
    _say(
        f"{out}: written"
        + (f"; reasons in {out.with_suffix('.rejected.jsonl')}" if any(o.rejected for o in done) else "")
    )
    return 0 if all(len(one.accepted) >= wanted for one in done) else 1


def _free(out: Path) -> Path:
    """A file that can be written: new, or one that `rewrite` made.

    Raises:
        ConfigError: it is another file, or its folder cannot be written.
    """
    if out.suffix != ".txt":
        raise ConfigError(f"--out {out}: expected a name that ends in .txt.")
    if not out.parent.is_dir() or out.is_dir() or not os.access(out.parent, os.W_OK):
        raise ConfigError(f"--out {out} cannot be written: expected a file in a folder that exists and can be written.")
    if out.exists():
        with out.open("rb") as stream:
            if not stream.read(len(MADE)).decode("utf-8", "replace").startswith(MADE):
                raise ConfigError(
                    f"--out {out} is a file that `rewrite` did not make: give another name, or move it away."
                )
    return out


def _price(text: str) -> tuple[str, tuple[float, float]]:
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


def _number(least: float) -> Callable[[str], float]:
    """A finite number of `least` or more, for argparse's `type`."""

    def read(word: str) -> float:
        number = float(word)
        if not least <= number < math.inf:
            raise argparse.ArgumentTypeError(f"got {word}, expected a number of {least:g} or more")
        return number

    return read


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
