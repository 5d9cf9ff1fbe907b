"""Which SKUs a version touches, change by change."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from app.pricebook.document_table import table_of
from app.pricebook.documents import replace_documents
from app.pricing.book import BookRows, Document, PriceBook
from app.pricing.compile import compile_price_book
from app.pricing.touched import skus_touched
from tests.reference.builders import floor, only, percent_off, prices, promotion
from tests.reference.shop import Body

DAY_US = 86_400_000_000
AT_US = 20_000 * DAY_US
WEEKLY = {"timezone": "UTC", "weekly": {"days": ["sun"], "start": "09:00", "end": "12:00"}}
HOLIDAYS = {"timezone": "UTC", "holidays": {"calendar": "US"}}

type Resources = Mapping[str, Mapping[str, Body | None]]


def on(sku: str, **more: Any) -> Body:
    return percent_off("10", scope=only(skus=[sku]), **more)


def sale(*skus: str) -> Body:
    shape = {"name": "S", "currency": "USD", "unit_price": None, "percent": "10", "amount": None, "schedule": None}
    return shape | {"scope": only(skus=list(skus))}


def ladder(*skus: str) -> Body:
    rungs = [{"sku": skus[0]}, *({"sku": sku, "gap_amount": "1"} for sku in skus[1:])]
    return {"currency": "USD", "reference": "list", "rungs": rungs}


def cost(sku: str, unit: str) -> Body:
    return {"sku": sku, "currency": "USD", "unit_cost": unit, "at": "2026-01-01T00:00:00Z"}


SHOP: dict[str, dict[str, Body]] = {
    "prices": prices(A="100", B="100", C="100", D="100", E="100"),
    "promotions": {"p": on("B"), "w": on("C", schedule=WEEKLY)},
    "sale-prices": {"s": sale("D"), "t": sale("E") | {"schedule": WEEKLY}},
    "coupons": {"c": {"promotion": "p", "codes": ["C"]}},
    "guardrails": {"g": floor("1")},
    "ladders": {"l": ladder("C", "D"), "m": ladder("A", "E")},
    "signals-costs": {"B|USD": cost("B", "50")},
    "signals-stock": {"A": {"sku": "A", "units": "5", "at": "2026-01-01T00:00:00Z"}},
    "signals-demand": {"A": {"sku": "A", "index": "2", "at": "2026-01-01T00:00:00Z"}},
}


def after(book: PriceBook, changes: Resources, *, days: int = 0) -> PriceBook:
    """The book of the next version, with documents changed, added, or taken away."""
    documents = [
        (resource, name, None if body is None else Document(body, 2))
        for resource, bodies in changes.items()
        for name, body in bodies.items()
    ]
    replaced = replace_documents(book.sources.documents, documents)
    return compile_price_book(BookRows(2, AT_US + days * DAY_US, replaced), book)


def shop(more: Mapping[str, Mapping[str, Body]] | None = None) -> PriceBook:
    resources = SHOP | {resource: {**SHOP.get(resource, {}), **own} for resource, own in (more or {}).items()}
    tables = {
        resource: table_of({name: Document(body, 1) for name, body in bodies.items()}) for resource, bodies in resources.items()
    }
    return compile_price_book(BookRows(1, AT_US, tables), None)


def touched(changes: Resources, *, days: int = 0, more: Mapping[str, Mapping[str, Body]] | None = None) -> str | None:
    """The SKUs that a change touches, None where that may be any."""
    before = shop(more)
    rows = skus_touched(before, after(before, changes, days=days))
    if rows is None:
        return None
    assert rows.dtype == np.int64
    assert rows.tolist() == sorted(set(rows.tolist()))
    return "".join(sku for sku, row in before.assortment.row_of_sku.items() if row in rows)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ""),
        # A price, and what stands on a ladder with its SKU.
        ({"prices": {"B|default|USD|": prices(B="90")["B|default|USD|"]}}, "B"),
        ({"prices": {"C|default|USD|": prices(C="90")["C|default|USD|"]}}, "CD"),
        ({"prices": {"E|default|USD|": prices(E="90")["E|default|USD|"]}}, "AE"),
        ({"signals-costs": {"B|USD": cost("B", "60")}}, "B"),
        ({"signals-costs": {"B|USD": None}}, "B"),
        ({"signals-costs": {"D|USD": cost("D", "60")}}, "CD"),
        ({"signals-costs": {"Z|USD": cost("Z", "60")}}, ""),
        ({"signals-stock": {"B": {"sku": "B", "units": "5", "at": "2026-01-01T00:00:00Z"}}}, "B"),
        ({"signals-demand": {"B": {"sku": "B", "index": "2", "at": "2026-01-01T00:00:00Z"}}}, "B"),
        # The first of its sort.
        ({"named-days": {"promotions/p": {"days": ["2026-12-26"]}}}, None),
        # A rule, where it was and where it is. It moves nobody beside it on a ladder.
        ({"promotions": {"p": on("B", priority=3)}}, "B"),
        ({"promotions": {"p": on("A")}}, "AB"),
        ({"promotions": {"q": on("D")}}, "D"),
        ({"promotions": {"w": None}}, "C"),
        ({"promotions": {"q": percent_off("10")}}, None),
        ({"promotions": {"q": on("D"), "r": percent_off("10")}}, None),
        ({"sale-prices": {"s": None}}, "D"),
        ({"sale-prices": {"s": sale("D", "A")}}, "AD"),
        ({"sale-prices": {"s": sale("D"), "u": {**sale(), "scope": only()}}}, None),
        # What a promotion gives, or takes into its sets, is no less its own than its scope.
        (
            {
                "promotions": {
                    "b": promotion(
                        "bundle",
                        {"components": [{"scope": only(skus=[sku]), "quantity": 1} for sku in "AD"], "percent": "10"},
                        scope=only(skus=["A", "B", "D"]),
                    )
                }
            },
            "AD",
        ),
        # Codes alone make no price.
        ({"coupons": {"c": {"promotion": "p", "codes": ["D"]}}}, ""),
        # Everything else may be about any SKU.
        ({"guardrails": {"g": floor("2")}}, None),
        ({"guardrails": {"g": None}}, None),
        ({"ladders": {"l": None}}, None),
        ({"price-lists": {"eu": {"tax_included": True}}}, None),
        ({"policy": {"default": {"selection": "priority"}}}, None),
        ({"prices": {"F|default|USD|": prices(F="1")["F|default|USD|"]}}, None),
        ({"prices": {"A|default|EUR|": prices(A="1")["A|default|USD|"] | {"currency": "EUR"}}}, None),
    ],
)
def test_a_change_touches_the_skus_it_is_about(changes: Resources, expected: str | None) -> None:
    assert touched(changes) == expected


def test_another_day_touches_what_is_laid_out_anew() -> None:
    assert touched({}, days=1) == "CE"
    assert touched({"promotions": {"p": on("B", priority=3)}}, days=1) == "BCE"
    # It is laid out anew in the one version or in the other.
    assert touched({"promotions": {"w": on("C")}, "sale-prices": {"t": sale("E")}}, days=1) == "CE"
    assert touched({"promotions": {"p": on("B", schedule=WEEKLY)}}, days=1) == "BCE"


def test_other_named_days_touch_what_the_rule_is_about() -> None:
    rules = {
        "promotions": {"h": on("A", schedule=HOLIDAYS)},
        "sale-prices": {"h": sale("B") | {"schedule": HOLIDAYS}},
        "named-days": {"promotions/h": {"days": ["2026-12-25"]}, "sale-prices/h": {"days": ["2026-12-25"]}},
    }

    assert touched({"named-days": {"promotions/h": {"days": ["2026-12-26"]}}}, more=rules) == "A"
    assert touched({"named-days": {"sale-prices/h": {"days": ["2026-12-26"]}}}, more=rules) == "B"
    assert touched({"named-days": {"promotions/gone": {"days": ["2026-12-26"]}}}, more=rules) == ""


def test_without_ladders_a_price_moves_no_other() -> None:
    book = compile_price_book(
        BookRows(1, AT_US, {"prices": table_of({k: Document(v, 1) for k, v in SHOP["prices"].items()})}), None
    )

    rows = skus_touched(book, after(book, {"prices": {"C|default|USD|": prices(C="90")["C|default|USD|"]}}))

    assert rows is not None
    assert rows.tolist() == [book.assortment.row_of_sku["C"]]
