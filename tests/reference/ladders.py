"""Ladders: the prices of good, better, best."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from tests.reference.endings import greatest_ending_e4, least_ending_e4
from tests.reference.entries import winning_entry
from tests.reference.figures import UNIT_MAX_E4, ceiling_of, floor_of, parse_rate_ppm, parse_unit_e4
from tests.reference.guardrails import Bound, Bounds, bounds_of
from tests.reference.shop import Body, Request, Shop
from tests.reference.strategies import strategy_outcome


@dataclass
class Rung:
    """A rung with a price: where it comes from, and where it may go."""

    sku: str
    body: Body
    unit_e4: int
    is_whole: bool
    limits: Bounds
    endings: Body | None


@dataclass(frozen=True)
class Moved:
    """What a ladder made of a price."""

    rule: str
    unit_e4: int
    is_gap_kept: bool


def moved_by_ladder(shop: Shop, request: Request, sku: str) -> Moved | None:
    """Return what the SKU's ladder makes of its price; None without a ladder."""
    for rule, body in shop.each("ladders").items():
        if body["currency"] == request.currency and any(rung["sku"] == sku for rung in body["rungs"]):
            found = [_rung(shop, request, body, each) for each in body["rungs"]]
            rungs = [rung for rung in found if rung is not None]
            _upwards(rungs)
            _downwards(rungs)
            place = [rung.sku for rung in rungs].index(sku)
            is_kept = place == 0 or rungs[place].unit_e4 >= rungs[place - 1].unit_e4 + _gap(
                rungs[place], rungs[place - 1].unit_e4
            )
            return Moved(rule, rungs[place].unit_e4, is_kept)
    return None


def _rung(shop: Shop, request: Request, ladder: Body, body: Body) -> Rung | None:
    sku, currency = body["sku"], request.currency
    entry = winning_entry(shop, request, sku)
    if entry is None:
        return None
    list_unit_e4 = parse_unit_e4(entry.body["unit_price"])
    bounds = bounds_of(shop, currency, sku, list_unit_e4)
    strategy = strategy_outcome(shop, currency, sku, list_unit_e4, bounds, request.at_us)
    endings = None
    if strategy is not None and strategy.status in ("ok", "held"):
        name = shop.each("strategies")[strategy.rule].get("endings")
        endings = None if name is None else shop.each("endings")[name]
    reference = Fraction(list_unit_e4) if (ladder.get("reference") or "list") == "list" else _market(shop, currency, sku)
    unit_e4 = list_unit_e4 if strategy is None else strategy.unit_e4
    unit_e4 = shop.whole(unit_e4)
    is_whole = shop.is_by_unit or list_unit_e4 % 10_000 == 0
    return Rung(sku, body, unit_e4, is_whole, _limits(shop, body, reference, bounds), endings)


def _market(shop: Shop, currency: str, sku: str) -> Fraction | None:
    units = [
        parse_unit_e4(seen["unit_price"])
        for seen in shop.each("signals-competitors").values()
        if seen["sku"] == sku and seen["currency"] == currency and seen["in_stock"]
    ]
    return Fraction(shop.round(Fraction(sum(units), len(units)))) if units else None


def _limits(shop: Shop, body: Body, reference: Fraction | None, bounds: Bounds) -> Bounds:
    grain = 10_000 if shop.is_by_unit else 1
    low_e4 = bounds.floor.unit_e4 if bounds.floor else 0
    high_e4 = bounds.ceiling.unit_e4 if bounds.ceiling else UNIT_MAX_E4
    if reference is not None and body.get("low_percent") is not None:
        lowest = ceiling_of(reference * Fraction(parse_rate_ppm(body["low_percent"]), 1_000_000))
        low_e4 = bounds.clamp_unit(min(ceiling_of(Fraction(lowest, grain)) * grain, UNIT_MAX_E4))
    if reference is not None and body.get("high_percent") is not None:
        highest = floor_of(reference * Fraction(parse_rate_ppm(body["high_percent"]), 1_000_000))
        high_e4 = bounds.clamp_unit(highest // grain * grain)
    low = Bound("", "", low_e4)
    return Bounds(low, low, Bound("", "", max(low_e4, min(high_e4, UNIT_MAX_E4))))


def _low(rung: Rung) -> int:
    assert rung.limits.floor is not None
    return rung.limits.floor.unit_e4


def _high(rung: Rung) -> int:
    assert rung.limits.ceiling is not None
    return rung.limits.ceiling.unit_e4


def _gap(rung: Rung, below_e4: int) -> int:
    amount_e4 = parse_unit_e4(rung.body.get("gap_amount") or "0")
    return amount_e4 + ceiling_of(Fraction(below_e4 * parse_rate_ppm(rung.body.get("gap_percent") or "0"), 1_000_000))


def _upwards(rungs: list[Rung]) -> None:
    for place, rung in enumerate(rungs):
        need = max(rung.unit_e4, _low(rung))
        if place:
            below_e4 = rungs[place - 1].unit_e4
            need = max(need, below_e4 + _gap(rung, below_e4))
        if need > _high(rung):
            rung.unit_e4 = _high(rung)
        elif need > rung.unit_e4:
            plain = ceiling_of(Fraction(need, 10_000)) * 10_000 if rung.is_whole else need
            ending = _ending(least_ending_e4, rung, need)
            rung.unit_e4 = min(plain, _high(rung)) if ending is None else ending


def _downwards(rungs: list[Rung]) -> None:
    for place in range(len(rungs) - 1, 0, -1):
        above, rung = rungs[place], rungs[place - 1]
        left = max(0, above.unit_e4 - parse_unit_e4(above.body.get("gap_amount") or "0"))
        most = floor_of(Fraction(left * 1_000_000, 1_000_000 + parse_rate_ppm(above.body.get("gap_percent") or "0")))
        if rung.unit_e4 <= most:
            continue
        plain = most // 10_000 * 10_000 if rung.is_whole else most
        ending = _ending(greatest_ending_e4, rung, most) if most > _low(rung) else None
        rung.unit_e4 = max(plain, _low(rung)) if ending is None else ending


def _ending(find: Callable[[Body, int, Bounds], int | None], rung: Rung, price_e4: int) -> int | None:
    return None if rung.endings is None else find(rung.endings, price_e4, rung.limits)
