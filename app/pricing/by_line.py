"""Promotions that work line by line: each of their lines takes its turn by itself, many lines at once.

What they want is asked before the turns and comes down to three columns: a percentage of the running amount, an amount, and an
amount that the line comes down to. A turn is then a handful of operations, whatever kinds take part in it.
"""

from dataclasses import dataclass

import numpy as np

from app.pricing.groups import Groups
from app.pricing.money import MILLI, PPM, QUANTITY_MILLI_MAX, Bools, Int64s, round_div, round_mul_div
from app.pricing.policy import Policy
from app.pricing.rewards import ALL_UNITS, BASE_INITIAL, BASE_RUNNING, Reward
from app.pricing.stacking import Lines
from app.pricing.taken import Taken

# Shares of a line's units: the greatest divisor is a rate times a quantity, and `mul_div` has room for twice of it.
assert 4 * PPM * QUANTITY_MILLI_MAX < 2**63


@dataclass(slots=True)
class Wanted:
    """What is wanted of each line (n_pairs,); None where nothing of the sort is wanted of any."""

    off_ppm: Int64s | None  # of the running amount
    amount_minor: Int64s | None
    down_to_minor: Int64s | None
    units_milli: Int64s | None = None  # how much of the line the percentage is of, or comes down; None: all of each
    quantity_milli: Int64s | None = None  # of the line: with units, and where percentages are rounded by unit

    def at(self, pair: Int64s) -> "Wanted":
        """The columns of some pairs (n,)."""
        columns = (self.off_ppm, self.amount_minor, self.down_to_minor, self.units_milli, self.quantity_milli)
        return Wanted(*(None if column is None else column[pair] for column in columns))

    def of(self, running_minor: Int64s, low: int, high: int, policy: Policy) -> Int64s:
        """What the pairs from `low` to `high` want of what their lines cost now; at most that."""
        if self.units_milli is not None:
            return self._of_units(running_minor, low, high, policy)
        wanted = np.zeros(high - low, np.int64)
        if self.off_ppm is not None:
            quantity = None if self.quantity_milli is None else self.quantity_milli[low:high]
            wanted = _percent_of(running_minor, self.off_ppm[low:high], None, quantity, policy)
        if self.amount_minor is not None:
            wanted += self.amount_minor[low:high]
        if self.down_to_minor is not None:
            wanted += np.maximum(running_minor - self.down_to_minor[low:high], 0)
        return np.minimum(wanted, running_minor, out=wanted)

    def _of_units(self, running_minor: Int64s, low: int, high: int, policy: Policy) -> Int64s:
        """The same where only some units of a line are wanted."""
        assert self.units_milli is not None
        assert self.quantity_milli is not None
        units, quantity = self.units_milli[low:high], self.quantity_milli[low:high]
        wanted = np.zeros(high - low, np.int64)
        if self.off_ppm is not None:
            wanted = _percent_of(running_minor, self.off_ppm[low:high], units, quantity, policy)
        if self.amount_minor is not None:
            wanted += self.amount_minor[low:high]
        if self.down_to_minor is not None:
            part = round_mul_div(running_minor, units, quantity, policy.rounding)
            wanted += np.maximum(part - self.down_to_minor[low:high], 0)
        return np.minimum(wanted, running_minor, out=wanted)


def wanted_of(reward: Reward, groups: Groups, line: Int64s, lines: Lines, policy: Policy) -> Wanted:
    """What a reward wants of the lines: percentages of amounts that promotions do not change are amounts themselves."""
    amount = reward.line_minor
    units = quantity = None
    if reward.units_milli is not None:
        quantity = lines.quantity_milli[line]
        units = np.where(reward.units_milli == ALL_UNITS, quantity, reward.units_milli)
    if reward.off_ppm is None:
        return Wanted(None, amount, reward.down_to_minor, units, quantity)
    if policy.rounding_level == "unit":
        quantity = lines.quantity_milli[line]
    off_ppm = reward.off_ppm[groups.group]
    if reward.base is not None:
        base = reward.base[groups.group]
        unchanging = np.where(base == BASE_INITIAL, lines.subtotal_minor[line], lines.list_minor[line])
        fixed = np.where(base == BASE_RUNNING, 0, _percent_of(unchanging, off_ppm, units, quantity, policy))
        amount = fixed if amount is None else amount + fixed
        off_ppm = np.where(base == BASE_RUNNING, off_ppm, 0)
    return Wanted(off_ppm, amount, reward.down_to_minor, units, quantity)


def _percent_of(
    amount_minor: Int64s, off_ppm: Int64s, units_milli: Int64s | None, quantity_milli: Int64s | None, policy: Policy
) -> Int64s:
    """Percentages of amounts of lines (n,), rounded once; or so many times what a unit takes, which is rounded itself.

    Units say of how much of each line the percentage is.
    """
    if quantity_milli is None:
        return round_div(amount_minor * off_ppm, PPM, policy.rounding)
    if policy.rounding_level == "unit":
        by_unit = round_div(amount_minor * off_ppm, quantity_milli * (PPM // MILLI), policy.rounding)
        return round_div(by_unit * (quantity_milli if units_milli is None else units_milli), MILLI, policy.rounding)
    assert units_milli is not None
    return round_mul_div(amount_minor, off_ppm * units_milli, PPM * quantity_milli, policy.rounding)


@dataclass(slots=True)
class ByLine:
    """Pairs of promotions that work line by line, turn after turn, and what they took (n_pairs,)."""

    first: list[int]  # (n_turns + 1,) delimits the turns
    pair: Int64s  # of the live pairs
    app: Int64s
    line: Int64s
    wanted: Wanted
    cell: Int64s | None  # of the promotion's group on the line
    is_on_sale: Bools | None  # the line is, and the promotion does not apply then
    taken_minor: Int64s
    given_back_minor: Int64s
    is_blocked: Bools | None  # None: there is no exclusive promotion
    is_free: Bools  # no other of its group has applied
    needs_code: Bools | None  # None: no advertised price binds, and all may go down to the same

    def take_turn(self, turn: int, lines: Lines, taken: Taken, policy: Policy) -> None:
        """Let the pairs of one turn take what they want; no line occurs twice in it."""
        low, high = self.first[turn], self.first[turn + 1]
        line = self.line[low:high]
        running = lines.running_minor[line]
        wanted = self.wanted.of(running, low, high, policy)
        if self.is_on_sale is not None:
            wanted *= ~self.is_on_sale[low:high]
        if self.is_blocked is not None:
            is_blocked = self.is_blocked[low:high] = taken.is_blocked(self.app[low:high], line)
            wanted *= ~is_blocked
        if self.cell is not None:
            cell = self.cell[low:high]
            is_free = self.is_free[low:high] = taken.is_free[cell]
            wanted *= is_free
            taken.mark_cells(cell[wanted.nonzero()[0]])
        if self.is_blocked is not None:
            took = wanted.nonzero()[0]
            taken.mark_exclusive(self.app[low:high][took], line[took])
        left = running - wanted
        if self.needs_code is None:
            kept = np.maximum(left, lines.lowest_minor[line])
        else:
            kept = np.minimum(np.maximum(left, lines.lowest_for(line, self.needs_code[low:high])), running)
        lines.running_minor[line] = kept
        self.taken_minor[low:high] = wanted
        np.subtract(kept, left, out=self.given_back_minor[low:high])
