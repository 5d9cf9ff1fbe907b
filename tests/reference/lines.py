"""Steps 1 to 4: the price of a line, from its list price to its subtotal."""

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from tests.reference.allocation import allocate
from tests.reference.entries import Entry, winning_entry
from tests.reference.figures import (
    AMOUNT_MAX_MINOR,
    amount_of,
    parse_quantity_milli,
    parse_rate_ppm,
    parse_unit_e4,
    show_quantity,
    show_unit,
    unit_of,
)
from tests.reference.guardrails import Bound, Bounds, bounds_of, lowest
from tests.reference.ladders import moved_by_ladder
from tests.reference.scopes import has
from tests.reference.shop import Body, Request, Shop, names_currency
from tests.reference.strategies import strategy_outcome
from tests.reference.times import is_active


@dataclass(frozen=True)
class Parts:
    """The parts of a line: (quantity_milli, unit_e4) each, and the flat fees of all."""

    parts: tuple[tuple[int, int], ...]
    fees_minor: int = 0
    is_graduated: bool = False

    def amount(self) -> Fraction:
        """Return the exact amount in minor units."""
        return sum((amount_of(unit_e4, quantity) for quantity, unit_e4 in self.parts), Fraction(self.fees_minor))

    def clamped(self, bounds: Bounds) -> "Parts":
        """Return the parts with each unit price in the bounds."""
        return Parts(
            tuple((quantity, bounds.clamp_unit(unit)) for quantity, unit in self.parts), self.fees_minor, self.is_graduated
        )


@dataclass
class Line:
    """A line on its way: what steps 1 to 4 made of it, then what promotions leave of it."""

    id: str
    sku: str
    quantity_milli: int
    whole_milli: int  # what finds its tier: with the other lines of its mix
    entry: Entry
    bounds: Bounds
    list_unit_e4: int
    strategy_unit_e4: int
    unit_e4: int
    subtotal: int
    is_on_sale: bool
    price_steps: list[Body]
    running: int
    adjustments: list[Body] = field(default_factory=list)
    applied: list[str] = field(default_factory=list)  # ids of the line promotions that applied to it
    served_units: int = 0  # whole units that served a set

    def bound_for(self, promotion: Body) -> Bound | None:
        """Return the lower bound that binds a promotion."""
        is_shown = promotion["level"] == "line" and not promotion.get("requires_code")
        return self.bounds.floor if is_shown else self.bounds.paid

    def room(self, promotion: Body) -> int:
        """Return how much a promotion may still take before its lower bound."""
        return max(0, self.running - min(self.subtotal, lowest(self.bound_for(promotion), self.quantity_milli)))


def price_lines(shop: Shop, request: Request) -> list[Line | str]:
    """Price the lines of a request up to their subtotals; the code of the error where one cannot be priced."""
    unlimited = _with_mixed_tax(_price_lines(shop, request, {}, frozenset()))
    counted = [
        (each["rule"], parse_quantity_milli(each["left"])) for each in request.limited if each["limit"].startswith("units")
    ]
    units = {rule: min(left for name, left in counted if name == rule) for rule, _ in counted}
    if not units:
        return unlimited
    # Whether a line can be priced is no question of the sale, but who cannot be takes nothing of it.
    failed = frozenset(i for i, each in enumerate(unlimited) if isinstance(each, str))
    served = _price_lines(shop, request, units, failed)
    return [one if isinstance(one, str) else other for one, other in zip(unlimited, served, strict=True)]


def _with_mixed_tax(outcomes: list[Line | str]) -> list[Line | str]:
    priced = [each for each in outcomes if isinstance(each, Line)]
    return [
        "mixed_tax" if isinstance(each, Line) and each.entry.tax_included != priced[0].entry.tax_included else each
        for each in outcomes
    ]


def _price_lines(shop: Shop, request: Request, units: dict[str, int], failed: frozenset[int]) -> list[Line | str]:
    """Serve the lines in their order from the units left of sale prices."""
    asked = request.basket["lines"]
    quantities = [parse_quantity_milli(each["quantity"]) for each in asked]
    entries = [winning_entry(shop, request, each["sku"]) for each in asked]
    mixes = [_mix(each["sku"], entry) for each, entry in zip(asked, entries, strict=True)]
    outcomes: list[Line | str] = []
    priced: dict[int, Line | str] = {}
    for i, (each, entry) in enumerate(zip(asked, entries, strict=True)):
        if entry is None:
            outcomes.append("no_price")
            continue
        mixed = [i] if mixes[i] is None else [j for j, mix in enumerate(mixes) if mix == mixes[i]]
        own = [j for j in mixed if asked[j]["sku"] == each["sku"]]
        whole = sum(quantities[j] for j in mixed)
        if i in failed:
            outcomes.append("failed")
            continue
        if own[0] not in priced:
            priced[own[0]] = price_line(shop, request, each, entry, sum(quantities[j] for j in own), whole, units)
        line = priced[own[0]]
        if isinstance(line, Line):
            before = sum(quantities[j] for j in own if j < i)
            line = replace(
                line, id=each["id"], price_steps=_with_own_units(line, before, quantities[i]), adjustments=[], applied=[]
            )
            weights = [quantities[j] for j in own]
            shares = allocate(line.subtotal, weights, shop.policy("remainder"), shop.policy("rounding"))
            line.quantity_milli = quantities[i]
            line.subtotal = line.running = shares[own.index(i)]
        outcomes.append(line)
    return outcomes


def _mix(sku: str, entry: Entry | None) -> tuple[str, str] | None:
    """Return what a line counts together with: all lines of its SKU, or all that name the same."""
    mix = None if entry is None else (entry.body.get("tiers") or {}).get("mix")
    return None if mix is None else ("sku", sku) if mix == "sku" else ("name", mix)


def _with_own_units(line: Line, before: int, quantity: int) -> list[Body]:
    """Return the price steps of a line whose SKU has so many units before it: what is left of the units on sale is its own."""
    steps = [dict(step) for step in line.price_steps]
    for step in steps:
        if "units" in step:
            step["units"] = show_quantity(max(0, min(quantity, parse_quantity_milli(step["units"]) - before)))
    return steps


def price_line(
    shop: Shop, request: Request, asked: Body, entry: Entry, quantity: int, whole: int, units: dict[str, int]
) -> Line | str:
    """Price a quantity of a SKU as its share of a whole quantity that finds its tiers; takes what it gets of the units on sale."""
    sku, share = asked["sku"], Fraction(quantity, whole)
    list_unit_e4 = parse_unit_e4(entry.body["unit_price"])
    bounds = bounds_of(shop, request.currency, sku, list_unit_e4)
    amounts = [amount_of(list_unit_e4, whole)]
    steps = _Steps(shop, whole, list_unit_e4)

    strategy = strategy_outcome(shop, request.currency, sku, list_unit_e4, bounds, request.at_us)
    strategy_unit_e4 = list_unit_e4
    if strategy is not None:
        is_priced = strategy.status in ("ok", "held")
        strategy_unit_e4 = shop.whole(strategy.unit_e4) if is_priced else strategy.unit_e4
        said: dict[str, Any] = {"kind": shop.each("strategies")[strategy.rule]["kind"]}
        if strategy.inputs:
            said["inputs"] = dict(strategy.inputs)
        if strategy.status != "ok":
            said["status"] = strategy.status
        if strategy.bound is not None:
            bound = bounds.bound_of(strategy.bound)
            said |= {"bound": bound.name, "guardrail": bound.rule}
        steps.add("strategy", strategy.rule, strategy_unit_e4, **said)
    ladder = moved_by_ladder(shop, request, sku)
    if ladder is not None and (ladder.unit_e4 != shop.whole(strategy_unit_e4) or not ladder.is_gap_kept):
        strategy_unit_e4 = ladder.unit_e4
        steps.add("ladder", ladder.rule, strategy_unit_e4, **({} if ladder.is_gap_kept else {"status": "gap_not_kept"}))

    parts = tier_parts(shop, entry, whole, list_unit_e4, strategy_unit_e4)
    if entry.body.get("tiers") is not None:
        steps.add("tier", sku, steps.value(parts), price_list=entry.price_list)
    amounts.append(parts.amount())

    unbounded, parts = parts, parts.clamped(bounds)
    if parts.amount() != unbounded.amount():
        bound = bounds.bound_of("floor" if parts.amount() > unbounded.amount() else "ceiling")
        steps.add("guardrail", bound.rule, steps.value(parts), bound=bound.name)
    amounts.append(parts.amount())

    regular = parts.amount()
    sale = _best_sale(shop, request, sku, parts, quantity, units)
    on_sale = 0 if sale is None else min(quantity, units.get(sale, quantity))
    part_on_sale = Fraction(on_sale, quantity)
    is_split = 0 < part_on_sale < 1
    if sale is not None:
        parts = _on_sale(shop, shop.each("sale-prices")[sale], parts)
        if sale in units:
            units[sale] -= on_sale
        average = shop.round(unit_of(_blend(parts.amount(), regular, part_on_sale), whole))
        said = {"units": show_quantity(on_sale)} if is_split else {}
        steps.add("sale", sale, average if is_split else steps.value(parts), **said)

    before = shop.round(_blend(parts.amount(), regular, part_on_sale) * share) if is_split else shop.round(parts.amount() * share)
    parts = parts.clamped(bounds)
    amounts.append(parts.amount())
    exact = _blend(parts.amount(), regular, part_on_sale) if is_split else parts.amount()
    subtotal = bounds.clamp_amount(shop.round(exact * share), quantity)
    shown_e4 = shop.round(unit_of(subtotal, quantity))
    if subtotal != before:
        bound = bounds.bound_of("floor" if subtotal > before else "ceiling")
        steps.add("guardrail", bound.rule, shown_e4, bound=bound.name)
    if max(amounts) > AMOUNT_MAX_MINOR or subtotal > AMOUNT_MAX_MINOR:
        return "amount_out_of_bounds"
    return Line(
        id=asked["id"],
        sku=sku,
        quantity_milli=quantity,
        whole_milli=whole,
        entry=entry,
        bounds=bounds,
        list_unit_e4=list_unit_e4,
        strategy_unit_e4=strategy_unit_e4,
        unit_e4=shown_e4 if parts.is_graduated or is_split else parts.parts[0][1],
        subtotal=subtotal,
        is_on_sale=sale is not None,
        price_steps=steps.shown,
        running=subtotal,
    )


class _Steps:
    """The price steps of a line as they are shown."""

    def __init__(self, shop: Shop, quantity_milli: int, list_unit_e4: int) -> None:
        self.shop, self.quantity_milli, self.last_e4 = shop, quantity_milli, list_unit_e4
        self.shown: list[Body] = []

    def add(self, step: str, rule: str, after_e4: int, **said: Any) -> None:
        self.shown.append({"step": step, "rule": rule, "before": show_unit(self.last_e4), "after": show_unit(after_e4), **said})
        self.last_e4 = after_e4

    def value(self, parts: Parts) -> int:
        return self.shop.round(unit_of(parts.amount(), self.quantity_milli)) if parts.is_graduated else parts.parts[0][1]


def tier_unit_e4(shop: Shop, step: Body, list_unit_e4: int, strategy_unit_e4: int) -> int:
    """Return the unit price of a tier: its own, or where a strategy changed the list price in the same ratio to it."""
    own_e4 = parse_unit_e4(step["unit_price"])
    if strategy_unit_e4 == list_unit_e4 or list_unit_e4 == 0:
        return shop.whole(own_e4)
    ratio_ppm = shop.round(Fraction(own_e4 * 1_000_000, list_unit_e4))
    if ratio_ppm > 100_000_000:
        return shop.whole(own_e4)
    return shop.whole(shop.round(Fraction(strategy_unit_e4 * ratio_ppm, 1_000_000)))


def tier_index(tiers: Body, quantity_milli: int) -> int:
    """Return the index of the step that the quantity is in."""
    for index, step in enumerate(tiers["steps"]):
        if step["up_to"] is None or quantity_milli <= parse_quantity_milli(step["up_to"]):
            return index
    raise ValueError("the last step of tiers is open")


def tier_parts(shop: Shop, entry: Entry, quantity_milli: int, list_unit_e4: int, strategy_unit_e4: int) -> Parts:
    """Split a quantity into parts with a unit price each."""
    tiers = entry.body.get("tiers")
    if tiers is None:
        return Parts(((quantity_milli, shop.whole(strategy_unit_e4)),))
    reached = tier_index(tiers, quantity_milli)
    if tiers["mode"] == "volume":
        step = tiers["steps"][reached]
        return Parts(((quantity_milli, tier_unit_e4(shop, step, list_unit_e4, strategy_unit_e4)),), step.get("flat_fee") or 0)
    parts, fees, below = [], 0, 0
    for step in tiers["steps"][: reached + 1]:
        upper = quantity_milli if step["up_to"] is None else min(quantity_milli, parse_quantity_milli(step["up_to"]))
        parts.append((upper - below, tier_unit_e4(shop, step, list_unit_e4, strategy_unit_e4)))
        fees += step.get("flat_fee") or 0
        below = upper
    return Parts(tuple(parts), fees, is_graduated=True)


def _blend(on_sale: Fraction, regular: Fraction, part: Fraction) -> Fraction:
    """Return the amount of a line of which a part is on sale."""
    return on_sale * part + regular * (1 - part)


def _best_sale(shop: Shop, request: Request, sku: str, parts: Parts, quantity: int, units: dict[str, int]) -> str | None:
    found: list[tuple[Fraction, str]] = []
    for rule, body in shop.each("sale-prices").items():
        if (
            names_currency(body, request.currency)
            and has(body.get("scope"), sku, shop.each("products"))
            and is_active(body.get("schedule"), request.at_us, shop.published_at_us, shop.named_days("sale-prices", rule))
        ):
            part = Fraction(min(quantity, units.get(rule, quantity)), quantity)
            if part:
                found.append((_blend(_on_sale(shop, body, parts).amount(), parts.amount(), part), rule))
    if not found or min(found)[0] >= parts.amount():
        return None
    return min(found)[1]


def _on_sale(shop: Shop, sale: Body, parts: Parts) -> Parts:
    units = []
    for quantity, unit_e4 in parts.parts:
        if sale.get("unit_price") is not None:
            unit_e4 = min(unit_e4, shop.whole(parse_unit_e4(sale["unit_price"])))
        elif sale.get("percent") is not None:
            off_e4 = Fraction(unit_e4 * parse_rate_ppm(sale["percent"]), 1_000_000)
            unit_e4 -= shop.round(off_e4 / 10_000) * 10_000 if shop.is_by_unit else shop.round(off_e4)
        else:
            unit_e4 = max(0, unit_e4 - shop.whole(parse_unit_e4(sale["amount"])))
        units.append((quantity, unit_e4))
    return Parts(tuple(units), parts.fees_minor, parts.is_graduated)
