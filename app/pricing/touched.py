"""Which SKUs a version touches: where two books differ, so that what is known of the other SKUs can be kept."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from app.pricing.book import BookRows, PriceBook
from app.pricing.comparison import NAMED_DAYS, Comparison
from app.pricing.decode import decode_params
from app.pricing.ladders import ladder_of
from app.pricing.money import Int64s
from app.pricing.promotions import reach_of
from app.pricing.rules import KINDS
from app.pricing.scope import Scope, compile_scope

# What a change in says which SKUs it is about; coupons alone touch no price.
_WITH_SCOPE: Final = ("promotions", "sale-prices")
# Each is about one SKU.
_OF_SKUS: Final = ("prices", "signals-costs", "signals-demand", "signals-stock", "signals-competitors")


def skus_touched(before: PriceBook, after: PriceBook) -> Int64s | None:
    """The rows of SKUs whose prices may differ between two books, sorted; None where that may be any of them, or the rows differ."""
    if before.assortment is not after.assortment or before.currency_rows != after.currency_rows or before.policy != after.policy:
        return None
    compared = Comparison(BookRows(after.version, after.published_at_us, after.sources.documents), before)
    resources = after.sources.documents.keys() | before.sources.documents.keys()
    if not compared.is_untouched(*(resources - {*_WITH_SCOPE, *_OF_SKUS, "coupons", NAMED_DAYS})):
        return None
    rows: set[int] = set()
    for resource in _OF_SKUS:
        changed = compared.changed(resource)
        if changed is None:
            return None
        found = (after.assortment.row_of_sku.get(body["sku"]) for body in _bodies(compared, resource, changed))
        rows.update(row for row in found if row is not None)
    rows |= _beside_on_ladders(after, rows)
    for resource in _WITH_SCOPE:
        changed, with_other_days = compared.changed(resource), compared.with_other_days(resource)
        if changed is None or with_other_days is None:
            return None
        names = changed | with_other_days
        if not compared.is_same_day:
            # What has a pattern in one of the books only has changed.
            names |= after.sources.patterns[resource]
        for body in _bodies(compared, resource, names):
            scope = scope_of_rule(resource, body, after)
            if scope.is_open:
                return None
            rows.update(scope.rows.tolist())
    return np.array(sorted(rows), np.int64)


def _beside_on_ladders(book: PriceBook, rows: set[int]) -> set[int]:
    """The rows of SKUs that stand on a ladder with one of these: one price moves the others."""
    ladders = book.ladders
    ladder, sku_row = ladder_of(ladders, np.arange(ladders.key.size)), ladders.key % book.n_skus
    moved = np.unique(ladder[np.isin(sku_row, list(rows))])
    return set(sku_row[np.isin(ladder, moved)].tolist())


def scope_of_rule(resource: str, body: Mapping[str, Any], book: PriceBook) -> Scope:
    """The SKUs that a rule may touch."""
    if resource != "promotions":
        return compile_scope(body.get("scope"), book.assortment)
    kind = KINDS[body["kind"]]
    return reach_of(kind, decode_params(kind.Params, body["params"]), body, book.assortment).scope


def _bodies(compared: Comparison, resource: str, names: set[str] | frozenset[str]) -> Iterator[Mapping[str, Any]]:
    for pair in compared.bodies(resource, names):
        yield from (body for body in pair if body is not None)
