"""A shuffle that is a function: the i-th item of an epoch without a stored permutation.

A keyed Feistel network over whole numbers: memory does not grow with the size of the set, and any position can be asked
first, which is what exact resume needs.

Source: Black and Rogaway, "Ciphers with Arbitrary Finite Domains", CT-RSA 2002 (the generalised Feistel construction
over a x b rectangles, with cycle walking); the round function is the finaliser of SplitMix64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from idiff.utils.seeds import hash64

_WORD = (1 << 64) - 1
_ROUNDS = 4


def _mix(value: int) -> int:
    """The finaliser of SplitMix64: every bit of the input reaches every bit of the 64-bit output."""
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _WORD
    return value ^ (value >> 31)


@dataclass(frozen=True, slots=True)
class Bijection:
    """A one-to-one map of 0..n-1 onto itself. Build it with `bijection`.

    A number is written as (left, right) in a rectangle of `rows * columns >= n` cells; each round adds a keyed hash of
    one half to the other. What falls outside 0..n-1 is mapped again until it falls inside, which keeps the map exact;
    the rectangle has fewer than sqrt(n) + 1 cells too many, so that this is rare.
    """

    n: int
    rows: int
    columns: int
    keys: tuple[int, ...]

    def __call__(self, index: int) -> int:
        """Map 0 <= index < n to 0 <= result < n.

        Raises:
            IndexError: the index lies outside.
        """
        if not 0 <= index < self.n:
            raise IndexError(f"index {index} is outside 0..{self.n - 1}")
        while True:
            left, right = divmod(index, self.columns)
            for number, key in enumerate(self.keys):
                if number % 2 == 0:
                    left = (left + _mix(right ^ key)) % self.rows
                else:
                    right = (right + _mix(left ^ key)) % self.columns
            index = left * self.columns + right
            if index < self.n:
                return index


@lru_cache(maxsize=1024)
def bijection(seed: int, epoch: int, n: int) -> Bijection:
    """Return the order of one epoch over n items.

    Args:
        seed: another seed gives another order.
        epoch: another epoch gives another order.
        n: how many items, at least 1.

    Raises:
        ValueError: n is less than 1.

    >>> order = bijection(0, 3, 5)
    >>> sorted(order(i) for i in range(5))
    [0, 1, 2, 3, 4]
    """
    if n < 1:
        raise ValueError(f"cannot order {n=} items, expected at least 1")
    rows = math.isqrt(n - 1) + 1
    columns = -(-n // rows)
    keys = tuple(hash64(seed, "order", epoch, number) for number in range(_ROUNDS))
    return Bijection(n=n, rows=rows, columns=columns, keys=keys)
