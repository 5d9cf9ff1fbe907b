"""Step 1: the list price, that is which price entry of a SKU wins."""

from dataclasses import dataclass

from tests.reference.shop import Body, Request, Shop
from tests.reference.times import instant_us


@dataclass(frozen=True)
class Entry:
    """The winning entry and what its list says."""

    price_list: str
    body: Body
    tax_included: bool
    names_groups: bool


def winning_entry(shop: Shop, request: Request, sku: str) -> Entry | None:
    """Return the winning entry of the SKU in the request, None without one."""
    best: tuple[bool, bool, bool, bool, int, int] | None = None
    winner: Entry | None = None
    for body in shop.each("prices").values():
        if body["sku"] != sku or body["currency"] != request.currency or not _in_force(body, request.at_us):
            continue
        list_id = body.get("price_list") or "default"
        price_list = shop.each("price-lists").get(list_id, {})
        match = price_list.get("match") or {}
        if not _list_matches(match, request):
            continue
        rank = (
            bool(match.get("groups")),
            bool(match.get("stores")),
            bool(match.get("channels")),
            bool(match.get("markets")),
            int(price_list.get("priority") or 0),
            _from_us(body),
        )
        if best is None or winner is None or rank > best or (rank == best and list_id < winner.price_list):
            best = rank
            winner = Entry(list_id, body, bool(price_list.get("tax_included")), rank[0])
    return winner


def _from_us(body: Body) -> int:
    # An entry without a beginning is the earliest of all.
    return -(10**18) if body.get("valid_from") is None else instant_us(body["valid_from"])


def _in_force(body: Body, at_us: int) -> bool:
    return _from_us(body) <= at_us and (body.get("valid_to") is None or at_us < instant_us(body["valid_to"]))


def _list_matches(match: Body, request: Request) -> bool:
    groups = [*(request.customer.get("segments") or []), request.customer.get("level")]
    return (
        (not match.get("groups") or any(group in match["groups"] for group in groups))
        and (not match.get("stores") or request.basket.get("store") in match["stores"])
        and (not match.get("channels") or request.basket.get("channel") in match["channels"])
        and (not match.get("markets") or request.basket.get("market") in match["markets"])
    )
