"""What each kind of promotion gives at its turn, before limits and floors."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from tests.reference.figures import (
    AMOUNT_MAX_MINOR,
    amount_of,
    parse_quantity_milli,
    parse_rate_ppm,
    parse_unit_e4,
    show_percent,
    show_quantity,
)
from tests.reference.lines import Line
from tests.reference.sets import Set, bundle, buy_x_get_y, limited_units
from tests.reference.shop import Body, Shop

NEEDED = {
    "quantity": "quantity_needed",
    "spend": "spend_needed",
    "customer.orders": "orders_needed",
    "customer.spend": "customer_spend_needed",
}


@dataclass(frozen=True)
class Each:
    """A reward of each eligible line, in their order."""

    rewards: list[int]
    served: list[int] = field(default_factory=list)  # units that serve a set if it applies; none where it is empty


@dataclass(frozen=True)
class Across:
    """An amount to be allocated over the eligible lines, by weights of the promotion's choice."""

    amount: int
    weights: list[int]
    served: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Unreached:
    """No reward, and why."""

    entry: Body


Reward = Each | Across | Unreached


@dataclass(frozen=True)
class Ladder:
    """The steps of a kind that has them, the measure that climbs them, and its name."""

    by: str
    measure: int  # milli for a quantity
    steps: list[tuple[int, Body]]  # each from which measure on, and its percent or amount

    def reached(self) -> Body | None:
        """Return the last step at or below the measure."""
        found = [gives for start, gives in self.steps if start <= self.measure]
        return found[-1] if found else None

    def needed(self, start: int) -> int | str:
        """Return what is missing to a step, as it is shown."""
        missing = start - self.measure
        return show_quantity(missing) if self.by == "quantity" else missing

    def next_benefit(self) -> Body | None:
        """Return what the next step above the measure needs and gives."""
        for start, gives in self.steps:
            if start > self.measure:
                shown = (
                    {"amount": gives["amount"]}
                    if gives.get("amount") is not None
                    else {"percent": show_percent(parse_rate_ppm(gives["percent"]))}
                )
                return {NEEDED[self.by]: self.needed(start), **shown}
        return None


def ladder_of(promotion: Body, scope: Sequence[Line], facts: Body) -> Ladder | None:
    """Return the ladder of a promotion; None where its kind has none, or where the request lacks its measure."""
    params = promotion["params"]
    spend = sum(line.running for line in scope)
    if promotion["kind"] == "spend_save":
        if params.get("threshold") is None:
            return Ladder("spend", spend, [(step["threshold"], step) for step in params["steps"]])
        return Ladder("spend", spend, _multiples(params, spend))
    if promotion["kind"] != "tiered":
        return None
    by: str = params["by"]
    if by == "quantity":
        measure = sum(line.quantity_milli for line in scope)
        return Ladder(by, measure, [(parse_quantity_milli(step["from"]), step) for step in params["steps"]])
    steps = [(int(step["from"]), step) for step in params["steps"]]
    if by == "spend":
        return Ladder(by, spend, steps)
    return Ladder(by, int(facts[by]), steps) if by in facts else None


def falls_short(promotion: Body, scope: Sequence[Line], untouched: Sequence[Line], facts: Body) -> bool:
    """Say whether the running spend reaches another percentage or amount than the spend before promotions."""
    running, before = ladder_of(promotion, scope, facts), ladder_of(promotion, untouched, facts)
    if running is None or before is None or running.by != "spend":
        return False
    return _reached(running) != _reached(before)


def _reached(ladder: Ladder) -> tuple[int, int]:
    gives = ladder.reached() or {}
    percent = 0 if gives.get("percent") is None else parse_rate_ppm(gives["percent"])
    return percent, min(gives.get("amount") or 0, AMOUNT_MAX_MINOR)


def _multiples(params: Body, spend: int) -> list[tuple[int, Body]]:
    """Return a repeated threshold as steps: the multiple reached and the next, as far as `max_times` allows."""
    threshold, most = params["threshold"], 1
    if params.get("repeat"):
        most = spend // threshold + 1
        if params.get("max_times") is not None:
            most = min(most, params["max_times"])
    first = max(1, most - 1)
    steps = []
    for times in range(first, most + 1):
        amount = None if params.get("amount") is None else params["amount"] * times
        steps.append((threshold * times, {"amount": amount, "percent": params.get("percent")}))
    return steps


def reward_of(shop: Shop, promotion: Body, scope: Sequence[Line], eligible: Sequence[Line], facts: Body) -> Reward:
    """Return the reward of a promotion over its eligible lines."""
    kind, params, level = promotion["kind"], promotion["params"], promotion["level"]
    shares = _shares(params, eligible)
    if kind == "percent_off":
        return _percent(shop, level, params, params.get("of") or shop.policy("percent_base"), eligible, shares)
    if kind == "amount_off":
        per = params.get("per") or "across"
        if per == "unit":
            return Each([shop.round(Fraction(params["amount"] * milli, 1000)) for milli in shares])
        if per == "line":
            return Each([params["amount"] for _ in eligible])
        return Across(params["amount"], _weights(params, eligible))
    if kind == "fixed_price":
        return Each(_down_to(shop, params["unit_price"], eligible, shares))
    if kind == "buy_x_get_y":
        return _given(shop, params, eligible, buy_x_get_y(shop, promotion, eligible))
    if kind == "bundle":
        return _bundled(shop, params, eligible, bundle(shop, promotion, eligible))
    ladder = ladder_of(promotion, scope, facts)
    if ladder is None:
        return Unreached({"reason": "attribute_missing", "attribute": params["by"]})
    gives = ladder.reached()
    if gives is None:
        reason = "min_spend_not_met" if kind == "spend_save" else "tier_not_reached"
        return Unreached({"reason": reason, "needed": ladder.needed(ladder.steps[0][0])})
    if gives.get("amount") is not None:
        return Across(gives["amount"], _weights(params, eligible))
    steps = params | {"percent": gives["percent"]}
    return _percent(shop, level, steps, shop.policy("percent_base"), eligible, shares)


def _shares(params: Body, eligible: Sequence[Line]) -> list[int]:
    """Return how much of each line gets the reward, in thousandths."""
    if params.get("units") is None:
        return [line.quantity_milli for line in eligible]
    return [1000 * units for units in limited_units(params["units"], eligible)]


def _weights(params: Body, eligible: Sequence[Line]) -> list[int]:
    """Return what an allocated amount is split by."""
    match params.get("allocate"):
        case "quantity":
            return [line.quantity_milli for line in eligible]
        case "even":
            return [1 for _ in eligible]
    return [line.running for line in eligible]


def _percent(shop: Shop, level: str, params: Body, of: str, eligible: Sequence[Line], shares: Sequence[int]) -> Each | Across:
    rate = Fraction(parse_rate_ppm(params["percent"]), 1_000_000)
    bases = [_base(shop, line, of) for line in eligible]
    if level == "order" or params.get("per") == "across":
        return Across(shop.round(sum(bases) * rate), _weights(params, eligible))
    parts = zip(bases, shares, eligible, strict=True)
    if shop.is_by_unit:
        by_unit = [(shop.round(base * rate * 1000 / line.quantity_milli), milli) for base, milli, line in parts]
        return Each([shop.round(Fraction(off * milli, 1000)) for off, milli in by_unit])
    return Each([shop.round(base * rate * Fraction(milli, line.quantity_milli)) for base, milli, line in parts])


def _down_to(shop: Shop, unit_price: str, eligible: Sequence[Line], shares: Sequence[int]) -> list[int]:
    fixed_e4 = shop.whole(parse_unit_e4(unit_price))
    return [
        max(0, shop.round(Fraction(line.running * milli, line.quantity_milli)) - shop.round(amount_of(fixed_e4, milli)))
        for line, milli in zip(eligible, shares, strict=True)
    ]


def _given(shop: Shop, params: Body, eligible: Sequence[Line], found: Set) -> Reward:
    if found.why is not None:
        return Unreached(found.why)
    shares = [1000 * units for units in found.rewarded]
    if params.get("unit_price") is not None:
        return Each(_down_to(shop, params["unit_price"], eligible, shares), found.served)
    rewards = _percent(shop, "line", params, "running", eligible, shares)
    assert isinstance(rewards, Each)
    return Each(rewards.rewards, found.served)


def _bundled(shop: Shop, params: Body, eligible: Sequence[Line], found: Set) -> Reward:
    if found.why is not None:
        return Unreached(found.why)
    units = zip(eligible, found.served, strict=True)
    amounts = [shop.round(Fraction(line.running * count * 1000, line.quantity_milli)) for line, count in units]
    total = sum(amounts)
    if params.get("price") is not None:
        saving = max(0, total - found.times * params["price"])
    elif params.get("amount") is not None:
        saving = min(total, found.times * params["amount"])
    else:
        saving = shop.round(total * Fraction(parse_rate_ppm(params["percent"]), 1_000_000))
    by = {"quantity": found.served, "even": [min(1, count) for count in found.served]}
    return Across(saving, by.get(params.get("allocate") or "amount", amounts), found.served)


def benefit_of(shop: Shop, promotion: Body, scope: Sequence[Line], eligible: Sequence[Line], facts: Body) -> Body | None:
    """Return what a promotion would give next."""
    if promotion["kind"] == "buy_x_get_y":
        return buy_x_get_y(shop, promotion, eligible).benefit
    if promotion["kind"] == "bundle":
        return bundle(shop, promotion, eligible).benefit
    ladder = ladder_of(promotion, scope, facts)
    return ladder.next_benefit() if ladder is not None else None


def _base(shop: Shop, line: Line, of: str) -> int:
    if of == "list":
        return shop.round(amount_of(shop.whole(line.list_unit_e4), line.quantity_milli))
    return line.subtotal if of == "initial" else line.running
