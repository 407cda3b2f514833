"""The options of `idiff data build` that its source brings: the arguments of the source's constructor."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from idiff.errors import ConfigError, suggest

if TYPE_CHECKING:
    from idiff.data.sources.constructor_options import Option

OWN = ("--help", "--split", "--out", "--limit", "--workers", "--executor", "--shard-size", "--verify")
"""Options of the command itself."""


def options_for(source: str) -> Mapping[str, Option]:
    """What a source takes, by argument name. Imports it.

    Raises:
        ConfigError: there is no such source, or it needs what no option can give.
    """
    from idiff.data.sources import find
    from idiff.data.sources.constructor_options import options_of

    return options_of(find(source), name=source)


def add_source_options(child: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """Add the options of the source that some words name. Which are missing is said when it is made.

    Args:
        child: the parser of `idiff data build`.
        words: what it is about to parse.

    Raises:
        ConfigError: an unknown source, an option that it does not take, or one that has the name of an option in `OWN`.
    """
    source = _source_in(words)
    if source is None:
        return
    child.epilog = None
    group = child.add_argument_group(f"options of {source}")
    flags = []
    for option in options_for(source).values():
        flags.append(option.flag)
        if option.name == "split":
            continue
        if option.flag in OWN:
            raise ConfigError(
                f"source {source}: its argument {option.name} has the name of an option of `idiff data build`. Rename it."
            )
        kinds: dict[str, Any] = {"type": option.kind, "metavar": option.name.upper()}
        if option.kind is bool:
            kinds = {"action": argparse.BooleanOptionalAction}
            flags.append(f"--no-{option.flag[2:]}")
        elif option.choices:
            kinds = {"type": option.kind, "choices": option.choices}
        if option.many:
            kinds["nargs"] = "+"
        text = option.text.replace("%", "%%") + (" (required)" if option.required else "")
        group.add_argument(option.flag, dest=f"source.{option.name}", help=text.strip(), default=None, **kinds)
    for word in (word.partition("=")[0] for word in words if word.startswith("--")):
        if not any(flag.startswith(word) for flag in (*OWN, *flags)):
            near = suggest(word, [*flags, *OWN[3:]]) or "."
            raise ConfigError(f"source {source} takes no {word}{near} It takes {', '.join(flags) or 'no options'}.")


def given_options(arguments: argparse.Namespace, options: Mapping[str, Option]) -> dict[str, Any]:
    """The options that were given: argument -> value."""
    given = {name: getattr(arguments, "split" if name == "split" else f"source.{name}") for name in options}
    return {name: value for name, value in given.items() if value is not None}


def _source_in(words: Sequence[str]) -> str | None:
    """The first word that is neither an option nor an option's value."""
    left = iter(words)
    for word in left:
        if not word.startswith("-"):
            return word
        if word not in {"-h", "--help"} and "=" not in word:
            next(left, None)
    return None
