"""The figures of a run, and how they are shown."""

from typing import Any

import numpy as np

from app.completejourney.documents import Shop
from app.completejourney.estimate import DESCRIPTIONS, Cause, Estimate, causes_of
from app.completejourney.tables import Bools, Int64s


def shares(shop: Shop, estimate: Estimate, total_minor: Int64s, *, is_asked: Bools) -> dict[str, Any]:
    """How many of the lines asked for came out at what was paid, and why the rest did not.

    `total_minor` runs along the lines of the data, below 0 where there is none.
    """
    lines = shop.tables.lines
    is_priced = is_asked & (total_minor >= 0)
    is_equal = is_priced & (total_minor == lines.paid_minor)
    # The amount that the shop booked has makers' coupons in it, as if the household had paid them.
    is_booked = is_priced & (total_minor == lines.sales_minor)
    is_countable = is_asked & ~shop.shelf.is_weighed[lines.product]
    cause = causes_of(shop, estimate)
    asked = int(is_asked.sum())
    _, basket = np.unique(lines.basket[is_asked], return_inverse=True)
    whole = np.bincount(basket, weights=~is_equal[is_asked]) == 0
    differs = is_asked & ~is_equal
    return {
        "lines_asked": asked,
        "lines_priced": int(is_priced.sum()),
        "equal_to_paid": int(is_equal.sum()),
        "share_equal_to_paid": round(float(is_equal.sum() / asked), 4),
        "share_equal_to_sales_value": round(float(is_booked.sum() / asked), 4),
        "share_equal_to_paid_of_goods_not_sold_by_weight": round(float(is_equal[is_countable].mean()), 4),
        "share_of_baskets_equal_in_every_line": round(float(whole.mean()), 4),
        "paid_minor": int(lines.paid_minor[is_asked].sum()),
        "priced_minor": int(total_minor[is_priced].sum()),
        "rest_by_cause": {
            member.name.lower(): {
                "lines": int((differs & (cause == member)).sum()),
                "share": round(float((differs & (cause == member)).sum() / asked), 4),
                "means": DESCRIPTIONS[member],
            }
            for member in Cause
        },
    }


def as_text(report: dict[str, Any], indent: str = "") -> str:
    """The report, one figure a line."""
    rows = []
    for name, value in report.items():
        if isinstance(value, dict) and set(value) == {"lines", "share", "means"}:
            rows.append(f"{indent}{name:22}{value['lines']:>10,}  {value['share']:7.2%}  {value['means']}")
        elif isinstance(value, dict):
            rows += [f"{indent}{name}:", as_text(value, indent + "  ")]
        elif isinstance(value, int) and not isinstance(value, bool):
            rows.append(f"{indent}{name:50}{value:>16,}")
        else:
            rows.append(f"{indent}{name:50}{value!s:>16}")
    return "\n".join(rows)
