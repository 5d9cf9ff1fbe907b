"""What each kind of promotion gives at its turn, before limits and floors."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from tests.reference.figures import amount_of, parse_quantity_milli, parse_rate_ppm, parse_unit_e4, show_percent, show_quantity
from tests.reference.lines import Line
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


@dataclass(frozen=True)
class Across:
    """An amount to be allocated over the eligible lines."""

    amount: int


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
    if kind == "percent_off":
        return _percent(shop, level, params["percent"], params.get("of") or shop.policy("percent_base"), eligible)
    if kind == "amount_off":
        per = params.get("per") or "across"
        if per == "unit":
            return Each([shop.round(Fraction(params["amount"] * line.quantity_milli, 1000)) for line in eligible])
        return Each([params["amount"] for _ in eligible]) if per == "line" else Across(params["amount"])
    if kind == "fixed_price":
        fixed_e4 = shop.whole(parse_unit_e4(params["unit_price"]))
        return Each([max(0, line.running - shop.round(amount_of(fixed_e4, line.quantity_milli))) for line in eligible])
    ladder = ladder_of(promotion, scope, facts)
    if ladder is None:
        return Unreached({"reason": "attribute_missing", "attribute": params["by"]})
    gives = ladder.reached()
    if gives is None:
        reason = "min_spend_not_met" if kind == "spend_save" else "tier_not_reached"
        return Unreached({"reason": reason, "needed": ladder.needed(ladder.steps[0][0])})
    if gives.get("amount") is not None:
        return Across(gives["amount"])
    return _percent(shop, level, gives["percent"], shop.policy("percent_base"), eligible)


def _percent(shop: Shop, level: str, percent: str, of: str, eligible: Sequence[Line]) -> Each | Across:
    rate = Fraction(parse_rate_ppm(percent), 1_000_000)
    bases = [_base(shop, line, of) for line in eligible]
    if level == "order":
        return Across(shop.round(sum(bases) * rate))
    if shop.is_by_unit:
        by_unit = [shop.round(base * rate * 1000 / line.quantity_milli) for base, line in zip(bases, eligible, strict=True)]
        return Each([shop.round(Fraction(off * line.quantity_milli, 1000)) for off, line in zip(by_unit, eligible, strict=True)])
    return Each([shop.round(base * rate) for base in bases])


def _base(shop: Shop, line: Line, of: str) -> int:
    if of == "list":
        return shop.round(amount_of(shop.whole(line.list_unit_e4), line.quantity_milli))
    return line.subtotal if of == "initial" else line.running
