"""From arrays to reasons: what a reply says about each line, each rule and each code.

The members are those of the API; unit prices and quantities are decimal strings, amounts integers in minor units.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from app.pricing.basket import Basket
from app.pricing.book import PriceBook
from app.pricing.line_price import LineStatus
from app.pricing.money import format_e4, format_milli, round_div
from app.pricing.price_lists import NO_TIERS
from app.pricing.quote import Code, CodeOutcome, Priced
from app.pricing.reasons import WIRE_NAMES, Reason, Unit
from app.pricing.rules import KINDS
from app.pricing.strategy import Status

_STATUS_NAMES: Final = tuple(status.name.lower() for status in Status)
_LINE_STATUS_NAMES: Final = tuple(status.name.lower() for status in LineStatus)
_CODE_REASONS: Final = {
    CodeOutcome.NO_MATCHING_LINES: "no_matching_lines",
    CodeOutcome.REDUNDANT: "code_redundant",
    CodeOutcome.INVALID: "code_invalid",
}

type Json = dict[str, Any]
type Error = tuple[str, str, str]  # (path, code, message)


class Explained(NamedTuple):
    """One basket's reply, in the API's members, and what makes its request refused."""

    line_errors: tuple[Error, ...]  # lines that could not be priced
    request_errors: tuple[Error, ...]  # what is wrong with the request as a whole
    code_errors: tuple[Error, ...]  # codes that do not apply where the policy asks for all
    members: Json
    subtotal_minor: int
    discount_minor: int
    total_minor: int
    discount_by_kind: tuple[tuple[str, int], ...]


_MESSAGES: Final = {
    "no_price": "there is no price for this SKU in this currency and context",
    "mixed_tax": "the price of this line includes tax differently from the first line's",
    "amount_out_of_bounds": "the amount passes 900000000000 minor units",
    "undeclared_attribute": "the price book declares no such attribute",
    "wrong_type": "the attribute is declared with another type",
}


def explain(book: PriceBook, baskets: Sequence[Basket], priced: Priced) -> list[Explained]:
    """Explain every basket of a batch."""
    writer = _Writer(book, priced)
    return [writer.basket(number, basket) for number, basket in enumerate(baskets)]


class _Writer:
    """The columns of a batch as plain lists, and what stands on which line."""

    def __init__(self, book: PriceBook, priced: Priced) -> None:
        self.book = book
        self.priced = priced
        lines = priced.lines
        total = priced.total_minor
        net = round_div(total * 10_000_000, lines.quantity_milli, book.policy.rounding)
        self.status = lines.status.tolist()
        self.first_kept = priced.first_line.tolist()
        self.kept = lines.kept.tolist()
        self.columns = list(
            zip(
                lines.quantity_milli.tolist(),
                lines.list_unit_e4.tolist(),
                lines.unit_e4.tolist(),
                net.tolist(),
                lines.subtotal_minor.tolist(),
                total.tolist(),
                strict=True,
            )
        )
        self.entry = lines.entry.tolist()
        self.tax_included = lines.tax_included.tolist()
        self.codes_of: dict[tuple[int, int], str] = {
            (code.basket, code.promotion): code.text for code in priced.codes if code.outcome == CodeOutcome.UNLOCKS
        }
        self.steps = self._price_steps()
        self.on_lines, self.on_orders, self.by_kind = self._adjustments()
        self.first_line_of_request = self._first_lines()
        self.apps = self._applications()
        self.tiers = self._next_tiers()

    def basket(self, number: int, basket: Basket) -> Explained:
        """Explain one basket."""
        low, high = self.first_kept[number], self.first_kept[number + 1]
        first = self.first_line_of_request[number]
        lines: list[Json] = []
        place = low
        for offset, sku in enumerate(basket.skus):
            status = self.status[first + offset]
            if status == LineStatus.OK:
                lines.append(self._line(place, basket.line_ids[offset], sku))
                place += 1
            else:
                error = {"code": _LINE_STATUS_NAMES[status]}
                quantity = format_milli(basket.quantities_milli[offset])
                lines.append({"id": basket.line_ids[offset], "sku": sku, "quantity": quantity, "error": error})
        subtotal = sum(columns[4] for columns in self.columns[low:high])
        merchandise = sum(columns[5] for columns in self.columns[low:high])
        shipping = basket.shipping_minor
        personal = self._personal(number, low, high)
        total = merchandise + (shipping or 0)
        not_applied = self._not_applied(number, basket)
        asks_for_all = self.book.policy.coupon_failure == "all"
        refused = [self._refused(entry, basket) for entry in not_applied if "code" in entry] if asks_for_all else []
        members: Json = {
            "currency": basket.currency,
            "tax_included": self.tax_included[low] if high > low else None,
            "lines": lines,
            "adjustments": self.on_orders.get(number, []),
            "shipping": None if shipping is None else {"subtotal": shipping, "discount": 0, "total": shipping},
            "subtotal": subtotal,
            "discount": subtotal - merchandise,
            "total": total,
            "gifts": [],
            "points": {"redeemed": 0, "earned": 0},
            "not_applied": not_applied,
            "next_benefit": self._next_benefit(number, basket),
            "selection": "exact",
            "personalised": bool(personal),
            "personal_inputs": personal,
            "disclosures": [],
        }
        by_kind = tuple(sorted(self.by_kind.get(number, {}).items()))
        return Explained(
            self._line_errors(number, basket, first),
            self._request_errors(number),
            tuple(refused),
            members,
            subtotal,
            subtotal - merchandise,
            total,
            by_kind,
        )

    def _first_lines(self) -> list[int]:
        first: list[int] = self.priced.first_asked.tolist()
        return first

    def _line_errors(self, number: int, basket: Basket, first: int) -> tuple[Error, ...]:
        if self.priced.is_order_too_large[number]:
            return ()
        codes = [(offset, _LINE_STATUS_NAMES[self.status[first + offset]]) for offset in range(len(basket.skus))]
        return tuple((f"lines[{offset}]", code, _MESSAGES[code]) for offset, code in codes if code != "ok")

    def _request_errors(self, number: int) -> tuple[Error, ...]:
        errors = [
            (problem.path, problem.code, _MESSAGES[problem.code])
            for problem in self.priced.attribute_problems
            if problem.basket == number
        ]
        if self.priced.is_order_too_large[number]:
            errors.append(("lines", "amount_out_of_bounds", _MESSAGES["amount_out_of_bounds"]))
        return tuple(errors)

    @staticmethod
    def _refused(entry: Json, basket: Basket) -> tuple[str, str, str]:
        return (
            f"codes[{basket.codes.index(entry['code'])}]",
            entry["reason"],
            "the code does not apply, and the policy asks for all",
        )

    def _line(self, place: int, line_id: str, sku: str) -> Json:
        quantity, list_unit, unit, net, subtotal, total = self.columns[place]
        return {
            "id": line_id,
            "sku": sku,
            "quantity": format_milli(quantity),
            "list_unit_price": format_e4(list_unit),
            "unit_price": format_e4(unit),
            "net_unit_price": format_e4(net),
            "subtotal": subtotal,
            "discount": subtotal - total,
            "total": total,
            "reference_price": None,
            "price_steps": self._with_sku(self.steps.get(place), sku),
            "adjustments": self.on_lines.get(place, []),
        }

    @staticmethod
    def _with_sku(steps: list[Json] | None, sku: str) -> list[Json]:
        if not steps:
            return []
        return [step | {"rule": sku} if step["step"] == "tier" else step for step in steps]

    def _price_steps(self) -> dict[int, list[Json]]:
        """The price steps of the lines that have any, by kept line."""
        lines, book = self.priced.lines, self.book
        has_tiers = book.entries.mode[lines.entry] != NO_TIERS
        is_shown = (lines.strategy >= 0) | has_tiers | (lines.sale >= 0) | (lines.tier_bound != 0) | (lines.final_bound != 0)
        found: dict[int, list[Json]] = {}
        guard, floors, ceilings = book.guardrail_names.id, lines.bounds.floor_rule, lines.bounds.ceiling_rule
        for place in is_shown.nonzero()[0].tolist():
            steps: list[Json] = []
            before = format_e4(int(lines.list_unit_e4[place]))

            def step(kind: str, rule: str | None, unit_e4: int, *, steps: list[Json] = steps, **more: Any) -> None:
                previous = steps[-1]["after"] if steps else before  # noqa: B023
                steps.append({"step": kind, "rule": rule, "before": previous, "after": format_e4(unit_e4), **more})

            def bound(direction: int, *, place: int = place) -> Json:
                rule = floors[place] if direction > 0 else ceilings[place]
                return {"bound": "floor" if direction > 0 else "ceiling", "guardrail": guard[int(rule)]}

            if lines.strategy[place] >= 0:
                more: Json = {}
                if lines.strategy_status[place] != Status.OK:
                    more["status"] = _STATUS_NAMES[int(lines.strategy_status[place])]
                if lines.strategy_bound[place] != 0:
                    more |= bound(int(lines.strategy_bound[place]))
                step("strategy", book.strategy_names.id[int(lines.strategy[place])], int(lines.strategy_unit_e4[place]), **more)
            if has_tiers[place]:
                name = book.price_lists.id[int(book.entries.list_row[lines.entry[place]])]
                step("tier", None, int(lines.tier_unit_e4[place]), price_list=name)
            if lines.tier_bound[place] != 0:
                own = bound(int(lines.tier_bound[place]))
                step("guardrail", own["guardrail"], int(lines.bounded_unit_e4[place]), bound=own["bound"])
            if lines.sale[place] >= 0:
                step("sale", book.sale_names.id[int(lines.sale[place])], int(lines.sale_unit_e4[place]))
            if lines.final_bound[place] != 0:
                own = bound(int(lines.final_bound[place]))
                step("guardrail", own["guardrail"], int(lines.final_unit_e4[place]), bound=own["bound"])
            found[place] = steps
        return found

    def _adjustments(self) -> tuple[dict[int, list[Json]], dict[int, list[Json]], dict[int, dict[str, int]]]:
        """Adjustments by kept line and by basket, and what each kind took of each basket."""
        on_lines: dict[int, list[Json]] = {}
        on_orders: dict[int, list[Json]] = {}
        by_kind: dict[int, dict[str, int]] = {}
        basket_of_line = self.priced.lines.basket.tolist()
        promotions = self.book.promotions
        for table, target, owner in (
            (self.priced.outcome.on_lines, on_lines, basket_of_line),
            (self.priced.outcome.on_orders, on_orders, None),
        ):
            for block in table:
                for where, rule, amount, is_back, is_order in zip(*(column.tolist() for column in block), strict=True):
                    basket = where if owner is None else owner[where]
                    if is_back:
                        entry = self._give_back(rule, amount)
                    else:
                        kind = promotions.kinds[promotions.kind[rule]]
                        entry = self._taken(rule, amount, kind, self.codes_of.get((basket, rule)))
                        if owner is not None:
                            if is_order:
                                entry["level"] = "order"
                            sums = by_kind.setdefault(basket, {})
                            sums[kind] = sums.get(kind, 0) - amount
                    target.setdefault(where, []).append(entry)
        return on_lines, on_orders, by_kind

    def _taken(self, rule: int, amount: int, kind: str, code: str | None) -> Json:
        promotions = self.book.promotions
        entry: Json = {
            "kind": kind,
            "rule": promotions.id[rule],
            "revision": promotions.revision[rule],
            "name": promotions.name[rule],
            "amount": amount,
        }
        if code is not None:
            entry["code"] = code
        return entry

    def _give_back(self, rule: int, amount: int) -> Json:
        names = self.book.guardrail_names
        return {
            "kind": "guardrail",
            "rule": names.id[rule],
            "revision": names.revision[rule],
            "name": "floor",
            "amount": amount,
            "bound": "floor",
        }

    def _applications(self) -> dict[int, list[int]]:
        """The applications of each basket, in sequence."""
        found: dict[int, list[int]] = {}
        for app, basket in enumerate(self.priced.applications.basket.tolist()):
            found.setdefault(basket, []).append(app)
        return found

    def _not_applied(self, number: int, basket: Basket) -> list[Json]:
        """The candidates that applied nowhere, each with its one reason, then what became of the other codes."""
        outcome, promotions = self.priced.outcome, self.book.promotions
        ranked: list[tuple[int, Json]] = []
        for app in self.apps.get(number, ()):
            if outcome.is_applied[app]:
                continue
            rule = int(self.priced.applications.rule[app])
            entry: Json = {"rule": promotions.id[rule], "reason": WIRE_NAMES[int(outcome.reason[app])]}
            code = self.codes_of.get((number, rule))
            if code is not None:
                entry["code"] = code
            ranked.append((rule, entry | self._figures(app, rule)))
        own = [code for code in self.priced.codes if code.basket == number]
        ranked += [
            (code.promotion, {"rule": promotions.id[code.promotion], "code": code.text, "reason": "no_matching_lines"})
            for code in own
            if code.outcome == CodeOutcome.NO_MATCHING_LINES
        ]
        entries = [entry for _, entry in sorted(ranked, key=lambda pair: pair[0])]
        for kind in (CodeOutcome.REDUNDANT, CodeOutcome.INVALID):
            entries += [self._code_entry(code) for code in own if code.outcome == kind]
        if basket.points > 0:
            entries.append({"rule": "points", "reason": "points_not_offered"})
        return entries

    def _code_entry(self, code: Code) -> Json:
        entry: Json = {"code": code.text, "reason": _CODE_REASONS[code.outcome]}
        return entry if code.outcome == CodeOutcome.INVALID else {"rule": self.book.promotions.id[code.promotion], **entry}

    def _figures(self, app: int, rule: int) -> Json:
        outcome = self.priced.outcome
        reason, unit, needed = int(outcome.reason[app]), int(outcome.unit[app]), int(outcome.needed[app])
        if reason in (Reason.MIN_SPEND_NOT_MET, Reason.MIN_QUANTITY_NOT_MET, Reason.TIER_NOT_REACHED):
            if unit == Unit.MILLI or reason == Reason.MIN_QUANTITY_NOT_MET:
                return {"needed": format_milli(needed) if unit == Unit.MILLI else str(needed)}
            return {"needed": needed}
        if reason in (Reason.ATTRIBUTE_MISSING, Reason.CONDITION_NOT_MET):
            slot = int(outcome.slot[app])
            if slot >= 0:
                return {"attribute": list(self.book.vocabulary.attributes)[slot]}
            # Without a comparison to blame, what is missing is what the reward itself asks for.
            asked = self.book.promotions.reward_inputs[rule] if reason == Reason.ATTRIBUTE_MISSING else ()
            return {"attribute": asked[0] if asked else None}
        return {}

    def _next_tiers(self) -> dict[int, list[tuple[int, str, str]]]:
        """The next cheaper tiers by basket: (kept line, quantity needed, unit price)."""
        tiers = self.priced.next_tiers
        found: dict[int, list[tuple[int, str, str]]] = {}
        for line, needed, unit in zip(tiers.line.tolist(), tiers.needed_milli.tolist(), tiers.unit_e4.tolist(), strict=True):
            found.setdefault(int(self.priced.lines.basket[line]), []).append((line, format_milli(needed), format_e4(unit)))
        return found

    def _next_benefit(self, number: int, basket: Basket) -> list[Json]:
        entries: list[Json] = []
        first = self.first_line_of_request[number]
        for line, needed, unit in self.tiers.get(number, ()):
            offset = self.kept[line] - first
            entries.append(
                {"rule": basket.skus[offset], "line": basket.line_ids[offset], "quantity_needed": needed, "unit_price": unit}
            )
        outcome, promotions = self.priced.outcome, self.book.promotions
        for app in self.apps.get(number, ()):
            step = int(outcome.next_step[app])
            if step >= 0:
                rule = int(self.priced.applications.rule[app])
                kind = int(promotions.kind[rule])
                benefit: Mapping[str, Any] = KINDS[promotions.kinds[kind]].next_benefit(
                    promotions.packed[kind], step, int(outcome.next_needed[app]), int(outcome.next_times[app])
                )
                entries.append({"rule": promotions.id[rule], **benefit})
        return entries

    def _personal(self, number: int, low: int, high: int) -> list[str]:
        """The personal inputs of what has applied."""
        promotions, outcome = self.book.promotions, self.priced.outcome
        names: set[str] = set()
        for app in self.apps.get(number, ()):
            if outcome.is_applied[app]:
                names.update(promotions.personal_inputs[int(self.priced.applications.rule[app])])
        if self.priced.names_groups[low:high].any():
            names.add("customer.segments")
        return sorted(names)
