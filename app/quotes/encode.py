"""Priced baskets as the bytes of their replies: the members of the API from "currency" to "disclosures".

Everything is laid out column by column for the whole batch and cut into baskets at the end; what repeats comes from the phrases of the book.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from app.pricing.basket import Basket
from app.pricing.book import PriceBook
from app.pricing.line_price import LineStatus
from app.pricing.money import E7, Int64s, format_milli, round_div
from app.pricing.quote import Code, CodeOutcome, Priced
from app.pricing.reasons import Reason, Unit
from app.quotes.phrases import QUANTITIES, REASON_STRIDE, SLOT_STRIDE, TEXTS, UNIT_PRICES, Phrases, json_text, phrases_of
from app.quotes.steps import price_steps

type Error = tuple[str, str, str]  # (path, code, message)

_STATUS_NAMES: Final = tuple(status.name.lower() for status in LineStatus)
_CODE_REASONS: Final = {CodeOutcome.REDUNDANT: "code_redundant", CodeOutcome.INVALID: "code_invalid"}
_MESSAGES: Final = {
    "no_price": "there is no price for this SKU in this currency and context",
    "mixed_tax": "the price of this line includes tax differently from the first line's",
    "amount_out_of_bounds": "the amount passes 900000000000 minor units",
    "undeclared_attribute": "the price book declares no such attribute",
    "wrong_type": "the attribute is declared with another type",
}


class EncodedQuote(NamedTuple):
    """One reply without what depends on its id, its instant and its signature."""

    errors: tuple[Error, ...]  # they refuse the request; a request that accepts a part forgives what is a line's own fault
    body: bytes  # JSON members without braces; empty when refused
    subtotal_minor: int
    discount_minor: int
    total_minor: int  # shipping included
    discount_by_kind: tuple[tuple[str, int], ...]


def encode_quotes(book: PriceBook, baskets: Sequence[Basket], priced: Priced, *, partial: Sequence[bool]) -> list[EncodedQuote]:
    """Encode the replies of a batch."""
    writer = _Writer(book, baskets, priced)
    return [
        writer.quote(number, basket, is_partial=part) for number, (basket, part) in enumerate(zip(baskets, partial, strict=True))
    ]


class _Writer:
    """The texts of a batch, by line and by basket."""

    def __init__(self, book: PriceBook, baskets: Sequence[Basket], priced: Priced) -> None:
        self.book = book
        self.priced = priced
        self.phrases: Phrases = phrases_of(book)
        self.codes: dict[tuple[int, int], str] = {
            (code.basket, code.promotion): code.text for code in priced.codes if code.outcome == CodeOutcome.UNLOCKS
        }
        self.own_codes: dict[int, list[Code]] = {}
        for code in priced.codes:
            self.own_codes.setdefault(code.basket, []).append(code)
        self.first_kept: list[int] = priced.first_line.tolist()
        self.first_asked: list[int] = priced.first_asked.tolist()
        self.status: list[int] = priced.lines.status.tolist()
        self.is_whole = bool((priced.lines.status == LineStatus.OK).all())
        self.lines = self._lines(baskets)
        self.subtotals, self.totals = self._sums(priced.lines.subtotal_minor), self._sums(priced.total_minor)
        self.on_orders = self._order_adjustments()
        self.not_applied = self._not_applied()
        self.benefits = self._benefits(baskets)
        self.personal = self._personal()
        self.by_kind = self._by_kind(len(baskets))

    def quote(self, number: int, basket: Basket, *, is_partial: bool) -> EncodedQuote:
        """Put the reply of one basket together."""
        low, high = self.first_kept[number], self.first_kept[number + 1]
        subtotal, merchandise = self.subtotals[number], self.totals[number]
        not_applied, refused = self._with_codes(number, basket)
        errors = self._errors(number, basket, is_partial=is_partial) or refused
        shipping = basket.shipping_minor
        total = merchandise + (shipping or 0)
        discount = subtotal - merchandise
        if errors:
            return EncodedQuote(errors, b"", subtotal, discount, total, ())
        lines = self.lines[low:high] if self.is_whole else self._lines_with_errors(number, basket, low)
        tax = "null" if high == low else "true" if self.priced.lines.tax_included[low] else "false"
        shipped = "null" if shipping is None else f'{{"subtotal":{shipping},"discount":0,"total":{shipping}}}'
        personal = self.personal.get(number)
        body = (
            f'"currency":"{basket.currency}","tax_included":{tax},"lines":[{",".join(lines)}],'
            f'"adjustments":[{",".join(self.on_orders.get(number, ()))}],"shipping":{shipped},'
            f'"subtotal":{subtotal},"discount":{discount},"total":{total},"gifts":[],"points":{{"redeemed":0,"earned":0}},'
            f'"not_applied":[{",".join(not_applied)}],"next_benefit":[{",".join(self.benefits.get(number, ()))}],'
            f'"selection":"exact","personalised":{"true" if personal else "false"},"personal_inputs":{json_text(personal or [])},'
            f'"disclosures":[]'
        )
        return EncodedQuote((), body.encode(), subtotal, discount, total, self.by_kind[number])

    def _sums(self, values: Int64s) -> list[int]:
        """The sum of each basket's lines."""
        reached = np.concatenate([[0], np.cumsum(values)])
        sums: list[int] = (reached[self.priced.first_line[1:]] - reached[self.priced.first_line[:-1]]).tolist()
        return sums

    def _lines(self, baskets: Sequence[Basket]) -> list[str]:
        """The text of each kept line."""
        priced, lines = self.priced, self.priced.lines
        if self.is_whole:
            ids = [line_id for basket in baskets for line_id in basket.line_ids]
            skus = [sku for basket in baskets for sku in basket.skus]
        else:
            asked = [pair for basket in baskets for pair in zip(basket.line_ids, basket.skus, strict=True)]
            ids, skus = (
                (list(column) for column in zip(*(asked[place] for place in lines.kept.tolist()), strict=True))
                if lines.kept.size
                else ([], [])
            )
        net = round_div(priced.total_minor * E7, lines.quantity_milli, self.book.policy.rounding)
        steps = price_steps(self.book, lines, skus)
        taken = self._line_adjustments()
        text, price = TEXTS, UNIT_PRICES
        return [
            f'{{"id":{text[line_id]},"sku":{text[sku]},"quantity":{QUANTITIES[quantity]},"list_unit_price":{price[list_unit]},'
            f'"unit_price":{price[unit]},"net_unit_price":{price[net_unit]},"subtotal":{subtotal},"discount":{subtotal - total},'
            f'"total":{total},"reference_price":null,"price_steps":[{steps.get(place, "")}],"adjustments":[{",".join(taken[place])}]}}'
            for place, (line_id, sku, quantity, list_unit, unit, net_unit, subtotal, total) in enumerate(
                zip(
                    ids,
                    skus,
                    lines.quantity_milli.tolist(),
                    lines.list_unit_e4.tolist(),
                    lines.unit_e4.tolist(),
                    net.tolist(),
                    lines.subtotal_minor.tolist(),
                    priced.total_minor.tolist(),
                    strict=True,
                )
            )
        ]

    def _line_adjustments(self) -> list[list[str]]:
        """The adjustments of each kept line, in the order of application."""
        on_lines: list[list[str]] = [[] for _ in range(self.priced.total_minor.size)]
        basket_of_line = self.priced.lines.basket.tolist() if self.codes else []
        prefix, back = self.phrases.taken, self.phrases.given_back
        for block in self.priced.outcome.on_lines:
            is_give_back = bool(block.is_give_back.size and block.is_give_back[0])
            ending = ',"level":"order"}' if block.is_order_level.size and block.is_order_level[0] else "}"
            pairs = zip(block.where.tolist(), block.rule.tolist(), block.amount_minor.tolist(), strict=True)
            if is_give_back:
                for line, rule, amount in pairs:
                    on_lines[line].append(f"{back[rule]}{amount}}}")
            elif self.codes:
                for line, rule, amount in pairs:
                    on_lines[line].append(f"{prefix[rule]}{amount}{self._code(basket_of_line[line], rule)}{ending}")
            else:
                for line, rule, amount in pairs:
                    on_lines[line].append(f"{prefix[rule]}{amount}{ending}")
        return on_lines

    def _code(self, basket: int, rule: int) -> str:
        code = self.codes.get((basket, rule))
        return "" if code is None else f',"code":{TEXTS[code]}'

    def _order_adjustments(self) -> dict[int, list[str]]:
        found: dict[int, list[str]] = {}
        for block in self.priced.outcome.on_orders:
            for basket, rule, amount, is_back, _ in zip(*(column.tolist() for column in block), strict=True):
                start = self.phrases.given_back[rule] if is_back else self.phrases.taken[rule]
                code = "" if is_back else self._code(basket, rule)
                found.setdefault(basket, []).append(f"{start}{amount}{code}}}")
        return found

    def _not_applied(self) -> dict[int, tuple[list[int], list[str]]]:
        """The candidates that applied nowhere, by basket in sequence: their promotions, and their entries."""
        outcome, apps = self.priced.outcome, self.priced.applications
        at = np.flatnonzero(~outcome.is_applied)
        if at.size == 0:
            return {}
        rule, reason, unit = apps.rule[at], outcome.reason[at], outcome.unit[at]
        names_slot = (reason == Reason.ATTRIBUTE_MISSING) | (reason == Reason.CONDITION_NOT_MET)
        slot = np.where(names_slot, outcome.slot[at] + 1, 0)
        phrases = self.phrases.reason
        keys = ((rule * REASON_STRIDE + reason) * SLOT_STRIDE + slot).tolist()
        texts = [f"{phrases[key]}}}" for key in keys]
        has_figure = np.isin(reason, (Reason.MIN_SPEND_NOT_MET, Reason.MIN_QUANTITY_NOT_MET, Reason.TIER_NOT_REACHED))
        for place in np.flatnonzero(has_figure).tolist():
            texts[place] = (
                f"{texts[place][:-1]},{self._needed(int(reason[place]), int(unit[place]), int(outcome.needed[at[place]]))}}}"
            )
        rules: list[int] = rule.tolist()
        baskets = apps.basket[at]
        if self.codes:
            for place, (basket, its_rule) in enumerate(zip(baskets.tolist(), rules, strict=True)):
                texts[place] = f"{texts[place][:-1]}{self._code(basket, its_rule)}}}"
        bounds = [0, *(np.flatnonzero(np.diff(baskets)) + 1).tolist(), at.size]
        return {int(baskets[low]): (rules[low:high], texts[low:high]) for low, high in pairwise(bounds)}

    @staticmethod
    def _needed(reason: int, unit: int, needed: int) -> str:
        if unit == Unit.MILLI:
            return f'"needed":"{format_milli(needed)}"'
        return f'"needed":"{needed}"' if reason == Reason.MIN_QUANTITY_NOT_MET else f'"needed":{needed}'

    def _with_codes(self, number: int, basket: Basket) -> tuple[list[str], tuple[Error, ...]]:
        """The entries of what did not apply, with what became of the codes, and the codes that refuse the request."""
        rules, texts = self.not_applied.get(number, ([], []))
        own = self.own_codes.get(number)
        if own is None:
            return (texts if basket.points == 0 else [*texts, _NO_POINTS]), ()
        ids = self.book.promotions.id
        entries = [(rule, text, self.codes.get((number, rule)), "") for rule, text in zip(rules, texts, strict=True)]
        entries += [
            (
                code.promotion,
                json_text({"rule": ids[code.promotion], "code": code.text, "reason": "no_matching_lines"}),
                code.text,
                "no_matching_lines",
            )
            for code in own
            if code.outcome == CodeOutcome.NO_MATCHING_LINES
        ]
        entries.sort(key=lambda entry: entry[0])
        for outcome in (CodeOutcome.REDUNDANT, CodeOutcome.INVALID):
            for code in own:
                if code.outcome == outcome:
                    rule = {} if outcome == CodeOutcome.INVALID else {"rule": ids[code.promotion]}
                    reason = _CODE_REASONS[outcome]
                    entries.append((0, json_text({**rule, "code": code.text, "reason": reason}), code.text, reason))
        shown = [text for _, text, _, _ in entries]
        if basket.points > 0:
            shown.append(_NO_POINTS)
        if self.book.policy.coupon_failure != "all":
            return shown, ()
        refused = [(text, code, reason) for _, text, code, reason in entries if code is not None]
        return shown, tuple(_refusal(basket, code, reason or _reason_in(text)) for text, code, reason in refused)

    def _benefits(self, baskets: Sequence[Basket]) -> dict[int, list[str]]:
        """Next benefits by basket: cheaper tiers of lines, then steps of promotions in sequence."""
        found: dict[int, list[str]] = {}
        tiers, lines = self.priced.next_tiers, self.priced.lines
        at = zip(
            lines.basket[tiers.line].tolist(),
            lines.kept[tiers.line].tolist(),
            tiers.needed_milli.tolist(),
            tiers.unit_e4.tolist(),
            strict=True,
        )
        for number, kept, needed, unit in at:
            basket, offset = baskets[number], kept - self.first_asked[number]
            sku, line_id = TEXTS[basket.skus[offset]], TEXTS[basket.line_ids[offset]]
            entry = f'{{"rule":{sku},"line":{line_id},"quantity_needed":{QUANTITIES[needed]},"unit_price":{UNIT_PRICES[unit]}}}'
            found.setdefault(number, []).append(entry)
        outcome, apps = self.priced.outcome, self.priced.applications
        offered = np.flatnonzero(outcome.next_step >= 0)
        columns = (apps.basket, apps.rule, outcome.next_step, outcome.next_needed, outcome.next_times)
        for number, rule, step, needed, times in zip(*(column[offered].tolist() for column in columns), strict=True):
            found.setdefault(number, []).append(self.phrases.benefit[rule, step, needed, times])
        return found

    def _personal(self) -> dict[int, list[str]]:
        """The personal inputs of what has applied, by basket."""
        outcome, apps, promotions = self.priced.outcome, self.priced.applications, self.book.promotions
        names: dict[int, set[str]] = {}
        if promotions.is_personal.any():
            at = np.flatnonzero(outcome.is_applied & promotions.is_personal[apps.rule])
            for number, rule in zip(apps.basket[at].tolist(), apps.rule[at].tolist(), strict=True):
                names.setdefault(number, set()).update(promotions.personal_inputs[rule])
        for number in np.unique(self.priced.lines.basket[self.priced.names_groups]).tolist():
            names.setdefault(number, set()).add("customer.segments")
        return {number: sorted(own) for number, own in names.items()}

    def _by_kind(self, n_baskets: int) -> list[tuple[tuple[str, int], ...]]:
        """What each kind took of each basket."""
        promotions = self.book.promotions
        sums = np.zeros((n_baskets, len(promotions.kinds)), np.int64)
        for block in self.priced.outcome.on_lines:
            own = ~block.is_give_back
            np.add.at(
                sums, (self.priced.lines.basket[block.where[own]], promotions.kind[block.rule[own]]), -block.amount_minor[own]
            )
        return [
            tuple((kind, amount) for kind, amount in zip(promotions.kinds, row, strict=True) if amount) for row in sums.tolist()
        ]

    def _lines_with_errors(self, number: int, basket: Basket, place: int) -> list[str]:
        """All lines of a request that accepts a part: those that could not be priced say why."""
        texts = []
        for offset, sku in enumerate(basket.skus):
            status = self.status[self.first_asked[number] + offset]
            if status == LineStatus.OK:
                texts.append(self.lines[place])
                place += 1
                continue
            line_id, quantity = TEXTS[basket.line_ids[offset]], QUANTITIES[basket.quantities_milli[offset]]
            error = f'{{"code":"{_STATUS_NAMES[status]}"}}'
            texts.append(f'{{"id":{line_id},"sku":{TEXTS[sku]},"quantity":{quantity},"error":{error}}}')
        return texts

    def _errors(self, number: int, basket: Basket, *, is_partial: bool) -> tuple[Error, ...]:
        errors: list[Error] = []
        is_too_large = bool(self.priced.is_order_too_large[number])
        if not self.is_whole and not is_partial and not is_too_large:
            first = self.first_asked[number]
            names = [_STATUS_NAMES[status] for status in self.status[first : first + len(basket.skus)]]
            errors += [(f"lines[{offset}]", name, _MESSAGES[name]) for offset, name in enumerate(names) if name != "ok"]
        for problem in self.priced.attribute_problems:
            if problem.basket == number:
                errors.append((problem.path, problem.code, _MESSAGES[problem.code]))
        if is_too_large:
            errors.append(("lines", "amount_out_of_bounds", _MESSAGES["amount_out_of_bounds"]))
        return tuple(errors)


_NO_POINTS: Final = '{"rule":"points","reason":"points_not_offered"}'


def _refusal(basket: Basket, code: str, reason: str) -> Error:
    return (f"codes[{basket.codes.index(code)}]", reason, "the code does not apply, and the policy asks for all codes")


def _reason_in(entry: str) -> str:
    """The reason that an entry gives."""
    return entry.split('"reason":"', 1)[1].split('"', 1)[0]
