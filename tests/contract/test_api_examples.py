"""The examples of api.md, as they are written there, against a running service: accepted, and answered as written."""

import copy
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app.db.embedded import EmbeddedPostgres
from tests.conftest import make_database
from tests.contract.examples import (
    AT,
    COUPON,
    ENDINGS,
    FLASH,
    GUARDRAIL,
    IN_SALE_DAYS,
    MORE_BOUNDS,
    NOTHING,
    POLICY,
    PRICE,
    PRODUCT,
    QUOTE,
    SALE,
    SALE_DAYS,
    SIGNALS,
    STRATEGY,
    TEN_OFF,
    VIP,
)
from tests.contract.wire import is_problem, places
from tests.served import served

# What a document is shown with, beside its body.
DOCUMENT = {"revision": 1, "draft": False, "deleted": False}
QUOTE_ORDER = (
    "id version issued_at expires_at currency lines adjustments shipping subtotal discount total gifts points not_applied next_benefit selection"
    " personalised personal_inputs disclosures token"
)
LINE_ORDER = "id sku quantity list_unit_price unit_price net_unit_price subtotal discount total reference_price adjustments"


@pytest.fixture(scope="module")
def shop(template: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """An empty service, to which the tests of this module add the examples in the order of api.md."""
    folder = tmp_path_factory.mktemp("examples")
    with (
        make_database(template) as database,
        served(database, folder, log_level="error") as url,
        httpx.Client(base_url=url, timeout=30) as client,
    ):
        yield client


def in_order(shown: dict[str, Any], names: str) -> str:
    """Those of its members that are among `names`, in its own order."""
    return " ".join(name for name in shown if name in names.split())


def filled(body: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A body as it is shown: what it leaves out has its default, `more` says which."""
    shown = copy.deepcopy(body) | more
    if "scope" in shown:
        shown["scope"] = {name: NOTHING | shown["scope"].get(name, {}) for name in ("include", "exclude")}
    if shown.get("tiers"):
        shown["tiers"] = {"mix": None} | shown["tiers"]
    if shown.get("schedule"):
        shown["schedule"] = dict.fromkeys(("weekly", "rrule", "holidays", "festival")) | shown["schedule"]
    return shown


OTHER_LIMITS = (
    *("uses_per_day", "uses_per_week", "uses_per_month", "gifts"),
    *("uses_per_customer_per_day", "uses_per_customer_per_week", "uses_per_customer_per_month"),
)
# (path, body as sent, what is shown beside it)
DOCUMENTS = [
    ("/v1/products/SKU-1", PRODUCT, {}),
    (
        "/v1/prices/SKU-1",
        PRICE,
        {
            "id": "SKU-1|default|USD|",
            "sku": "SKU-1",
            "valid_from": None,
            "valid_to": None,
            "tiers": {"mode": "volume", "steps": [step | {"flat_fee": 0} for step in PRICE["tiers"]["steps"]]},
        },
    ),
    ("/v1/endings/us-99", ENDINGS, {}),
    (
        "/v1/promotions/ten-off",
        TEN_OFF,
        {
            "params": TEN_OFF["params"] | {"of": None, "units": None, "per": None, "allocate": "amount"},
            "not_on_sale": False,
            "conditions": {"all": [{"attribute": "order.subtotal", "op": ">=", "value": 5000, "basis": None}]},
            "limits": dict.fromkeys(OTHER_LIMITS) | TEN_OFF["limits"],
        },
    ),
    ("/v1/coupons/SAVE10", COUPON, {"generate": None, "limits": None}),
    ("/v1/price-lists/vip", VIP, {"name": None}),
    ("/v1/sale-prices/flash", FLASH | {"currency": "USD"}, {"percent": None, "amount": None}),
    ("/v1/guardrails/g1", GUARDRAIL, {"min_margin": None, "map": None, "max_discount": None, "max_change": None}),
    ("/v1/strategies/s1", STRATEGY, {"params": STRATEGY["params"] | {"stock_value": None, "reference_share": None}}),
    ("/v1/policy", POLICY, {"id": "default", "points": {}}),
    ("/v1/attributes/wholesale", {"type": "boolean"}, {"personal": False}),
    (
        "/v1/campaigns/black-friday",
        {"name": "Black Friday", "promotions": ["ten-off"], "budget": 500000, "currency": "USD"} | SALE_DAYS,
        {"goal": None},
    ),
]


@pytest.mark.parametrize(("path", "body", "more"), DOCUMENTS, ids=[path for path, _, _ in DOCUMENTS])
def test_documents_are_taken_as_written_and_shown_whole(
    shop: httpx.Client, path: str, body: dict[str, Any], more: dict[str, Any]
) -> None:
    drafted = shop.put(path, json=body)
    published = shop.put(path, json=body, params={"publish": "now"})
    shown = shop.get(path)
    listed = shop.get(path.rpartition("/")[0]) if path != "/v1/policy" else None

    assert (drafted.status_code, drafted.json()["draft"], drafted.json()["version"]) == (201, True, None)
    assert published.status_code == 201, published.text
    expected = {"id": path.rpartition("/")[2]} | filled(body, **more) | DOCUMENT
    assert {name: shown.json()[name] for name in shown.json() if name != "version"} == expected
    assert shown.json() == published.json()
    assert shown.json()["version"] >= 1
    assert shown.headers["etag"] == published.headers["etag"] == drafted.headers["etag"]
    assert listed is None or (listed.json()["items"] == [shown.json()] and listed.json()["next"] is None)


def test_all_bounds_of_a_guardrail_are_taken_together(shop: httpx.Client) -> None:
    shown = shop.put("/v1/guardrails/g3", json=MORE_BOUNDS).json()
    shop.delete("/v1/guardrails/g3")

    assert {name: shown[name] for name in MORE_BOUNDS if name != "scope"} == {
        name: value for name, value in MORE_BOUNDS.items() if name != "scope"
    }


def test_an_amount_without_a_currency_is_refused_among_several(shop: httpx.Client) -> None:
    for currency in ("USD", "EUR"):
        assert shop.put("/v1/prices/SKU-2?publish=now", json={"currency": currency, "unit_price": "1"}).is_success
    reply = shop.put("/v1/sale-prices/nowhere?publish=now", json=FLASH)

    assert reply.status_code == 422
    assert places(reply) == ["currency"]


@pytest.mark.parametrize("kind", SIGNALS)
def test_facts_are_in_force_at_once(shop: httpx.Client, kind: str) -> None:
    first = shop.put(f"/v1/signals/{kind}", json=SIGNALS[kind])
    again = shop.put(f"/v1/signals/{kind}", json=SIGNALS[kind])

    assert first.status_code == 200
    assert first.json() == {"accepted": 1, "changed": 1, "ignored": 0, "version": first.json()["version"]}
    assert again.json() == {"accepted": 1, "changed": 0, "ignored": 0, "version": first.json()["version"]}


def test_sales_are_taken_once(shop: httpx.Client) -> None:
    assert shop.post("/v1/sales", json=[SALE]).json() == {"accepted": 1, "duplicates": 0}
    assert shop.post("/v1/sales", json=[SALE]).json() == {"accepted": 0, "duplicates": 1}


def test_the_quote_is_answered_as_written(shop: httpx.Client) -> None:
    """SKU-1 by its elasticity: cost 700 · 2.4 / 1.4 = 1200, with the ending 1199; two are 2398, and shipping is added."""
    reply = shop.post("/v1/quotes", json=QUOTE)

    assert reply.status_code == 201
    quote = reply.json()
    assert in_order(quote, QUOTE_ORDER) == QUOTE_ORDER
    line = quote["lines"][0]
    assert in_order(line, LINE_ORDER) == LINE_ORDER
    assert (line["id"], line["sku"], line["quantity"], line["list_unit_price"]) == ("1", "SKU-1", "2", "1299")
    assert (line["unit_price"], line["net_unit_price"]) == ("1199", "1199")
    assert (line["subtotal"], line["discount"], line["total"]) == (2398, 0, 2398)
    assert quote["shipping"] == {"subtotal": 500, "discount": 0, "total": 500, "adjustments": []}
    assert (quote["subtotal"], quote["discount"], quote["total"]) == (2398, 0, 2898)
    assert quote["points"] == {"redeemed": 0, "amount": 0, "earned": 0}
    # Not in its days, and whoever sends a code does not learn whether there is one.
    assert quote["not_applied"] == [{"code": "SAVE10", "reason": "code_invalid"}]
    assert shop.get(f"/v1/quotes/{quote['id']}").content == reply.content


def test_the_code_works_in_its_days(shop: httpx.Client) -> None:
    """Flash makes them 999 each; five are 4995, 5 short of what the code asks for; six are 5994, and ten percent of that 599.4."""
    few = shop.post("/v1/preview", json=QUOTE | {"at": IN_SALE_DAYS, "lines": [{"sku": "SKU-1", "quantity": 5}]}).json()
    enough = shop.post("/v1/preview", json=QUOTE | {"at": IN_SALE_DAYS, "lines": [{"sku": "SKU-1", "quantity": "6"}]}).json()

    assert few["not_applied"] == [{"rule": "ten-off", "reason": "min_spend_not_met", "needed": 5, "code": "SAVE10"}]
    assert [benefit["quantity_needed"] for benefit in few["next_benefit"] if benefit.get("line")] == ["5"]
    # The floor of 900 holds: 6 · 900 = 5400, and only 594 of 599 may go.
    (line,) = enough["lines"]
    taken = {"kind": "percent_off", "rule": "ten-off", "revision": 1, "name": "Ten off", "amount": -599, "code": "SAVE10"}
    # Acme bears 60 percent of what was really given: 356.4 of 594.
    assert line["adjustments"][0] == taken | {"funding": [{"party": "acme", "amount": 356}]}
    assert line["subtotal"] + sum(adjustment["amount"] for adjustment in line["adjustments"]) == line["total"] == 5400
    assert enough["total"] == enough["subtotal"] - enough["discount"] + enough["shipping"]["total"] == 5900
    assert (enough["id"], enough["token"]) == (None, None)


def test_only_currency_and_lines_are_needed(shop: httpx.Client) -> None:
    assert shop.post("/v1/quotes", json={"currency": "USD", "lines": [{"sku": "SKU-1", "quantity": 1}]}).status_code == 201
    for missing in ("currency", "lines"):
        reply = shop.post("/v1/quotes", json={name: value for name, value in QUOTE.items() if name != missing})
        assert is_problem(reply, 422, "validation")
        assert places(reply) == [missing]


def test_lines_without_a_price_are_all_named_unless_the_request_is_partial(shop: httpx.Client) -> None:
    lines = [{"sku": "A", "quantity": 1}, {"sku": "SKU-1", "quantity": 1}, {"sku": "B", "quantity": 1}]
    refused = shop.post("/v1/quotes", json=QUOTE | {"lines": lines})
    partial = shop.post("/v1/quotes", json=QUOTE | {"lines": lines, "partial": True})

    assert is_problem(refused, 422, "validation")
    assert [(error["path"], error["code"]) for error in refused.json()["errors"]] == [
        ("lines[0]", "no_price"),
        ("lines[2]", "no_price"),
    ]
    assert partial.status_code == 201
    assert [line.get("error") for line in partial.json()["lines"]] == [{"code": "no_price"}, None, {"code": "no_price"}]
    assert partial.json()["total"] == 1199 + 500


def test_a_uuid_as_key_is_the_id_and_what_was_answered_stays(shop: httpx.Client) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}
    first = shop.post("/v1/quotes", json=QUOTE, headers=key)
    again = shop.post("/v1/quotes", json=QUOTE, headers=key)
    other = shop.post("/v1/quotes", json=QUOTE | {"shipping": 501}, headers=key)

    assert first.json()["id"] == key["Idempotency-Key"]
    assert again.content == first.content
    assert (first.headers.get("idempotent-replayed"), again.headers["idempotent-replayed"]) == (None, "true")
    assert is_problem(other, 422, "idempotency_mismatch")
    assert shop.get(f"/v1/quotes/{key['Idempotency-Key']}").content == first.content


def test_changes_take_keys_too(shop: httpx.Client) -> None:
    for send, path, body in (
        (shop.put, "/v1/products/KEYED", PRODUCT),
        (shop.post, "/v1/sales", [SALE | {"id": "keyed"}]),
        (shop.put, "/v1/signals/stock", [{"sku": "KEYED", "units": "1", "at": AT}]),
    ):
        key = {"Idempotency-Key": f"key-of-{path}"}
        first, again = send(path, json=body, headers=key), send(path, json=body, headers=key)
        assert (first.status_code, first.content) == (again.status_code, again.content)
        assert again.headers["idempotent-replayed"] == "true"


def test_versions(shop: httpx.Client) -> None:
    now = shop.post("/v1/preview", json=QUOTE).json()["version"]
    # The first version has the product and no price.
    assert places(shop.post("/v1/preview", json=QUOTE | {"version": 1})) == ["lines[0]"]
    assert shop.post("/v1/preview", json=QUOTE | {"version": now}).json()["version"] == now
    assert places(shop.post("/v1/preview", json=QUOTE | {"version": now + 100})) == ["version"]
    assert shop.post("/v1/quotes", json=QUOTE | {"min_version": now}).status_code == 201
    assert shop.post("/v1/quotes", json=QUOTE, headers={"Min-Version": str(now)}).status_code == 201
    for body, headers in ((QUOTE | {"min_version": now + 1}, {}), (QUOTE, {"Min-Version": str(now + 1)})):
        began = time.monotonic()
        late = shop.post("/v1/quotes", json=body, headers=headers)
        assert is_problem(late, 503, "version_not_reached")
        assert late.headers["retry-after"]
        assert 0.9 < time.monotonic() - began < 3


def test_simulating_needs_its_scope(shop: httpx.Client) -> None:
    made = shop.post("/v1/keys", json={"name": "till", "scopes": ["quote"]})
    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    till = {"Authorization": f"Bearer {made.json()['key']}"}

    assert shop.post("/v1/quotes", json=QUOTE, headers=till).status_code == 201
    for more in ({"at": IN_SALE_DAYS}, {"version": 1}):
        for path in ("/v1/quotes", "/v1/preview"):
            assert is_problem(shop.post(path, json=QUOTE | more, headers=till), 403, "forbidden")
    assert is_problem(shop.put("/v1/products/X", json=PRODUCT, headers=till), 403, "forbidden")
    assert is_problem(shop.get("/v1/keys", headers=till), 403, "forbidden")
    assert "key" not in shop.get("/v1/keys").json()["items"][0]


def test_a_batch_answers_each(shop: httpx.Client) -> None:
    reply = shop.post("/v1/quotes/batch", json={"quotes": [QUOTE, QUOTE | {"currency": "EUR"}, 7, QUOTE | {"points": -1}]})

    assert reply.status_code == 200
    assert [list(result) for result in reply.json()["results"]] == [["quote"], ["problem"], ["problem"], ["problem"]]
    problems = [result["problem"] for result in reply.json()["results"][1:]]
    assert [(problem["status"], problem["errors"][0]["path"]) for problem in problems] == [
        (422, "lines[0]"),
        (422, ""),
        (422, "points"),
    ]
    line = {"sku": "SKU-1", "quantity": 1}
    assert places(shop.post("/v1/quotes/batch", json={"quotes": [0] * 1001})) == ["quotes"]
    assert places(shop.post("/v1/quotes/batch", json={"quotes": [{"currency": "USD", "lines": [line] * 500}] * 21})) == ["quotes"]


def test_prices_for_listing_pages(shop: httpx.Client) -> None:
    reply = shop.post("/v1/prices", json={"currency": "USD", "channel": "web", "skus": ["SKU-1", "A"]})

    nothing = {"list_unit_price": None, "unit_price": None, "net_unit_price": None, "problem": {"code": "no_price"}}
    assert reply.status_code == 200
    assert reply.json()["items"] == [
        {"sku": "SKU-1", "list_unit_price": "1299", "unit_price": "1199", "net_unit_price": "1199"},
        {"sku": "A"} | nothing,
    ]
    assert len(shop.post("/v1/prices", json={"currency": "USD", "skus": ["SKU-1"] * 10_000}).json()["items"]) == 10_000
    assert places(shop.post("/v1/prices", json={"currency": "USD", "skus": ["SKU-1"] * 10_001})) == ["skus"]
    assert is_problem(shop.post("/v1/prices", json={"currency": "USD", "skus": ["S" * 100] * 3000}), 413, "body_too_large")


def test_decisions_are_found_shown_and_replayed(shop: httpx.Client) -> None:
    quote = shop.post("/v1/quotes", json=QUOTE | {"customer": {"id": "c-99"}, "codes": [" save10 "]}).json()
    found = shop.get("/v1/decisions", params={"customer": "c-99"}).json()["items"]
    shown = shop.get(f"/v1/decisions/{quote['id']}").json()

    assert [decision["id"] for decision in found] == [quote["id"]]
    assert (found[0]["codes"], found[0]["total"], found[0]["lines"]) == (["SAVE10"], quote["total"], 1)
    assert shown == found[0] | {"request": shown["request"], "reply": quote}
    assert shown["request"]["at"] == quote["issued_at"]
    assert shop.post(f"/v1/decisions/{quote['id']}/replay").json() == {"equal": True}
    for name, value in {
        "sku": "SKU-1",
        "code": "save10",
        "version": quote["version"],
        "from": "2026-01-01T00:00:00Z",
        "to": "2199-01-01T00:00:00Z",
    }.items():
        listed = shop.get("/v1/decisions", params={name: value, "limit": 1000}).json()["items"]
        assert quote["id"] in [decision["id"] for decision in listed], name
    assert shop.get("/v1/decisions", params={"promotion": "ten-off", "customer": "c-99"}).json() == {"items": [], "next": None}
    assert is_problem(shop.get(f"/v1/decisions/{uuid.uuid4()}"), 404, "not_found")


def test_lists_are_paged_to_the_end(shop: httpx.Client) -> None:
    for path in ("/v1/decisions", "/v1/audit", "/v1/products?draft=true"):
        asked: dict[str, Any] = dict(httpx.URL(path).params)
        whole = shop.get(path, params=asked | {"limit": 1000}).json()
        seen: list[Any] = []
        following: str | None = ""
        while following is not None:
            page = shop.get(path, params=asked | {"limit": 3} | ({"cursor": following} if following else {})).json()
            seen += page["items"]
            following = page["next"]
        assert seen == whole["items"], path
        assert whole["next"] is None


def test_preconditions(shop: httpx.Client) -> None:
    made = shop.put("/v1/products/TAGGED", json=PRODUCT, params={"publish": "now"})
    present = {"If-Match": made.headers["etag"]}
    changed = shop.put("/v1/products/TAGGED", json=PRODUCT | {"name": "Blue shoe"}, params={"publish": "now"}, headers=present)

    assert (made.status_code, changed.status_code) == (201, 200)
    assert (changed.json()["revision"], changed.json()["version"]) == (2, made.json()["version"] + 1)
    late = shop.put("/v1/products/TAGGED", json=PRODUCT, params={"publish": "now"}, headers=present)
    assert is_problem(late, 412, "precondition_failed")
    assert is_problem(shop.put("/v1/products/TAGGED", json=PRODUCT, headers={"If-None-Match": "*"}), 412, "precondition_failed")
    assert shop.get("/v1/products/TAGGED", headers={"If-None-Match": changed.headers["etag"]}).status_code == 304
    gone = shop.delete("/v1/products/TAGGED", params={"publish": "now"}, headers={"If-Match": changed.headers["etag"]})
    assert (gone.status_code, gone.json()["deleted"]) == (200, True)
    assert is_problem(shop.get("/v1/products/TAGGED"), 404, "not_found")


def test_releases_and_rollback(shop: httpx.Client) -> None:
    before = shop.post("/v1/preview", json=QUOTE).json()["version"]
    shop.put("/v1/products/GATHERED", json=PRODUCT)
    wanted = {"name": "Spring", "documents": [{"resource": "products", "id": "GATHERED"}]}
    release = shop.post("/v1/releases", json=wanted)
    path = f"/v1/releases/{release.json()['id']}"

    assert (release.status_code, release.json()["state"]) == (201, "open")
    assert shop.post(f"{path}/validate").json() == {"valid": True, "problems": []}
    assert shop.post(f"{path}/publish").json()["version"] == before + 1
    assert is_problem(shop.post(f"{path}/publish"), 409, "conflict")
    back = shop.post("/v1/releases/rollback", json={"to_version": before})
    assert back.json() == {"version": before + 2, "body_of": before, "changed": 1}
    assert is_problem(shop.get("/v1/products/GATHERED"), 404, "not_found")
    audit = shop.get("/v1/audit", params={"document": "GATHERED"}).json()["items"]
    assert [entry["action"] for entry in audit if entry["version"]] == ["rollback", "publish"]


def test_what_is_exported_is_imported_unchanged(shop: httpx.Client) -> None:
    for form, media_type in (("csv", "text/csv"), ("ndjson", "application/x-ndjson")):
        for resource in ("prices", "promotions", "coupons", "policy"):
            rows = shop.get("/v1/export", params={"resource": resource, "format": form})
            assert rows.headers["content-type"].startswith(media_type)
            back = shop.post(
                "/v1/import",
                params={"resource": resource, "publish": "now"},
                content=rows.content,
                headers={"Content-Type": media_type},
            )
            assert (back.status_code, back.json()["changed"]) == (200, 0), (resource, form, back.text)


def test_a_value_without_differences_is_the_reference_price(shop: httpx.Client) -> None:
    body = {"kind": "value", "scope": {}, "currency": "USD", "params": {"reference_price": "100"}}

    reply = shop.put("/v1/strategies/bare", json=body)

    assert reply.status_code == 201
    assert reply.json()["params"]["differences"] == []
