"""Splitting an amount over lines, to the cent, within what each of them can take."""

from collections.abc import Sequence
from fractions import Fraction

from tests.reference.figures import floor_of, rounded


def allocate(amount: int, weights: Sequence[int], remainder: str, rounding: str) -> list[int]:
    """Split an amount in proportion to weights (not all 0); `remainder` says who gets the odd cents."""
    exact = [Fraction(amount * weight, sum(weights)) for weight in weights]
    weighted = [i for i, weight in enumerate(weights) if weight > 0]
    if remainder == "last":
        return _rest_to_last(amount, exact, weighted, rounding)
    if remainder == "carry":
        return _carried(exact, rounding)
    if remainder == "nearest":
        return _corrected(amount, [rounded(share, "half_down") for share in exact], weighted)
    shares = [floor_of(share) for share in exact]
    order = weighted
    if remainder == "largest":
        order = sorted(weighted, key=lambda i: (shares[i] - exact[i], i))
    for i in order[: amount - sum(shares)]:
        shares[i] += 1
    return shares


def _rest_to_last(amount: int, exact: list[Fraction], weighted: list[int], rounding: str) -> list[int]:
    shares, left = [0] * len(exact), amount
    for i in weighted[:-1]:
        shares[i] = min(rounded(exact[i], rounding), left)
        left -= shares[i]
    shares[weighted[-1]] = left
    return shares


def _carried(exact: list[Fraction], rounding: str) -> list[int]:
    shares: list[int] = []
    for i in range(len(exact)):
        shares.append(rounded(sum(exact[: i + 1], Fraction(0)), rounding) - sum(shares))
    return shares


def _corrected(amount: int, shares: list[int], weighted: list[int]) -> list[int]:
    while sum(shares) < amount:
        for i in weighted[: amount - sum(shares)]:
            shares[i] += 1
    while sum(shares) > amount:
        for i in [i for i in weighted if shares[i] > 0][: sum(shares) - amount]:
            shares[i] -= 1
    return shares


def allocate_within(
    amount: int, weights: Sequence[int], rooms: Sequence[int], remainder: str, rounding: str
) -> tuple[list[int], set[int]]:
    """Split an amount, no line taking more than its room; return what each takes and which stand fixed at their room.

    What is left of the amount nobody could take.
    """
    taken = [0] * len(weights)
    fixed: set[int] = set()
    left = amount
    while True:
        open_lines = [i for i, weight in enumerate(weights) if weight > 0 and i not in fixed]
        if not open_lines or left == 0:
            return taken, fixed
        shares = allocate(left, [weights[i] for i in open_lines], remainder, rounding)
        over = [i for i, share in zip(open_lines, shares, strict=True) if share > rooms[i]]
        if not over:
            for i, share in zip(open_lines, shares, strict=True):
                taken[i] = share
            return taken, fixed
        for i in over:
            taken[i] = rooms[i]
            left -= rooms[i]
            fixed.add(i)
