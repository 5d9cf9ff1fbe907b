"""The reference of P4: the rules that the bench's shop uses, as loops over the candidate rules of each line, in integers.

It follows SEMANTICS.md for that subset: volume and graduated tiers, sales in percent, floors by category, line promotions of four kinds
with lanes, priorities, codes and groups, of which the cheapest choice for the line applies, and conditions on the channel and on segments.
Rounding is half up.
"""

import itertools
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from typing import Any

from loadtests.bench.ordinary.models import Adjustment, Line, NotApplied, PricedLine, QuoteRequest

E4 = 10_000
PPM = 1_000_000

type Documents = Mapping[str, Mapping[str, Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Step:
    up_to: int | None
    unit: int


@dataclass(frozen=True, slots=True)
class Price:
    unit: int  # minor units
    mode: str | None
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    id: str
    name: str
    kind: str
    ppm: int  # percent_off
    amount: int  # amount_off, minor units
    is_per_unit: bool
    unit_price: int  # fixed_price, minor units
    steps: tuple[tuple[int, int], ...]  # tiered: from this quantity on so many ppm
    attribute: str | None
    value: str | None
    begins: datetime
    ends: datetime
    group: str | None
    code: str | None


class UnknownSku(LookupError):
    pass


class Shop:
    """The documents of the bench's shop, indexed by SKU."""

    def __init__(self, documents: Documents) -> None:
        code_of = {body["promotion"]: body["codes"][0] for body in documents.get("coupons", {}).values()}
        self.prices = {body["sku"]: _price(body) for body in documents["prices"].values()}
        self.floors: dict[str, int] = {}
        floor_of_category = {
            body["scope"]["include"]["categories"][0]: int(body["floor"]) for body in documents["guardrails"].values()
        }
        for sku, product in documents["products"].items():
            floor = floor_of_category.get(product["category"].split("/")[0])
            if floor is not None:
                self.floors[sku] = floor
        self.sales: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for sale_id, body in documents["sale-prices"].items():
            for sku in body["scope"]["include"]["skus"]:
                self.sales[sku].append((sale_id, _percent_ppm(body["percent"])))
        self.rules: dict[str, list[Rule]] = defaultdict(list)
        self.rank: dict[str, int] = {}
        in_sequence = sorted(documents["promotions"].items(), key=lambda item: (item[1]["lane"], -item[1]["priority"], item[0]))
        for rank, (rule_id, body) in enumerate(in_sequence):
            rule = _rule(rule_id, body, code_of.get(rule_id) if body["requires_code"] else None)
            self.rank[rule_id] = rank
            for sku in body["scope"]["include"]["skus"]:
                self.rules[sku].append(rule)

    def price(self, request: QuoteRequest, now: datetime) -> tuple[list[PricedLine], list[NotApplied]]:
        """The lines with their adjustments, and the candidate rules that applied to none of them. Raises UnknownSku."""
        quantity_of: dict[str, int] = defaultdict(int)
        for line in request.lines:
            for rule in self.rules.get(line.sku, ()):
                if rule.kind == "tiered":
                    quantity_of[rule.id] += line.quantity
        applied: set[str] = set()
        reasons: dict[str, NotApplied] = {}
        lines = [self._line(request, line, now, quantity_of, applied, reasons) for line in request.lines]
        not_applied = [reasons[rule] for rule in sorted(reasons.keys() - applied, key=self.rank.__getitem__)]
        return lines, not_applied

    def _line(
        self,
        request: QuoteRequest,
        line: Line,
        now: datetime,
        quantity_of: Mapping[str, int],
        applied: set[str],
        reasons: dict[str, NotApplied],
    ) -> PricedLine:
        price = self.prices.get(line.sku)
        if price is None:
            raise UnknownSku(line.sku)
        floor = self.floors.get(line.sku, 0)
        parts = [(quantity, max(unit * E4, floor * E4)) for quantity, unit in _parts(price, line.quantity)]
        parts = self._with_best_sale(line.sku, parts)
        parts = [(quantity, max(unit_e4, floor * E4)) for quantity, unit_e4 in parts]
        exact_e4 = sum(quantity * unit_e4 for quantity, unit_e4 in parts)
        lowest = floor * line.quantity
        subtotal = max(_divide(exact_e4, E4), lowest)
        unit_e4 = _divide(subtotal * E4, line.quantity) if price.mode == "graduated" else parts[0][1]
        running = subtotal
        adjustments: list[Adjustment] = []
        open_rules = []
        for rule in self.rules.get(line.sku, ()):
            if not rule.begins <= now < rule.ends or (rule.code is not None and rule.code not in request.codes):
                continue
            if (refusal := _refusal(rule, request)) is not None:
                reasons.setdefault(rule.id, refusal)
                continue
            open_rules.append(rule)
        lost = _lost(open_rules, subtotal, lowest, line.quantity, quantity_of)
        for rule in open_rules:
            if rule.id in lost:
                reasons.setdefault(rule.id, NotApplied(rule=rule.id, reason="not_best"))
                continue
            wanted = _reward(rule, running, line.quantity, quantity_of.get(rule.id, 0))
            if isinstance(wanted, NotApplied):
                reasons.setdefault(rule.id, wanted)
                continue
            taken = min(wanted, running)
            if taken <= 0:
                reasons.setdefault(rule.id, NotApplied(rule=rule.id, reason="nothing_to_discount"))
                continue
            adjustments.append(Adjustment(kind=rule.kind, rule=rule.id, name=rule.name, amount=-taken))
            excess = max(taken - max(0, running - lowest), 0)
            if excess:
                adjustments.append(Adjustment(kind="guardrail", rule="floor", name="floor", amount=excess))
            running -= taken - excess
            applied.add(rule.id)
        return PricedLine(
            id=line.id,
            sku=line.sku,
            quantity=str(line.quantity),
            list_unit_price=str(price.unit),
            unit_price=_text_of_e4(unit_e4),
            subtotal=subtotal,
            discount=subtotal - running,
            total=running,
            adjustments=adjustments,
        )

    def _with_best_sale(self, sku: str, parts: list[tuple[int, int]]) -> list[tuple[int, int]]:
        best, best_amount = parts, sum(quantity * unit_e4 for quantity, unit_e4 in parts)
        for _, ppm in sorted(self.sales.get(sku, ())):
            cut = [(quantity, unit_e4 - _divide(unit_e4 * ppm, PPM)) for quantity, unit_e4 in parts]
            amount = sum(quantity * unit_e4 for quantity, unit_e4 in cut)
            if amount < best_amount:
                best, best_amount = cut, amount
        return best


def _price(body: Mapping[str, Any]) -> Price:
    tiers = body["tiers"]
    steps = () if tiers is None else tuple(Step(step["up_to"], int(step["unit_price"])) for step in tiers["steps"])
    return Price(int(body["unit_price"]), None if tiers is None else tiers["mode"], steps)


def _rule(rule_id: str, body: Mapping[str, Any], code: str | None) -> Rule:
    condition, params = body["conditions"] or {}, body["params"]
    begins, ends = (datetime.fromisoformat(body["schedule"][bound]).replace(tzinfo=UTC) for bound in ("from", "to"))
    return Rule(
        rule_id,
        body["name"],
        body["kind"],
        _percent_ppm(params.get("percent", "0")),
        params.get("amount", 0),
        params.get("per") == "unit",
        int(params.get("unit_price", 0)),
        tuple((step["from"], _percent_ppm(step["percent"])) for step in params.get("steps", ())),
        condition.get("attribute"),
        condition.get("value"),
        begins,
        ends,
        body["group"],
        code,
    )


def _parts(price: Price, quantity: int) -> list[tuple[int, int]]:
    if price.mode is None:
        return [(quantity, price.unit)]
    if price.mode == "volume":
        step = next(step for step in price.steps if step.up_to is None or quantity <= step.up_to)
        return [(quantity, step.unit)]
    parts, below = [], 0
    for step in price.steps:
        upper = quantity if step.up_to is None else min(quantity, step.up_to)
        if upper > below:
            parts.append((upper - below, step.unit))
            below = upper
    return parts


def _refusal(rule: Rule, request: QuoteRequest) -> NotApplied | None:
    if rule.attribute is None:
        return None
    if rule.attribute == "channel":
        if request.channel is None:
            return NotApplied(rule=rule.id, reason="attribute_missing", attribute="channel")
        holds = request.channel == rule.value
    else:
        segments = None if request.customer is None else request.customer.segments
        if segments is None:
            return NotApplied(rule=rule.id, reason="attribute_missing", attribute="customer.segments")
        holds = rule.value in segments
    return None if holds else NotApplied(rule=rule.id, reason="condition_not_met", attribute=rule.attribute)


def _lost(rules: list[Rule], subtotal: int, lowest: int, quantity: int, quantity_of: Mapping[str, int]) -> set[str]:
    """The rules that give way: of each group one applies, and they are chosen so that the line is the cheapest."""

    def left(running: int, rule: Rule) -> int:
        wanted = _reward(rule, running, quantity, quantity_of.get(rule.id, 0))
        return running if isinstance(wanted, NotApplied) else max(running - min(wanted, running), min(running, lowest))

    groups: dict[str, list[Rule]] = defaultdict(list)
    for rule in rules:
        wanted = _reward(rule, subtotal, quantity, quantity_of.get(rule.id, 0))
        if rule.group is not None and not isinstance(wanted, NotApplied) and wanted > 0:
            groups[rule.group].append(rule)
    contested = [own for own in groups.values() if len(own) > 1]
    if not contested:
        return set()
    contestants = {rule.id for own in contested for rule in own}

    def total(chosen: tuple[Rule, ...]) -> int:
        taking_part = [rule for rule in rules if rule in chosen or rule.id not in contestants]
        return reduce(left, taking_part, subtotal)

    return contestants - {rule.id for rule in min(itertools.product(*contested), key=total)}


def _reward(rule: Rule, running: int, quantity: int, scope_quantity: int) -> int | NotApplied:
    if rule.kind == "percent_off":
        return _divide(running * rule.ppm, PPM)
    if rule.kind == "amount_off":
        return rule.amount * quantity if rule.is_per_unit else rule.amount
    if rule.kind == "fixed_price":
        return max(0, running - rule.unit_price * quantity)
    reached = [ppm for start, ppm in rule.steps if start <= scope_quantity]
    if not reached:
        return NotApplied(rule=rule.id, reason="tier_not_reached", needed=str(rule.steps[0][0] - scope_quantity))
    return _divide(running * reached[-1], PPM)


def _percent_ppm(percent: str) -> int:
    return int(percent) * PPM // 100


def _divide(amount: int, divisor: int) -> int:
    """Half up; amounts are never negative here."""
    return (2 * amount + divisor) // (2 * divisor)


def _text_of_e4(value: int) -> str:
    whole, rest = divmod(value, E4)
    return str(whole) if rest == 0 else f"{whole}.{rest:04d}".rstrip("0")
