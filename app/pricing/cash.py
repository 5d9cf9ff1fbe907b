"""Step 11: the payable total in coins that there are. Source: SEMANTICS.md, Cash rounding."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from app.pricing.money import AMOUNT_MINOR_MAX, Int64s, Rounding, round_div

ANY_CURRENCY: Final = ""

type Increments = tuple[tuple[str, int], ...]  # by currency, or of ANY_CURRENCY; empty: nothing is rounded


def read_increments(setting: int | Mapping[str, Any] | None) -> Increments:
    """Read the policy's setting: an increment for all currencies, or one for each of some."""
    if setting is None:
        return ()
    return ((ANY_CURRENCY, setting),) if isinstance(setting, int) else tuple(sorted(setting.items()))


def cash_difference(total_minor: Int64s, currencies: Sequence[str], increments: Increments, rounding: Rounding) -> Int64s:
    """What the rounding adds to each total (n,) in its currency."""
    by_currency = dict(increments)
    of_all = by_currency.get(ANY_CURRENCY, 1)
    increment = np.array([by_currency.get(currency, of_all) for currency in currencies], np.int64)
    rounded = np.zeros(total_minor.size, np.int64)
    for own in np.unique(increment).tolist():
        at = increment == own
        rounded[at] = round_div(total_minor[at], own, rounding) * own
    return np.where(rounded > AMOUNT_MINOR_MAX, rounded - increment, rounded) - total_minor
