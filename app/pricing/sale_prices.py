"""Step 4, sale prices: of those in force, the one that makes the line cheapest."""

from typing import Final, NamedTuple

import numpy as np

from app.pricing.groups import groups_of
from app.pricing.money import PPM, Int64s, round_mul_div, to_grain
from app.pricing.policy import Policy
from app.pricing.sale_units import Pairs, Rationed, Split, is_short, left_for, ration
from app.pricing.schedule import ScheduleTable, is_active
from app.pricing.scope import ScopeIndex, candidates
from app.pricing.tiers import Parts, exact_amounts

ANY_CURRENCY: Final = -1
FIXED: Final = 0
PERCENT: Final = 1
AMOUNT: Final = 2


class SalePrices(NamedTuple):
    """The sale prices of a book by row, in the order of their ids."""

    scopes: ScopeIndex
    schedule: ScheduleTable
    currency_row: Int64s  # (n_sales,) or ANY_CURRENCY
    mode: Int64s  # FIXED, PERCENT, AMOUNT
    value: Int64s  # unit_e4, ppm, unit_e4


def apply_sale_prices(
    sales: SalePrices,
    parts: Parts,
    amount_e7: Int64s,
    sku_row: Int64s,
    currency_row: Int64s,
    at_s: Int64s,
    policy: Policy,
    rationed: Rationed | None,
) -> tuple[Parts, Int64s, Split | None]:
    """Lower the parts of each line by its best sale price. Returns the parts and the sale's row per line, −1 without.

    Where units are counted, also the lines for a part of which it holds; their parts are lowered as if it held for all.
    `amount_e7`, `sku_row`, `currency_row` and `at_s` are (n_lines,). Source: SEMANTICS.md, Sale price.
    """
    none = np.full(sku_row.size, -1)
    if sales.mode.size == 0:
        return parts, none, None
    line, sale = candidates(sales.scopes, sku_row)
    its_currency = sales.currency_row[sale]
    holds = (its_currency == ANY_CURRENCY) | (its_currency == currency_row[line])
    holds &= is_active(sales.schedule, sale, at_s[line])
    left = None
    if rationed is not None:
        left = left_for(rationed, line, sale, sales.mode.size)
        holds &= left != 0
    if not holds.all():
        line, sale = line[holds], sale[holds]
        left = None if left is None else left[holds]
    if line.size == 0:
        return parts, none, None

    # Lay out the parts of each (line, sale) and price them, to compare the exact amounts.
    part, of_pair = parts.lines.chosen(line)
    unit = _lowered(sales, sale[of_pair.group], parts.unit_e4[part], policy)
    fee_e7 = None if parts.fee_e7 is None else parts.fee_e7[part]
    offered, _ = exact_amounts(Parts(of_pair, parts.quantity_milli[part], unit, fee_e7))

    order = np.lexsort((sale, offered, line))
    best = order[groups_of(line[order]).starts]
    best = best[offered[best] < amount_e7[line[best]]]
    split = None
    if rationed is not None and left is not None:
        best, split = _rationed(rationed, Pairs(line, sale, offered, left), best, amount_e7, sales.mode.size)

    is_chosen = np.zeros(line.size, np.bool_)
    is_chosen[best] = True
    is_chosen_part = is_chosen[of_pair.group]
    new_unit = parts.unit_e4.copy()
    new_unit[part[is_chosen_part]] = unit[is_chosen_part]
    sale_of_line = none
    sale_of_line[line[best]] = sale[best]
    return parts.at(new_unit), sale_of_line, split


def _rationed(rationed: Rationed, pairs: Pairs, best: Int64s, amount_e7: Int64s, n_sales: int) -> tuple[Int64s, Split | None]:
    """The best pairs (n,) again, chosen anew on the lines that ask for more than there is."""
    short = is_short(rationed, pairs.line, pairs.sale, pairs.left_milli, n_sales)
    if not short.any():
        return best, None
    is_choosing = np.zeros(amount_e7.size, np.bool_)
    is_choosing[pairs.line[short]] = True
    won, split = ration(rationed, pairs, is_choosing[pairs.line].nonzero()[0], amount_e7)
    return np.concatenate([best[~is_choosing[pairs.line[best]]], won]), split if split.line.size else None


def _lowered(sales: SalePrices, sale: Int64s, unit_e4: Int64s, policy: Policy) -> Int64s:
    """The unit price of each part (n,) under a sale price (n,); never above what it was, never below 0."""
    mode, value, grain = sales.mode[sale], sales.value[sale], policy.grain_e4
    off_percent = round_mul_div(unit_e4, np.where(mode == PERCENT, value, 0), PPM * grain, policy.rounding) * grain
    value = to_grain(value, grain, policy.rounding)
    lowered = np.where(mode == FIXED, np.minimum(unit_e4, value), np.maximum(unit_e4 - value, 0))
    return np.where(mode == PERCENT, unit_e4 - off_percent, lowered)
