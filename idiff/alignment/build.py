"""Picks to shards: the chosen candidates as targets of editing samples, and what lost against them beside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from idiff.alignment.agreement import Choice
from idiff.alignment.candidates import CandidateFolder, CandidateSample
from idiff.data.sources.base import RawSample, Source
from idiff.errors import BadSampleError, DataError, unknown
from idiff.utils.seeds import hash64
from idiff.utils.strings import safe_name

RULES = ("union", "majority")
"""`union`: chosen by anyone. `majority`: chosen by more than half of those who decided about the sample."""

PAIRS = ("one", "all")
"""Losers a chosen candidate is paired with: one, drawn by the key, or each in a sample of its own."""


@dataclass(frozen=True, slots=True)
class Pick:
    """One sample of the set that is built.

    Attributes:
        sample: number of the candidates' sample.
        chosen: index of the chosen candidate.
        rejected: index of the one that lost; None where all were chosen.
        votes: annotators who chose it. voters: annotators who decided about the sample.
    """

    sample: str
    chosen: int
    rejected: int | None
    votes: int
    voters: int


def winners(choices: list[Choice], *, rule: str) -> list[int]:
    """Candidates that are chosen, by votes, then by how often they were named first, then by number.

    Args:
        choices: what each annotator decided about one sample.
        rule: one of `RULES`.

    Raises:
        ConfigError: an unknown rule.
    """
    if rule not in RULES:
        raise unknown("rule", rule, RULES)
    votes = {index: sum(index in choice.chosen for choice in choices) for choice in choices for index in choice.chosen}
    firsts = {index: sum(choice.chosen[:1] == (index,) for choice in choices) for index in votes}
    least = len(choices) / 2 if rule == "majority" else 0
    return sorted(
        (index for index, count in votes.items() if count > least), key=lambda one: (-votes[one], -firsts[one], one)
    )


def picks_of(
    decisions: Mapping[str, Mapping[str, Choice]],
    candidates: Mapping[str, int],
    *,
    rule: str = "union",
    pairs: str = "one",
) -> list[Pick]:
    """What is built of a set of decisions, in the order of samples and candidates.

    A candidate has lost where nobody chose it. With `pairs="one"` the loser is drawn by a hash of sample and winner.

    Args:
        decisions: annotator -> sample -> decision.
        candidates: sample -> how many candidates it has.
        rule: one of `RULES`.
        pairs: one of `PAIRS`.

    Raises:
        ConfigError: an unknown rule, or an unknown way to pair.
        DataError: a decision names a candidate that does not exist.
    """
    if pairs not in PAIRS:
        raise unknown("way to pair", pairs, PAIRS)
    found = []
    for sample, count in sorted(candidates.items()):
        choices = [by_sample[sample] for _, by_sample in sorted(decisions.items()) if sample in by_sample]
        liked = {index for choice in choices for index in choice.chosen}
        if liked and max(liked) >= count:
            raise DataError(
                f"sample {sample}: candidate {max(liked)} was chosen of {count}: the picks are of another folder."
            )
        lost = [index for index in range(count) if index not in liked]
        for chosen in sorted(winners(choices, rule=rule)):
            against: list[int | None] = list(lost) or [None]
            if pairs == "one":
                against = [against[hash64("align", sample, chosen, "rejected") % len(against)]]
            votes = sum(chosen in choice.chosen for choice in choices)
            found += [Pick(sample, chosen, loser, votes, len(choices)) for loser in against]
    return found


class PickedEdits(Source):
    """One editing sample a chosen candidate: source, prompt, the candidate as target, and a `rejected` one.

    Images pass through unchanged and are checked against their SHA-256. `annotation`: `instruction`, and `picked`: key of the
    image, number of the sample, the chosen candidate with its guidance, the rejected one, votes and voters.

    Args:
        folder: of candidates.
        picks: see `picks_of`.
        stages: steps of the choice -> samples left, for the manifest.

    Raises:
        DataError: nothing was chosen.
    """

    tasks = ("editing",)

    def __init__(self, folder: CandidateFolder, picks: list[Pick], *, stages: Mapping[str, int]) -> None:
        if not picks:
            raise DataError(
                f"{folder.path}: no candidate was chosen, so there is nothing to build. Pick some with `idiff align pick`, or "
                "choose other annotators or another rule."
            )
        self.folder, self.picks, self.stages = folder, picks, dict(stages)

    def meta(self) -> dict[str, Any]:
        """None: sentences and images alone."""
        return {}

    def __len__(self) -> int:
        """Chosen candidates, each with one loser."""
        return len(self.picks)

    def funnel(self) -> dict[str, int]:
        """Samples with candidates, samples decided, samples where something was chosen, pairs."""
        return self.stages | {"pairs": len(self)}

    def sample(self, index: int) -> RawSample:
        """Read one chosen candidate and what lost. See `Source.sample`."""
        pick = self.picks[index]
        try:
            facts = self.folder.read(pick.sample)
            return _sample(self.folder, facts, pick)
        except DataError as error:
            raise BadSampleError(pick.sample, "candidates", str(error)) from error


def _sample(folder: CandidateFolder, facts: CandidateSample, pick: Pick) -> RawSample:
    chosen = facts.candidates[pick.chosen]
    rejected = None if pick.rejected is None else facts.candidates[pick.rejected]
    name = f"{facts.key}-{pick.chosen:02d}" + ("" if pick.rejected is None else f"-{pick.rejected:02d}")
    picked = {
        "key": facts.key, "sample": facts.sample, "candidate": pick.chosen, "rejected": pick.rejected,
        "guidance_text": chosen.sampling.get("guidance_text"), "guidance_image": chosen.sampling.get("guidance_image"),
        "votes": pick.votes, "voters": pick.voters,
    }  # fmt: skip
    return RawSample(
        key=safe_name(name),
        image=folder.picture(facts, facts.source["file"], facts.source.get("sha256")),
        annotation={"instruction": facts.instruction, "picked": picked},
        target=folder.picture(facts, chosen.file, chosen.sha256),
        rejected=None if rejected is None else folder.picture(facts, rejected.file, rejected.sha256),
    )
