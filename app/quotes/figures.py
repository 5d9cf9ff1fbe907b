"""The figures of known lines: a few packed words each, so that those of all lines of a batch are one array and are added up at once.

A line's words are: where it begins, with its flags; its amounts and what is counted of it; then one word for each promotion that is a
candidate on it.
"""

from collections.abc import Sequence
from struct import pack
from typing import Final, NamedTuple

import numpy as np

from app.pricing.watched import NO_COST

TAX_INCLUDED: Final = 1
HAS_OFFERS: Final = 2

# Amounts stay far within these two.
_BEGINS: Final = -(1 << 62)
_RULE: Final = 1 << 61
_NUMBER_BITS: Final = 40
_SUMMED: Final = np.arange(1, 6)[:, np.newaxis]


class Numbering(dict[str, int]):
    """Numbers for names, in the order in which they come."""

    def __missing__(self, name: str) -> int:
        number = self[name] = len(self)
        return number


class Sums(NamedTuple):
    """What the lines of each basket come to."""

    subtotal_minor: list[int]
    total_minor: list[int]
    held: list[int]  # bounds of guardrails, as pricing.watched has them
    costed_minor: list[int]  # the part of the total that is of lines whose cost is known
    cost_minor: list[int]
    flags_of_any: list[int]
    flags_of_all: list[int]
    shared: dict[int, list[int]]  # of the baskets that have any: the candidates of more than one line, by number, ascending


def pack_figures(*, flags: int, subtotal_minor: int, total_minor: int, held: int, cost_minor: int, rules: Sequence[int]) -> bytes:
    """The words of a line; `rules` numbers its candidates, each once."""
    costed = (0, 0) if cost_minor == NO_COST else (total_minor, cost_minor)
    words = (_BEGINS | flags, subtotal_minor, total_minor, held, *costed, *(_RULE | rule for rule in rules))
    return pack(f"={len(words)}q", *words)


def add_up(figures: Sequence[bytes], n_lines: Sequence[int]) -> Sums:
    """Add up the packed figures of lines, which stand basket by basket; `n_lines` tells how many each basket has, at least one."""
    words = np.frombuffer(b"".join(figures), np.int64)
    begins = np.flatnonzero(words < _BEGINS >> 1)
    counts = np.array(n_lines)
    firsts = np.cumsum(counts) - counts
    flags = words[begins] - _BEGINS
    at = np.flatnonzero(words >= _RULE)
    # Words of one basket and one rule are equal now, and stand together once they are sorted.
    own_words = np.diff(np.append(begins[firsts], words.size))
    places = words[at] - _RULE + np.repeat(np.arange(counts.size) << _NUMBER_BITS, own_words)[at]
    places.sort()
    twice = places[1:][places[1:] == places[:-1]]
    subtotal, total, held, costed, cost = np.add.reduceat(words[begins + _SUMMED], firsts, axis=1).tolist()
    return Sums(
        subtotal,
        total,
        held,
        costed,
        cost,
        np.bitwise_or.reduceat(flags, firsts).tolist(),
        np.bitwise_and.reduceat(flags, firsts).tolist(),
        _by_basket(twice.tolist()) if twice.size else {},
    )


def _by_basket(twice: list[int]) -> dict[int, list[int]]:
    """The rules of places, by basket; a place may be there more than once."""
    shared: dict[int, list[int]] = {}
    for place in dict.fromkeys(twice):
        basket, rule = divmod(place, 1 << _NUMBER_BITS)
        shared.setdefault(basket, []).append(rule)
    return shared
