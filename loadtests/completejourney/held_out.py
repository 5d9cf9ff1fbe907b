"""The shares by plain arithmetic: in the sample the shop was made from, and on baskets it has not seen."""

from typing import Any

import numpy as np

from app.completejourney.coupons import find_uses
from app.completejourney.documents import reconstruct_shop
from app.completejourney.estimate import estimate_lines
from app.completejourney.tables import Bools, Tables
from loadtests.completejourney.report import shares


def held_out_report(tables: Tables) -> dict[str, Any]:
    """A shop from all baskets judged on all, and one from every other basket judged on the rest, both ways."""
    lines = tables.lines
    is_asked = lines.quantity_milli > 0
    is_odd = np.unique(lines.basket, return_inverse=True)[1] % 2 == 1
    return {
        "made_from_all_judged_on_all": _judge(tables, is_asked, is_asked),
        "made_from_even_judged_on_odd_baskets": _judge(tables, is_asked & ~is_odd, is_asked & is_odd),
        "made_from_odd_judged_on_even_baskets": _judge(tables, is_asked & is_odd, is_asked & ~is_odd),
    }


def _judge(tables: Tables, is_used: Bools, is_asked: Bools) -> dict[str, Any]:
    shop = reconstruct_shop(tables, is_used=is_used)
    estimate = estimate_lines(shop, find_uses(tables.coupons, shop.offers, tables.lines))
    return shares(shop, estimate, np.where(estimate.list_e4 > 0, estimate.total_minor, -1), is_asked=is_asked)
