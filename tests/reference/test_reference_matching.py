"""Worked examples: which price list, which SKUs of a scope, which instants of a schedule."""

import pytest

from tests.reference.both import both
from tests.reference.builders import Resources, floor, line, only, prices, totals
from tests.reference.scopes import specificity
from tests.reference.shop import Body
from tests.reference.times import instant_us, is_active

LISTS: dict[str, Body] = {
    "vip": {"priority": 0, "match": {"groups": ["vip"]}},
    "store": {"priority": 99, "match": {"stores": ["s1"], "channels": ["web"], "markets": ["US"]}},
    "web": {"priority": 1, "match": {"channels": ["web"]}},
    "app": {"priority": 2, "match": {"channels": ["web", "app"]}},
    "us": {"priority": 5, "match": {"markets": ["US"]}},
}


@pytest.mark.parametrize(
    ("sent", "unit"),
    [
        ({}, "100"),  # default alone matches
        ({"market": "US"}, "50"),
        ({"market": "US", "channel": "web"}, "40"),  # channel before market; app has the higher priority of two channels
        ({"market": "US", "channel": "web", "store": "s1"}, "20"),
        ({"market": "US", "channel": "web", "store": "s1", "customer": {"segments": ["vip"]}}, "10"),  # groups before all
        ({"customer": {"level": "vip"}}, "10"),  # the level is a group too
    ],
)
def test_most_specific_list_wins(sent: Body, unit: str) -> None:
    units = {"vip": "10", "store": "20", "web": "30", "app": "40", "us": "50", "default": "100"}
    entries = prices(*({"sku": "A", "price_list": name, "unit_price": unit} for name, unit in units.items()))

    assert line(both([("A", 1)], {"prices": entries, "price-lists": LISTS}, **sent))["list_unit_price"] == unit


def test_latest_entry_in_force_wins_then_the_lower_list_id() -> None:
    entries = prices(
        {"sku": "A", "unit_price": "1"},
        {"sku": "A", "unit_price": "2", "valid_from": "2026-11-01T00:00:00Z"},
        {"sku": "A", "unit_price": "3", "valid_from": "2026-11-27T12:00:00Z", "valid_to": "2026-11-27T13:00:00Z"},
        {"sku": "B", "unit_price": "4", "price_list": "x"},
        {"sku": "B", "unit_price": "5", "price_list": "b"},
    )
    resources: Resources = {"prices": entries, "price-lists": {"x": {}, "b": {}}}

    assert line(both([("A", 1)], resources, at="2026-11-27T11:59:59Z"))["unit_price"] == "2"
    assert line(both([("A", 1)], resources, at="2026-11-27T12:00:00Z"))["unit_price"] == "3"
    assert line(both([("A", 1)], resources, at="2026-11-27T13:00:00Z"))["unit_price"] == "2"
    assert line(both([("B", 1)], resources))["unit_price"] == "5"


def test_lines_that_differ_in_tax_from_the_first_priced_line_are_errors() -> None:
    entries = prices({"sku": "B", "price_list": "eu", "unit_price": "7"}, A="5", C="6")
    resources: Resources = {"prices": entries, "price-lists": {"eu": {"tax_included": True}}}
    reply = both([("N", 1), ("B", 1), ("A", 1), ("C", 1)], resources, partial=True)

    assert [shown.get("error") for shown in reply["lines"]] == [
        {"code": "no_price"},
        None,
        {"code": "mixed_tax"},
        {"code": "mixed_tax"},
    ]
    assert (reply["tax_included"], reply["total"]) == (True, 7)


PRODUCTS: dict[str, Body] = {"A": {"category": "a/b/c", "brand": "acme", "tags": ["new"], "attributes": {"colour": "red"}}}


@pytest.mark.parametrize(
    ("scope", "found"),
    [
        (only(), (0, 0)),
        (only(attributes={"colour": ["red", "blue"]}), (1, 0)),
        (only(attributes={"colour": ["red"], "size": ["L"]}), None),
        (only(tags=["old", "new"]), (2, 0)),
        (only(brands=["acme"], tags=["new"]), (3, 0)),
        (only(categories=["a", "a/b", "x"]), (4, 2)),
        (only(categories=["a/b/c/d", "a/bb"]), None),
        (only(skus=["A"], categories=["a"]), (5, 0)),
        (only(skus=["A"], brands=["zeta"]), None),
        ({"include": {}, "exclude": {"tags": ["new"], "brands": ["zeta"]}}, None),
        ({"include": {}, "exclude": {"attributes": {"colour": ["red"], "size": ["L"]}}}, None),
        ({"include": {}, "exclude": {"skus": []}}, (0, 0)),
    ],
)
def test_scope_is_as_specific_as_its_closest_field(scope: Body, found: tuple[int, int] | None) -> None:
    assert specificity(scope, "A", PRODUCTS) == found


def test_guardrails_hold_per_field_the_most_specific_then_the_tighter() -> None:
    rules: dict[str, Body] = {
        "wide": floor("90", ceiling="95"),
        "brand": floor("50", scope=only(brands=["acme"])),
        "brand2": floor("60", scope=only(brands=["acme"])),
    }
    resources: Resources = {"prices": prices(A="10", B="10", C="99"), "guardrails": rules, "products": PRODUCTS}

    assert totals(both([("A", 1), ("B", 1), ("C", 1)], resources)) == [60, 90, 95]


ALL_FRIDAY = {"days": ["fri"], "start": "00:00", "end": "00:00"}


@pytest.mark.parametrize(
    ("schedule", "at", "active"),
    [
        ({"from": "2026-11-27T07:00:00", "timezone": "America/New_York"}, "2026-11-27T12:00:00Z", True),
        ({"from": "2026-11-27T07:00:01", "timezone": "America/New_York"}, "2026-11-27T12:00:00Z", False),
        ({"to": "2026-11-27T12:00:00", "timezone": "UTC"}, "2026-11-27T12:00:00Z", False),
        # 02:30 does not exist in Berlin on 2027-03-28; with fold=0 it is 01:30 UTC.
        ({"from": "2027-03-28T02:30:00", "timezone": "Europe/Berlin"}, "2027-03-28T01:29:59Z", False),
        ({"from": "2027-03-28T02:30:00", "timezone": "Europe/Berlin"}, "2027-03-28T01:30:00Z", True),
        # 01:30 comes twice in New York on 2026-11-01; with fold=0 it is the first, 05:30 UTC.
        ({"to": "2026-11-01T01:30:00", "timezone": "America/New_York"}, "2026-11-01T05:30:00Z", False),
        ({"weekly": {"days": ["fri"], "start": "22:00", "end": "02:00"}, "timezone": "UTC"}, "2026-11-28T01:59:59Z", True),
        ({"weekly": {"days": ["fri"], "start": "22:00", "end": "02:00"}, "timezone": "UTC"}, "2026-11-28T02:00:00Z", False),
        ({"weekly": {"days": ["sat"], "start": "22:00", "end": "02:00"}, "timezone": "UTC"}, "2026-11-28T01:00:00Z", False),
        ({"weekly": ALL_FRIDAY, "timezone": "UTC"}, "2026-11-27T23:59:59Z", True),
        ({"weekly": ALL_FRIDAY, "from": "2026-11-27T13:00:00", "timezone": "UTC"}, "2026-11-27T12:00:00Z", False),
        ({"weekly": ALL_FRIDAY, "timezone": "UTC"}, "2028-08-18T12:00:00Z", True),
        ({"weekly": ALL_FRIDAY, "timezone": "UTC"}, "2028-08-25T12:00:00Z", False),  # beyond 800 days
    ],
)
def test_schedule_is_half_open_in_local_time(schedule: Body, at: str, active: bool) -> None:
    assert is_active(schedule, instant_us(at), instant_us("2026-06-15T08:00:00Z")) is active
