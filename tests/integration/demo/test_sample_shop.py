"""The sample shop in a whole service: it loads, every product has a price, and every rule of it has its say."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.client import ApiClient
from app.db.engine import Database
from app.demo.load import load_sample_shop, sample_skus, shop_file, tryout
from tests.served import served

WEEKDAY = "2026-12-01T20:00:00Z"  # a Tuesday afternoon in New York
MORNING = "2026-12-01T13:00:00Z"  # 08:00
SATURDAY = "2026-12-05T20:30:00Z"  # 15:30
NIGHT = "2026-12-06T05:30:00Z"  # Sunday 00:30, still Saturday's window

# A basket for each rule that would otherwise rarely meet its conditions: (instant, the rest of the request).
BASKETS: list[tuple[str, dict[str, Any]]] = [
    (WEEKDAY, {"lines": {"TENT-LARK-2P": 1, "JUMPER-WOOL-M": 1, "BLANKET-WOOL-MOSS": 1, "BOOT-RIDGE-42": 1}}),
    (WEEKDAY, {"lines": {"PACK-DAY-24": 1, "PACK-TREK-60": 1}, "channel": "web"}),
    (WEEKDAY, {"lines": {"MUG-ENAMEL-BLUE": 4, "BOWL-ENAMEL-CREAM": 4, "CHOC-BAR-70": 6, "LANTERN-GAS-BRASS": 1}}),
    (WEEKDAY, {"lines": {"WHETSTONE-1000": 1, "KNIFE-CHEF-21": 1, "COFFEE-DAWN": "2.5"}}),
    (WEEKDAY, {"lines": {"TIN-LOAF-L": 1, "ROPE-STAT-10": "60.5"}, "customer": {"level": "gold", "attributes": {"club_years": 12}, "orders": 7}}),
    (SATURDAY, {"lines": {"STOVE-WOOD": 1, "NAPKIN-4-OAT": 1, "WAX-BOOT": 1}, "store": "old-mill", "customer": {"segments": ["local"]}}),
    ("2026-11-27T17:00:00Z", {"lines": {"DUTCH-OVEN-5": 1, "DUTCH-OVEN-3": 1}}),
    ("2027-06-26T10:00:00Z", {"lines": {"HAMMOCK-SAGE": 1}}),
    ("2027-09-10T12:00:00Z", {"lines": {"TEA-MINT": "0.1"}}),
    (WEEKDAY, {"lines": {"MAT-AIR-R": 1, "FLASK-VAC-10": 1, "SANDAL-RIVER-40": 1, "SALT-FLAKE": "350.5", "TENT-HERON-2P": 1}}),
    (MORNING, {"lines": {"COFFEE-CAMP": "0.25"}}),
    (NIGHT, {"lines": {"CANDLE-BEES-L": 2}}),
    (WEEKDAY, {"lines": {"LANTERN-GAS-BLACK": 2, "TABLE-ROLL-S": 1}, "currency": "EUR"}),
    (WEEKDAY, {"lines": {"PEPPER-BLACK": 40, "TRAILMIX": "0.4", "BOOK-KNOTS": 1, "HEADLAMP-350": 1, "LANTERN-LED-SAGE": 1, "SKILLET-26": 1}}),
    (WEEKDAY, {"lines": {"HEADLAMP-600": 1, "FILTER-HOLLOW": 1, "MITTS-FELT-L": 1, "SAW-FOLD": 1, "BOTTLE-STEEL-07": 1}}),
    (WEEKDAY, {"lines": {"BAG-DOWN-0": 1, "MILL-COFFEE": 1}, "customer": {"segments": ["vip"]}}),
    (WEEKDAY, {"lines": {"MUG-ENAMEL-RUST": 96}, "channel": "wholesale", "customer": {"segments": ["trade"]}}),
    (WEEKDAY, {"lines": {"PEELER": 1, "WHISK": 1}, "codes": ["WELCOME10"], "customer": {"orders": 0}}),
    (WEEKDAY, {"lines": {"SHELL-RAIN-M": 1}, "codes": ["SAVE20"]}),
    (WEEKDAY, {"lines": {"TENT-HERON-4P": 1}, "codes": ["troop-41"]}),
    (WEEKDAY, {"lines": {"MUG-STONE-OAT": 1}, "codes": ["MUG9"]}),
    (WEEKDAY, {"lines": {"PEELER": 1, "COFFEE-DAWN": 1, "GIFT-CARD-25": 1}, "shipping": 690, "customer": {"level": "gold"}}),
    (WEEKDAY, {"lines": {"TENT-LARK-2P": 1, "GIFT-CARD-25": 1}, "shipping": 690}),
    (WEEKDAY, {"lines": {"PEELER": 1, "WHISK": 1}, "codes": ["LETTER5"], "attributes": {"newsletter": True}}),
    (WEEKDAY, {"lines": {"SOCKS-HIKE-M": 3, "MILL-COFFEE": 1, "DRIPPER-INK": 1, "FILTER-PAPER-02": 1, "TOWEL-LINEN-OAT": 2}}),
]  # fmt: skip


@pytest.fixture(scope="module")
def address(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A served service with the sample shop."""
    with served(database, tmp_path_factory.mktemp("shop")) as found:
        assert load_sample_shop(found)
        yield found


def quotes_of(address: str, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The quotes of a batch, all of which must be given."""
    with ApiClient(address) as api:
        results = api.call("POST", "/v1/quotes/batch", body=json.dumps({"quotes": requests}).encode())["results"]
    assert all("quote" in result for result in results), [result for result in results if "quote" not in result]
    return [result["quote"] for result in results]


def documents(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in shop_file(f"{name}.ndjson").splitlines()]


def ids(name: str) -> set[str]:
    return {row["id"] for row in documents(name)}


@pytest.fixture(scope="module")
def quotes(address: str) -> list[dict[str, Any]]:
    """The quotes of BASKETS."""
    requests = [
        {
            "currency": "USD",
            **request,
            "at": at,
            "lines": [{"sku": sku, "quantity": quantity} for sku, quantity in request["lines"].items()],
        }
        for at, request in BASKETS
    ]
    return quotes_of(address, requests)


def rules_of(quotes: list[dict[str, Any]], step: str) -> set[str]:
    return {one["rule"] for quote in quotes for line in quote["lines"] for one in line["price_steps"] if one["step"] == step}


@pytest.mark.parametrize("currency", ["USD", "EUR"])
def test_every_product_has_a_price(address: str, currency: str) -> None:
    skus = sorted(sample_skus())

    quotes = quotes_of(address, [{"currency": currency, "lines": [{"sku": sku, "quantity": 3}]} for sku in skus])

    assert [quote["lines"][0]["sku"] for quote in quotes] == skus
    assert min(quote["total"] for quote in quotes) > 0
    assert {quote["tax_included"] for quote in quotes} == {currency == "EUR"}


def test_every_promotion_does_something_for_some_basket(quotes: list[dict[str, Any]]) -> None:
    parts = [part for quote in quotes for part in (quote, *quote["lines"], quote["shipping"] or {"adjustments": []})]
    applied = {one["rule"] for part in parts for one in part["adjustments"]}
    applied |= {one["rule"] for quote in quotes for one in (*quote["gifts"], *quote["points"].get("multipliers", ()))}

    assert applied - {one["id"] for one in documents("guardrails")} == ids("promotions")


def test_every_sale_price_applies_to_some_basket(quotes: list[dict[str, Any]]) -> None:
    assert rules_of(quotes, "sale") == ids("sale-prices")


def test_every_bound_holds_some_line(quotes: list[dict[str, Any]]) -> None:
    lines = [line for quote in quotes for line in quote["lines"]]

    held = {one["bound"] for line in lines for one in (*line["price_steps"], *line["adjustments"]) if "bound" in one}
    assert held >= {"floor", "min_margin", "max_discount", "map"}


def test_every_strategy_prices_some_basket(quotes: list[dict[str, Any]]) -> None:
    assert rules_of(quotes, "strategy") == ids("strategies")


def test_every_ladder_moves_some_price(quotes: list[dict[str, Any]]) -> None:
    assert rules_of(quotes, "ladder") == ids("ladders")


def test_strategies_price_by_the_facts_of_the_shop(quotes: list[dict[str, Any]]) -> None:
    found = {line["sku"]: line["price_steps"][0] for quote in quotes for line in quote["lines"] if line["price_steps"]}
    after = {sku: (step["after"], step.get("inputs")) for sku, step in found.items()}

    # 7250 · 0.99 = 7177.5 and 4400 + 0.6 · (900 − 250) = 4790, to the next 99; 4900 · 0.92 = 4508
    assert after["HEADLAMP-600"] == ("7199", {"competitor": "trailhouse", "reference_price": "7250", "observations": 2})
    assert after["FILTER-HOLLOW"] == ("4799", {"reference_price": "4400", "worth": "390"})
    assert after["SAW-FOLD"] == ("4499", {"stage": "introduction"})
    # 14 to sell where 0.03 · 1.2 · 400 = 14.4 would be: the list price stands
    assert after["MITTS-FELT-L"] == ("4200", {"stock": "19", "days": 400, "percent": "100"})
    # 2700 and 600 more
    assert after["BOTTLE-STEEL-07"] == ("3300", None)
    # (0 + 8900 · (1 + 1.25 / 1.6)) / 2
    assert after["MILL-COFFEE"] == ("7927", {"demand_index": "1.25"})


def test_every_price_list_is_seen_by_some_basket(quotes: list[dict[str, Any]]) -> None:
    list_prices = {line["sku"]: line["list_unit_price"] for quote in quotes for line in quote["lines"]}

    assert list_prices["BAG-DOWN-0"] == "26589"  # vip: 289.00 x 0.92, to an ending of 9
    assert list_prices["NAPKIN-4-OAT"] == "3450"  # old-mill: 49.00 x 0.7, to 50 cents
    assert list_prices["MUG-ENAMEL-RUST"] == "1099"  # wholesale
    assert list_prices["LANTERN-GAS-BLACK"] == "8790"  # euro


def test_every_code_is_known(address: str) -> None:
    codes = [code for coupon in documents("coupons") for code in coupon["codes"]]

    quotes = quotes_of(
        address, [{"currency": "USD", "lines": [{"sku": "KUKSA", "quantity": 1}], "codes": [code]} for code in codes]
    )

    assert not [one for quote in quotes for one in quote["not_applied"] if one["reason"] == "code_invalid"]


def test_graduated_tiers_of_a_sub_cent_price_add_up(address: str) -> None:
    (quote,) = quotes_of(address, [{"currency": "USD", "lines": [{"sku": "SCREW-BRASS-16", "quantity": 250}]}])

    # 100 at 4.75 and 150 at 3.9 cents: 475 + 585.
    assert quote["subtotal"] == 1060


def test_loading_again_changes_nothing(address: str) -> None:
    with ApiClient(address) as api:
        before = api.call("GET", "/readyz")["version"]

        assert not load_sample_shop(address)

        assert api.call("GET", "/readyz")["version"] == before


def test_the_command_to_try_gets_a_quote(address: str) -> None:
    command = tryout(address)
    body = command[command.index("-d '") + 4 : -1]

    with ApiClient(address) as api:
        quote = api.call("POST", "/v1/quotes", body=body.encode())

    assert quote["total"] > 0
    assert {one["code"] for line in quote["lines"] for one in line["adjustments"] if "code" in one} == {"MUG9", "SAVE20"}


def test_another_shop_is_left_alone(fresh_database: Database, tmp_path: Path) -> None:
    with served(fresh_database, tmp_path) as address, ApiClient(address) as api:
        api.call("PUT", "/v1/products/9-OWN", query={"publish": "now"}, body=b'{"name": "Their own"}')

        assert not load_sample_shop(address)

        assert [one["id"] for one in api.call("GET", "/v1/products")["items"]] == ["9-OWN"]


def test_a_load_that_was_cut_short_goes_on(fresh_database: Database, tmp_path: Path) -> None:
    with served(fresh_database, tmp_path) as address, ApiClient(address) as api:
        for resource in ("policy", "products"):
            body = shop_file(f"{resource}.ndjson")
            api.call(
                "POST",
                "/v1/import",
                query={"resource": resource, "publish": "now"},
                body=body,
                content_type="application/x-ndjson",
            )

        assert load_sample_shop(address)

        assert {one["id"] for one in api.call("GET", "/v1/promotions", query={"limit": "1000"})["items"]} == ids("promotions")
