"""What strategies and ladders price by, from the documents of a version: facts, seasons and ladders."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from app.pricing.book import BookProblem, Document, PriceBook
from app.pricing.comparison import Comparison
from app.pricing.compile_signals import (
    Read,
    all_of_skus,
    all_rivals,
    changed_of_skus,
    changed_rivals,
    read_index_e4,
    read_units_milli,
)
from app.pricing.facts import Facts, Rivals
from app.pricing.frozen import frozen, frozen_array
from app.pricing.ladders import Ladders, Rung, pack_ladders, read_rung
from app.pricing.money import Int64s
from app.pricing.scope import Assortment, compile_scope
from app.pricing.seasons import Seasons, pack_seasons, read_periods
from app.pricing.strategy import assign


class Around(NamedTuple):
    """What facts are compiled in. `few` are the documents of a resource that differ, where they are so few that exchanging them is less
    than reading all."""

    compared: Comparison
    earlier: PriceBook | None
    assortment: Assortment
    currency_rows: Mapping[str, int]
    few: Mapping[str, set[str] | None]


def demand_of(around: Around) -> Int64s:
    """The demand index of each SKU (n_skus,)."""
    before = None if around.earlier is None else around.earlier.demand_e4
    return _of_skus(around, "signals-demand", "index", read_index_e4, before)


def facts_of(around: Around, *, has_same_seasons: bool) -> tuple[Facts, list[BookProblem]]:
    """The facts of a version; the earlier book's where nothing differs."""
    before = None if around.earlier is None else around.earlier.facts
    if before is not None and has_same_seasons:
        seasons, problems = before.seasons, list[BookProblem]()
    else:
        seasons, problems = _seasons(around.compared.documents("seasons"), around.assortment)
    facts = Facts(
        _of_skus(around, "signals-stock", "units", read_units_milli, None if before is None else before.stock_milli),
        _of_skus(around, "signals-demand", "daily_units", read_units_milli, None if before is None else before.daily_milli),
        _rivals(around, None if before is None else before.rivals),
        seasons,
    )
    if before is not None and all(now is then for now, then in zip(facts, before, strict=True)):
        return before, problems
    return facts, problems


def _of_skus(around: Around, resource: str, field: str, read: Read, before: Int64s | None) -> Int64s:
    changed, row_of_sku = around.few[resource], around.assortment.row_of_sku
    if before is None or changed is None:
        return frozen_array(all_of_skus(around.compared.documents(resource), field, read, row_of_sku))
    if not changed:
        return before
    return frozen_array(changed_of_skus(before, around.compared.bodies(resource, changed), field, read, row_of_sku))


def _rivals(around: Around, before: Rivals | None) -> Rivals:
    resource, row_of_sku = "signals-competitors", around.assortment.row_of_sku
    changed = around.few[resource]
    if before is not None and changed is not None:
        if not changed:
            return before
        found = changed_rivals(before, around.compared.bodies(resource, changed), row_of_sku, around.currency_rows)
        if found is not None:
            return frozen(found)
    return frozen(all_rivals(around.compared.documents(resource), row_of_sku, around.currency_rows))


def _seasons(documents: Mapping[str, Document], assortment: Assortment) -> tuple[Seasons, list[BookProblem]]:
    problems, periods, scopes = [], [], []
    for name in sorted(documents):
        body = documents[name].body
        try:
            periods.append(read_periods(body))
        except ValueError as error:
            problems.append(BookProblem("seasons", name, "periods", str(error)))
            continue
        scopes.append((0, compile_scope(body.get("scope"), assortment)))
    sku_row, rule = assign(scopes, len(assortment.row_of_sku))
    season = np.full(len(assortment.row_of_sku), -1, np.int64)
    season[sku_row] = rule
    return frozen(pack_seasons(periods, season)), problems


def ladders_of(
    documents: Mapping[str, Document], assortment: Assortment, currency_rows: Mapping[str, int]
) -> tuple[Ladders, list[str], list[BookProblem]]:
    """The ladders of the currencies that there are prices in, and their ids. A SKU that the book does not know is no rung."""
    ids: list[str] = []
    references: list[str] = []
    rungs: list[list[Rung]] = []
    problems: list[BookProblem] = []
    ladder_of_key: dict[int, str] = {}
    n_skus = len(assortment.row_of_sku)
    for name in sorted(documents):
        body = documents[name].body
        if body["currency"] not in currency_rows:
            continue
        own: list[Rung] = []
        for number, rung in enumerate(body["rungs"]):
            row = assortment.row_of_sku.get(rung["sku"])
            if row is None:
                continue
            key = currency_rows[body["currency"]] * n_skus + row
            other = ladder_of_key.setdefault(key, name)
            if other != name:
                problems.append(
                    BookProblem("ladders", name, f"rungs[{number}].sku", f"{rung['sku']} stands on the ladder {other}")
                )
                continue
            own.append(read_rung(rung, key))
        ids.append(name)
        references.append(body.get("reference") or "list")
        rungs.append(own)
    return pack_ladders(references, rungs), ids, problems
