"""Step 3, quantity tiers: the parts of a line, each a quantity at one unit price."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.pricing.groups import Groups, alone, groups_of_sizes
from app.pricing.money import (
    AMOUNT_E7_MAX,
    E7,
    MARKUP_PPM_MAX,
    PPM,
    Bools,
    Int64s,
    Rounding,
    round_div,
    round_mul_div,
)
from app.pricing.price_lists import GRADUATED, NO_TIERS, PriceEntries

type Floats = NDArray[np.float64]


class Parts(NamedTuple):
    """The parts of lines, line by line; every line has at least one."""

    lines: Groups  # group = the line of each part, (n_parts,)
    quantity_milli: Int64s  # (n_parts,)
    unit_e4: Int64s  # (n_parts,)
    fee_e7: Int64s | None  # (n_parts,) None where there are none

    def at(self, unit_e4: Int64s) -> "Parts":
        """The same parts at other unit prices."""
        return self._replace(unit_e4=unit_e4)


def split_into_parts(entries: PriceEntries, entry: Int64s, quantity_milli: Int64s, unit_e4: Int64s, rounding: Rounding) -> Parts:
    """Split each line (n_lines,) into its parts at the tiers of its entry.

    `unit_e4` is the unit price after the strategy; where it differs from the entry's, tiers keep their ratio to the list price.
    Source: SEMANTICS.md, Tiers.
    """
    mode = entries.mode[entry]
    tiered = (mode != NO_TIERS).nonzero()[0]
    if tiered.size == 0:
        return Parts(alone(entry.size), quantity_milli, unit_e4, None)
    low = entries.tier_first[entry[tiered]]
    count = entries.tier_first[entry[tiered] + 1] - low
    first = np.cumsum(count) - count
    line = np.repeat(tiered, count)
    tier = np.repeat(low - first, count) + np.arange(line.size)
    up_to = entries.tier_up_to_milli[tier]
    below = np.empty_like(up_to)
    below[1:] = up_to[:-1]
    below[first] = 0
    whole, is_graduated = quantity_milli[line], mode[line] == GRADUATED
    kept = ((whole > below) & (is_graduated | (whole <= up_to))).nonzero()[0]
    line, tier = line[kept], tier[kept]
    part_quantity = np.where(is_graduated[kept], np.minimum(whole, up_to)[kept] - below[kept], whole[kept])
    part_unit = entries.tier_unit_e4[tier]
    scaled = (unit_e4[line] != entries.unit_e4[entry[line]]).nonzero()[0]
    if scaled.size:
        its_line = line[scaled]
        part_unit[scaled] = scale_tier(part_unit[scaled], entries.unit_e4[entry[its_line]], unit_e4[its_line], rounding)
    return _among_others(mode, quantity_milli, unit_e4, line, part_quantity, part_unit, entries.tier_fee_minor[tier] * E7)


def _among_others(
    mode: Int64s,
    quantity_milli: Int64s,
    unit_e4: Int64s,
    line: Int64s,
    part_quantity: Int64s,
    part_unit: Int64s,
    part_fee_e7: Int64s,
) -> Parts:
    """The parts of the lines with tiers, in order, among the lines without, which are one part each."""
    n_parts = np.bincount(line, minlength=mode.size)
    groups = groups_of_sizes(np.maximum(n_parts, 1))
    at = (mode != NO_TIERS)[groups.group].nonzero()[0]
    quantity, unit = quantity_milli[groups.group], unit_e4[groups.group]
    quantity[at], unit[at] = part_quantity, part_unit
    fee_e7 = None
    if part_fee_e7.any():
        fee_e7 = np.zeros(unit.size, np.int64)
        fee_e7[at] = part_fee_e7
    return Parts(groups, quantity, unit, fee_e7)


def scale_tier(tier_unit_e4: Int64s, list_unit_e4: Int64s, unit_e4: Int64s, rounding: Rounding) -> Int64s:
    """Tier unit prices at their ratio to the list price, to one part per million; unscaled where the ratio has no bound."""
    divisor = np.maximum(list_unit_e4, 1)
    # Ratios far above the bound would pass int64; they are told apart in float64 first.
    is_near = (list_unit_e4 > 0) & (tier_unit_e4.astype(np.float64) * PPM / divisor < 2.0 * MARKUP_PPM_MAX)
    ratio_ppm = round_mul_div(np.where(is_near, tier_unit_e4, 0), PPM, divisor, rounding)
    is_bounded = is_near & (ratio_ppm <= MARKUP_PPM_MAX)
    return np.where(is_bounded, round_mul_div(unit_e4, np.where(is_bounded, ratio_ppm, 0), PPM, rounding), tier_unit_e4)


def exact_amounts(parts: Parts) -> tuple[Int64s, Bools | None]:
    """The exact amount of each line in e7 (n_lines,), and where it lies within bounds (None: everywhere); 0 where it does not."""
    rough = parts.unit_e4.astype(np.float64) * parts.quantity_milli
    if parts.fee_e7 is not None:
        rough += parts.fee_e7
    if not parts.lines.are_single:
        rough = np.add.reduceat(rough, parts.lines.starts)
    # Amounts may pass int64; the float amount tells when that is near.
    if rough.max(initial=0.0) <= 0.99 * AMOUNT_E7_MAX:
        amount = parts.unit_e4 * parts.quantity_milli
        return parts.lines.sum(amount if parts.fee_e7 is None else amount + parts.fee_e7), None
    return _exact_amounts_near_bounds(parts, rough)


def _exact_amounts_near_bounds(parts: Parts, rough: Floats) -> tuple[Int64s, Bools]:
    """The same where float64 cannot tell: the lines that are near the bound are added up as Python's integers."""
    starts = parts.lines.starts
    is_over = rough > 1.01 * AMOUNT_E7_MAX
    fee_e7 = np.zeros(parts.unit_e4.size, np.int64) if parts.fee_e7 is None else parts.fee_e7
    for line in (~is_over & (rough > 0.99 * AMOUNT_E7_MAX)).nonzero()[0].tolist():
        high = starts[line + 1] if line + 1 < starts.size else parts.unit_e4.size
        columns = (parts.unit_e4, parts.quantity_milli, fee_e7)
        values = zip(*(column[starts[line] : high].tolist() for column in columns), strict=True)
        is_over[line] = sum(unit * quantity + fee for unit, quantity, fee in values) > AMOUNT_E7_MAX
    amount = np.where(is_over[parts.lines.group], 0, parts.unit_e4) * parts.quantity_milli
    total = parts.lines.sum(amount + np.where(is_over[parts.lines.group], 0, fee_e7))
    return total, ~is_over


def shown_unit_e4(
    parts: Parts, amount_e7: Int64s, line_quantity_milli: Int64s, is_graduated: Bools, rounding: Rounding
) -> Int64s:
    """The unit price that stands for a line (n_lines,): its one part's, or with graduated tiers amount / quantity."""
    shown = parts.unit_e4[parts.lines.starts]
    at = is_graduated.nonzero()[0]
    shown[at] = round_div(amount_e7[at], line_quantity_milli[at], rounding)
    return shown
