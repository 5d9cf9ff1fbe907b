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
    writer = Writer(book, baskets, priced)
    return [
        writer.quote(number, basket, is_partial=part) for number, (basket, part) in enumerate(zip(baskets, partial, strict=True))
    ]


class Writer:
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
        self.tails = self._tails(baskets)
        self.subtotals, self.totals = self._sums(priced.lines.subtotal_minor), self._sums(priced.total_minor)
        self.on_orders = self._order_adjustments()
        self.not_applied = self._not_applied()
        self.tier_benefits = self._tier_benefits(baskets)
        self.promotion_benefits = self._promotion_benefits()
        self.personal = self._personal()
        self.by_kind = self._by_kind(len(baskets))

    def quote(self, number: int, basket: Basket, *, is_partial: bool) -> EncodedQuote:
        """Put the reply of one basket together."""
        low, high = self.first_kept[number], self.first_kept[number + 1]
        subtotal, merchandise = self.subtotals[number], self.totals[number]
        not_applied, refused = self._with_codes(number, basket)
        errors = self._errors(number, basket, is_partial=is_partial) or refused
        total = merchandise + (basket.shipping_minor or 0)
        discount = subtotal - merchandise
        if errors:
            return EncodedQuote(errors, b"", subtotal, discount, total, ())
        body = reply_body(
            basket,
            tax_included=None if high == low else bool(self.priced.lines.tax_included[low]),
            lines=self._texts(basket, low, high) if self.is_whole else self._lines_with_errors(number, basket, low),
            on_order=self.on_orders.get(number, ()),
            subtotal_minor=subtotal,
            merchandise_minor=merchandise,
            not_applied=not_applied,
            benefits=self._benefits(number, basket),
            personal=self.personal.get(number, ()),
        )
        return EncodedQuote((), body, subtotal, discount, total, self.by_kind[number])

    def _texts(self, basket: Basket, low: int, high: int) -> list[str]:
        return [f'{{"id":{TEXTS[line_id]}{tail}' for line_id, tail in zip(basket.line_ids, self.tails[low:high], strict=True)]

    def _benefits(self, number: int, basket: Basket) -> list[str]:
        """Next benefits: cheaper tiers of lines, then steps of promotions in sequence."""
        texts = [f"{start}{TEXTS[basket.line_ids[offset]]}{end}" for offset, start, end in self.tier_benefits.get(number, ())]
        return texts + [text for _, text in self.promotion_benefits.get(number, ())]

    def _sums(self, values: Int64s) -> list[int]:
        """The sum of each basket's lines."""
        reached = np.concatenate([[0], np.cumsum(values)])
        sums: list[int] = (reached[self.priced.first_line[1:]] - reached[self.priced.first_line[:-1]]).tolist()
        return sums

    def _tails(self, baskets: Sequence[Basket]) -> list[str]:
        """The text of each kept line from behind its id."""
        priced, lines = self.priced, self.priced.lines
        skus = [sku for basket in baskets for sku in basket.skus]
        if not self.is_whole:
            skus = [skus[place] for place in lines.kept.tolist()]
        net = round_div(priced.total_minor * E7, lines.quantity_milli, self.book.policy.rounding)
        steps = price_steps(self.book, lines, skus)
        taken = self._line_adjustments()
        text, price = TEXTS, UNIT_PRICES
        columns = (
            lines.quantity_milli,
            lines.list_unit_e4,
            lines.unit_e4,
            net,
            lines.subtotal_minor,
            priced.total_minor,
        )
        return [
            f',"sku":{text[sku]},"quantity":{QUANTITIES[quantity]},"list_unit_price":{price[list_unit]},'
            f'"unit_price":{price[unit]},"net_unit_price":{price[net_unit]},"subtotal":{subtotal},"discount":{subtotal - total},'
            f'"total":{total},"reference_price":null,"price_steps":[{steps.get(place, "")}],"adjustments":[{",".join(taken[place])}]}}'
            for place, (sku, quantity, list_unit, unit, net_unit, subtotal, total) in enumerate(
                zip(skus, *(column.tolist() for column in columns), strict=True)
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

    def _tier_benefits(self, baskets: Sequence[Basket]) -> dict[int, list[tuple[int, str, str]]]:
        """The next cheaper tiers by basket: the place of the line, and the entry's text before and behind the line's id."""
        found: dict[int, list[tuple[int, str, str]]] = {}
        tiers, lines = self.priced.next_tiers, self.priced.lines
        columns = (lines.basket[tiers.line], lines.kept[tiers.line], tiers.needed_milli, tiers.unit_e4)
        for number, kept, needed, unit in zip(*(column.tolist() for column in columns), strict=True):
            offset = kept - self.first_asked[number]
            start = f'{{"rule":{TEXTS[baskets[number].skus[offset]]},"line":'
            end = f',"quantity_needed":{QUANTITIES[needed]},"unit_price":{UNIT_PRICES[unit]}}}'
            found.setdefault(number, []).append((offset, start, end))
        return found

    def _promotion_benefits(self) -> dict[int, list[tuple[int, str]]]:
        """The next steps of promotions by basket, in sequence: the promotion and the entry."""
        found: dict[int, list[tuple[int, str]]] = {}
        outcome, apps = self.priced.outcome, self.priced.applications
        offered = np.flatnonzero(outcome.next_step >= 0)
        columns = (apps.basket, apps.rule, outcome.next_step, outcome.next_needed, outcome.next_times)
        for number, rule, step, needed, times in zip(*(column[offered].tolist() for column in columns), strict=True):
            found.setdefault(number, []).append((rule, self.phrases.benefit[rule, step, needed, times]))
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
                texts.append(f'{{"id":{TEXTS[basket.line_ids[offset]]}{self.tails[place]}')
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


def reply_body(
    basket: Basket,
    *,
    tax_included: bool | None,
    lines: Sequence[str],
    on_order: Sequence[str],
    subtotal_minor: int,
    merchandise_minor: int,
    not_applied: Sequence[str],
    benefits: Sequence[str],
    personal: Sequence[str],
) -> bytes:
    """The members of a reply, in their order."""
    shipping = basket.shipping_minor
    tax = "null" if tax_included is None else "true" if tax_included else "false"
    shipped = "null" if shipping is None else f'{{"subtotal":{shipping},"discount":0,"total":{shipping}}}'
    personalised = f'true,"personal_inputs":{json_text(personal)}' if personal else 'false,"personal_inputs":[]'
    return (
        f'"currency":"{basket.currency}","tax_included":{tax},"lines":[{",".join(lines)}],"adjustments":[{",".join(on_order)}],'
        f'"shipping":{shipped},"subtotal":{subtotal_minor},"discount":{subtotal_minor - merchandise_minor},'
        f'"total":{merchandise_minor + (shipping or 0)},"gifts":[],"points":{{"redeemed":0,"earned":0}},'
        f'"not_applied":[{",".join(not_applied)}],"next_benefit":[{",".join(benefits)}],"selection":"exact",'
        f'"personalised":{personalised},"disclosures":[]'
    ).encode()


_NO_POINTS: Final = '{"rule":"points","reason":"points_not_offered"}'


def _refusal(basket: Basket, code: str, reason: str) -> Error:
    return (f"codes[{basket.codes.index(code)}]", reason, "the code does not apply, and the policy asks for all codes")


def _reason_in(entry: str) -> str:
    """The reason that an entry gives."""
    return entry.split('"reason":"', 1)[1].split('"', 1)[0]
