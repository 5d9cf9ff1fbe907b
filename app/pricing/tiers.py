"""Step 3, quantity tiers: the parts of a line, each a quantity at one unit price."""

from typing import NamedTuple

import numpy as np

from app.pricing.groups import Groups, groups_of
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
from app.pricing.price_lists import GRADUATED, NO_TIERS, OPEN_END_MILLI, PriceEntries


class Parts(NamedTuple):
    """The parts of lines, line by line; every line has at least one."""

    lines: Groups  # group = the line of each part, (n_parts,)
    quantity_milli: Int64s  # (n_parts,)
    unit_e4: Int64s  # (n_parts,)
    fee_minor: Int64s  # (n_parts,)

    def at(self, unit_e4: Int64s) -> "Parts":
        """The same parts at other unit prices."""
        return self._replace(unit_e4=unit_e4)


def split_into_parts(entries: PriceEntries, entry: Int64s, quantity_milli: Int64s, unit_e4: Int64s, rounding: Rounding) -> Parts:
    """Split each line (n_lines,) into its parts at the tiers of its entry.

    `unit_e4` is the unit price after the strategy; where it differs from the entry's, tiers keep their ratio to the list price.
    Source: SEMANTICS.md, Tiers.
    """
    mode = entries.mode[entry]
    n_tiers = entries.tier_first[entry + 1] - entries.tier_first[entry]
    count = np.where(mode == NO_TIERS, 1, n_tiers)
    line = np.repeat(np.arange(entry.size), count)
    step = np.arange(line.size) - np.repeat(np.cumsum(count) - count, count)
    is_tiered = (mode != NO_TIERS)[line]
    # A line without tiers has no row in the tier arrays; row 0 stands in and is masked out.
    tier = np.where(is_tiered, entries.tier_first[entry][line] + step, 0)
    if entries.tier_unit_e4.size == 0:
        one = np.zeros(line.size, np.int64)
        return Parts(groups_of(line), quantity_milli[line], unit_e4[line], one)
    up_to = np.where(is_tiered, entries.tier_up_to_milli[tier], OPEN_END_MILLI)
    below = np.where(step > 0, entries.tier_up_to_milli[np.maximum(tier - 1, 0)], 0)
    whole = quantity_milli[line]
    is_entered = whole > below
    is_graduated = mode[line] == GRADUATED
    is_kept = is_entered & (is_graduated | (whole <= up_to))
    part_quantity = np.where(is_graduated, np.minimum(whole, up_to) - below, whole)[is_kept]
    fee = np.where(is_tiered, entries.tier_fee_minor[tier], 0)[is_kept]
    tier_unit = np.where(is_tiered, entries.tier_unit_e4[tier], unit_e4[line])[is_kept]
    line, is_scaled = line[is_kept], (is_tiered & (unit_e4 != entries.unit_e4[entry])[line])[is_kept]
    scaled = scale_tier(tier_unit, entries.unit_e4[entry][line], unit_e4[line], rounding)
    return Parts(groups_of(line), part_quantity, np.where(is_scaled, scaled, tier_unit), fee)


def scale_tier(tier_unit_e4: Int64s, list_unit_e4: Int64s, unit_e4: Int64s, rounding: Rounding) -> Int64s:
    """Tier unit prices at their ratio to the list price, to one part per million; unscaled where the ratio has no bound."""
    divisor = np.maximum(list_unit_e4, 1)
    # Ratios far above the bound would pass int64; they are told apart in float64 first.
    is_near = (list_unit_e4 > 0) & (tier_unit_e4.astype(np.float64) * PPM / divisor < 2.0 * MARKUP_PPM_MAX)
    ratio_ppm = round_mul_div(np.where(is_near, tier_unit_e4, 0), PPM, divisor, rounding)
    is_bounded = is_near & (ratio_ppm <= MARKUP_PPM_MAX)
    return np.where(is_bounded, round_mul_div(unit_e4, np.where(is_bounded, ratio_ppm, 0), PPM, rounding), tier_unit_e4)


def exact_amounts(parts: Parts) -> tuple[Int64s, Bools]:
    """The exact amount of each line in e7 (n_lines,), and whether it lies within bounds; 0 where it does not."""
    limit = AMOUNT_E7_MAX // np.maximum(parts.quantity_milli, 1)
    is_part_over = parts.unit_e4 > limit
    amount = np.where(is_part_over, 0, parts.unit_e4) * parts.quantity_milli
    # Sums of a few values up to 9e18 may pass int64; the float sum tells when that is near, and those are added exactly.
    fee_e7 = parts.fee_minor * E7
    starts = parts.lines.starts
    rough = np.add.reduceat(amount.astype(np.float64) + fee_e7, starts)
    is_over = np.logical_or.reduceat(is_part_over, starts) | (rough > 1.01 * AMOUNT_E7_MAX)
    for line in np.flatnonzero(~is_over & (rough > 0.99 * AMOUNT_E7_MAX)):
        high = starts[line + 1] if line + 1 < starts.size else amount.size
        exact = sum(amount[starts[line] : high].tolist()) + sum(fee_e7[starts[line] : high].tolist())
        is_over[line] = exact > AMOUNT_E7_MAX
    total = parts.lines.sum(np.where(is_over[parts.lines.group], 0, amount + fee_e7))
    return total, ~is_over


def shown_unit_e4(
    parts: Parts, amount_e7: Int64s, line_quantity_milli: Int64s, is_graduated: Bools, rounding: Rounding
) -> Int64s:
    """The unit price that stands for a line (n_lines,): its one part's, or with graduated tiers amount / quantity."""
    average = round_div(amount_e7, line_quantity_milli, rounding)
    return np.where(is_graduated, average, parts.unit_e4[parts.lines.starts])
