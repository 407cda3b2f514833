"""How far annotators agree: pure functions on what they decided.

A unit is one candidate of one sample; an annotator's value for it is 1 where the candidate was chosen, else 0, and None where the
annotator did not decide about the sample.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol


class Choice(Protocol):
    """What agreement needs of a decision: the chosen candidates, best first."""

    @property
    def chosen(self) -> Sequence[int]:
        """Indices of candidates, best first; none where none is good."""


def cohen_kappa(one: Sequence[int], other: Sequence[int]) -> float:
    """Cohen's kappa of two annotators over the same units (Cohen, 1960): (p_o - p_e) / (1 - p_e).

    p_o is the share of units on which they agree; p_e the share expected if each kept their own rates and chose by chance.

    Args:
        one: values of the first annotator.
        other: values of the second, in the same order.

    Returns:
        at most 1; 0 is chance; nan where there is no unit, or both gave one and the same value throughout.

    Raises:
        ValueError: lists of different lengths.
    """
    if len(one) != len(other):
        raise ValueError(f"{len(one)} and {len(other)} values: expected one a unit of each annotator.")
    total = len(one)
    if not total:
        return math.nan
    observed = sum(a == b for a, b in zip(one, other, strict=True)) / total
    left, right = Counter(one), Counter(other)
    expected = sum(left[value] * right[value] for value in left) / total**2
    return math.nan if expected == 1 else (observed - expected) / (1 - expected)


def krippendorff_alpha(ratings: Sequence[Sequence[int | None]]) -> float:
    """Krippendorff's alpha for nominal values, any number of annotators and missing values (Krippendorff, 2011, section C).

    1 - D_o / D_e out of the coincidence matrix: a unit with m values adds, for each ordered pair of them, 1 / (m - 1). Units with
    fewer than two values count nowhere.

    Args:
        ratings: one row an annotator, one entry a unit; None where there is no value.

    Returns:
        at most 1; 0 is chance; nan where no unit has two values, or all values are the same.

    Raises:
        ValueError: rows of different lengths.
    """
    if len({len(row) for row in ratings}) > 1:
        raise ValueError(
            f"rows of {sorted({len(row) for row in ratings})} entries: expected one a unit of each annotator."
        )
    matrix: defaultdict[tuple[int, int], float] = defaultdict(float)
    for unit in zip(*ratings, strict=True):
        values = Counter(value for value in unit if value is not None)
        count = sum(values.values())
        if count < 2:
            continue
        for one, times in values.items():
            for other, more in values.items():
                matrix[one, other] += times * (more - (one == other)) / (count - 1)
    totals: defaultdict[int, float] = defaultdict(float)
    for (one, _), weight in matrix.items():
        totals[one] += weight
    total = sum(totals.values())
    expected = total**2 - sum(weight**2 for weight in totals.values())
    if not total or not expected:
        return math.nan
    apart = sum(weight for (one, other), weight in matrix.items() if one != other)
    return 1 - (total - 1) * apart / expected


def agreement(decisions: Mapping[str, Mapping[str, Choice]], candidates: Mapping[str, int]) -> dict[str, Any]:
    """Figures about a set of picks.

    Args:
        decisions: annotator -> sample -> decision.
        candidates: sample -> how many candidates it has; decisions about other samples are left out.

    Returns:
        JSON-able: `annotators`: name -> `decided` samples, of which `none_good`, and `chosen` candidates; `samples`: decided by
        anyone; `shared`: decided by two or more; `same_best`: share of those where all name the same best candidate (or all none),
        in [0, 1]; `cohen_kappa` of two annotators over what both decided; `krippendorff_alpha` of two or more. None stands for a
        figure that is not defined.
    """
    names = sorted(decisions)
    kept = {name: {sample: one for sample, one in decisions[name].items() if sample in candidates} for name in names}
    by_sample = {
        sample: [kept[name][sample] for name in names if sample in kept[name]]
        for sample in sorted({sample for name in names for sample in kept[name]})
    }
    shared = [choices for choices in by_sample.values() if len(choices) > 1]
    same = sum(len({best(choice) for choice in choices}) == 1 for choices in shared)
    rows = [
        [value for sample in by_sample for value in _values(kept[name].get(sample), candidates[sample])]
        for name in names
    ]
    kappa = math.nan
    if len(names) == 2:
        pairs = [(a, b) for a, b in zip(*rows, strict=True) if a is not None and b is not None]
        kappa = cohen_kappa([a for a, _ in pairs], [b for _, b in pairs])
    return {
        "annotators": {
            name: {
                "decided": len(kept[name]),
                "none_good": sum(not choice.chosen for choice in kept[name].values()),
                "chosen": sum(len(choice.chosen) for choice in kept[name].values()),
            }
            for name in names
        },
        "samples": len(by_sample),
        "shared": len(shared),
        "same_best": same / len(shared) if shared else None,
        "cohen_kappa": _plain(kappa),
        "krippendorff_alpha": _plain(krippendorff_alpha(rows)) if len(names) > 1 else None,
    }


def best(choice: Choice) -> int | None:
    """The best candidate; None where none is good."""
    return choice.chosen[0] if choice.chosen else None


def _values(choice: Choice | None, count: int) -> list[int | None]:
    """An annotator's values for the candidates of one sample."""
    return [None] * count if choice is None else [int(index in choice.chosen) for index in range(count)]


def _plain(value: float) -> float | None:
    """JSON knows no nan."""
    return None if math.isnan(value) else value


def described(figures: Mapping[str, Any]) -> Iterator[str]:
    """What `agreement` found, for people."""
    for name, counts in figures["annotators"].items():
        yield f"{name}: {counts['decided']:,} decided, none good in {counts['none_good']:,}, {counts['chosen']:,} chosen"
    if figures["shared"]:
        said = {
            "same best": figures["same_best"],
            "Cohen's kappa": figures["cohen_kappa"],
            "Krippendorff's alpha": figures["krippendorff_alpha"],
        }
        known = ", ".join(f"{label} {value:.3f}" for label, value in said.items() if value is not None)
        yield f"{figures['shared']:,} samples decided by several: {known}"
