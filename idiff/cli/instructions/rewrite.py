"""`idiff instructions rewrite`: more sentences like the seeds, by a language model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from idiff.cli.arguments import at_least_one, number_from, say
from idiff.errors import ServiceError

if TYPE_CHECKING:
    from idiff.rewriting.costs import Price
    from idiff.rewriting.rewriter import Rewriting
    from idiff.tasks.instructions.kinds import Kind


def add_arguments(child: argparse.ArgumentParser) -> None:
    """Add the options of the command to its parser."""
    add = child.add_argument
    add(
        "kind",
        metavar="KIND",
        help="a kind of sentence, such as segmentation, keypoints, depth or denoise; editing, or one edit",
    )
    add("--out", metavar="FILE.txt", required=True, help="the bank to write; what was rejected goes beside it")
    add("--seeds", metavar="FILE", help="sentences to multiply; default: the seeds of the shipped bank")
    add("--count", type=at_least_one, default=100, metavar="N", help="new sentences wanted, of each kind (100)")
    add("--per-request", type=at_least_one, default=10, metavar="N", help="rewrites per request (10)")
    add("--max-requests", type=at_least_one, metavar="N", help="most prompts, of each kind (4 x COUNT / PER_REQUEST)")
    add("--model", default="gpt-4", metavar="NAME", help="model of the service (gpt-4)")
    add(
        "--base-url", default="https://api.openai.com/v1", metavar="URL", help="of the service; its key: OPENAI_API_KEY"
    )
    add("--cache", metavar="FILE", help="where answers are kept (OUT.answers.sqlite3)")
    add("--temperature", type=number_from(0.0), default=1.0, metavar="X", help="of sampling (1)")
    add("--timeout", type=number_from(0.01), default=60.0, metavar="S", help="seconds to wait for an answer (60)")
    add("--retries", type=int, choices=range(21), default=5, metavar="N", help="repeats of a request that fails (5)")
    add("--per-minute", type=number_from(0.01), default=60.0, metavar="N", help="most requests a minute (60)")
    add("--price", action="append", default=[], metavar="MODEL=IN,OUT", help="money for a million tokens; once a model")
    add("--dry-run", action="store_true", help="send nothing; say what would be sent and what it may cost")


def run(arguments: argparse.Namespace) -> int:
    """Write a bank of new sentences.

    Returns:
        0; 1 where fewer sentences passed than were wanted.

    Raises:
        IdiffError: bad input, or a service that fails.
    """
    from idiff.rewriting.bank_output import free, write_bank
    from idiff.rewriting.costs import read_price, spent
    from idiff.rewriting.endpoint import Endpoint
    from idiff.rewriting.responses import ResponseCache
    from idiff.rewriting.rewriter import most_requests, rewrite
    from idiff.tasks.instructions.bank_files import seeds_of, unseen_of

    out = free(Path(arguments.out))
    price = dict(read_price(text) for text in arguments.price).get(arguments.model)
    seeds = seeds_of(arguments.kind, arguments.seeds)
    limit = arguments.max_requests or most_requests(arguments.count, per_request=arguments.per_request)
    cache = Path(arguments.cache or out.with_suffix(".answers.sqlite3"))
    if arguments.dry_run:
        _plan(arguments, seeds, cache, limit=limit, price=price)
        return 0
    with ResponseCache(cache) as answers:
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
            say(spent(endpoint, price))
            raise
    marked = arguments.kind == "editing" or next(iter(seeds)).name != arguments.kind
    rejected = write_bank(out, done, model=arguments.model, marked=marked)
    say(spent(endpoint, price))
    return _told(out, done, rejected=rejected, wanted=arguments.count)


def _plan(
    arguments: argparse.Namespace, seeds: dict[Kind, list[str]], cache: Path, *, limit: int, price: Price | None
) -> None:
    """Say what would be sent: at best, when all rewrites pass, and at most."""
    from idiff.rewriting.costs import estimate, money
    from idiff.rewriting.responses import ResponseCache

    answers = ResponseCache(cache) if cache.exists() else None
    found = estimate(
        seeds, lambda messages: answers is not None and answers.find(arguments.model, messages) is not None,
        count=arguments.count, per_request=arguments.per_request, limit=limit,
    )  # fmt: skip
    say(f"nothing is sent. The first prompt would be:\n{found.prompt}")
    for name, number, asked, answered in found.totals:
        cost = money(asked, answered, price)
        say(f"{name}: {number} requests, about {asked:,} tokens asked and {answered:,} answered{cost}")


def _told(out: Path, done: list[Rewriting], *, rejected: Path, wanted: int) -> int:
    """Say what passed; 1 where it is too little."""
    for one in done:
        refused = f", {len(one.rejected)} rejected" if one.rejected else ""
        say(f"{one.kind.name}: {len(one.accepted)} of {wanted} new sentences from {len(one.seeds)} seeds{refused}")
    say(f"{out}: written" + (f"; reasons in {rejected}" if any(o.rejected for o in done) else ""))
    return 0 if all(len(one.accepted) >= wanted for one in done) else 1
