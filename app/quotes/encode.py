"""Priced baskets as the bytes of their replies: the members of the API from "currency" to "disclosures".

Everything is laid out column by column for the whole batch and cut into baskets at the end; what repeats comes from the phrases of the book.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Final, NamedTuple

import msgspec
import numpy as np

from app.pricing.basket import Basket
from app.pricing.book import PriceBook
from app.pricing.line_price import LineStatus
from app.pricing.money import E7, Int64s, round_div
from app.pricing.quote import Code, CodeOutcome, Priced
from app.pricing.watched import NO_COST, costs_minor, held_by_steps, lines_by_bound, with_promotions
from app.quotes.beyond_text import BeyondText, beyond_texts, plain
from app.quotes.phrases import QUANTITIES, TEXTS, UNIT_PRICES, Table, json_text
from app.quotes.promotion_texts import PromotionTexts
from app.quotes.steps import price_steps

type Error = tuple[str, str, str]  # (path, code, message)

_STATUS_NAMES: Final = tuple(status.name.lower() for status in LineStatus)
_LINE_FAULTS: Final = frozenset(_STATUS_NAMES) - {"ok", "order_out_of_bounds"}
_CODE_REASONS: Final = {  # in the order in which they are told
    CodeOutcome.NO_MATCHING_LINES: "no_matching_lines",
    CodeOutcome.REDUNDANT: "code_redundant",
    CodeOutcome.USED_UP: "limit_reached",
    CodeOutcome.INVALID: "code_invalid",
}
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
    discount_by_kind: tuple[tuple[str, int], ...]  # (kind, minor units); a kind may be there more than once
    is_bounded: bool = False  # not every combination of promotions was tried
    tax_included: bool = False
    held_lines: tuple[tuple[str, int], ...] = ()  # (bound of a guardrail, lines that it holds)
    costed_minor: int = 0  # what is paid for the lines whose cost is known
    cost_minor: int = 0  # what these cost


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
        self.promotions = PromotionTexts(
            book, priced.applications, priced.outcome, priced.lines.basket, n_baskets=len(baskets), codes=self.codes
        )
        self.skus = self._skus(baskets)  # of the kept lines
        self.beyond: list[BeyondText] | None = None
        if priced.beyond is not None:
            on_shipping = self.promotions.on_shipping
            self.beyond = beyond_texts(book, baskets, priced.beyond, on_shipping=on_shipping, codes=self.codes)
        self.starts, self.steps = self._starts(self.skus)
        self.subtotals, self.totals = self._sums(priced.lines.subtotal_minor), self._sums(priced.total_minor)
        self.cost_minor = costs_minor(book, priced.lines)
        lowest = priced.lines.lowest_minor, priced.lines.lowest_rule
        self.held = with_promotions(held_by_steps(book, priced.lines), book, priced.outcome, priced.total_minor, *lowest)
        self.tier_benefits = self._tier_benefits(self.skus)
        # Where each kept line stands in its request.
        self.offsets: list[int] = (priced.lines.kept - priced.first_asked[priced.lines.basket]).tolist()
        self.tails = self._tails()
        self.personal = self._personal()

    def quote(self, number: int, basket: Basket, *, is_partial: bool) -> EncodedQuote:
        """Put the reply of one basket together."""
        low, high = self.first_kept[number], self.first_kept[number + 1]
        subtotal, merchandise = self.subtotals[number], self.totals[number]
        beyond = plain(basket) if self.beyond is None else self.beyond[number]
        not_applied, refused = self._with_codes(number, basket, beyond)
        errors = self._errors(number, basket, is_partial=is_partial) or refused
        total = merchandise + beyond.more_minor
        discount = subtotal - merchandise
        if errors:
            return EncodedQuote(errors, b"", subtotal, discount, total, ())
        bounded = self.priced.outcome.is_bounded
        is_bounded = bounded is not None and bool(bounded[number])
        body = reply_body(
            basket,
            tax_included=None if high == low else bool(self.priced.lines.tax_included[low]),
            lines=(_entries(self._texts(basket, low, high) if self.is_whole else self._lines_with_errors(number, basket, low)),),
            on_order=_entries(self.promotions.on_orders.get(number, ())),
            beyond=beyond,
            subtotal_minor=subtotal,
            merchandise_minor=merchandise,
            not_applied=(_entries(not_applied),),
            benefits=(_entries(self._benefits(number, basket)),),
            personal=self.personal.get(number, ()),
            is_bounded=is_bounded,
        )
        return EncodedQuote(
            (),
            body,
            subtotal,
            discount,
            total,
            self.promotions.by_kind[number],
            is_bounded,
            high > low and bool(self.priced.lines.tax_included[low]),
            lines_by_bound(self.held_sums[number]),
            self.costed_sums[number],
            self.cost_sums[number],
        )

    @cached_property
    def held_sums(self) -> list[int]:
        """The bounds that hold the lines of each basket."""
        return self._sums(self.held)

    @cached_property
    def costed_sums(self) -> list[int]:
        """What is paid in each basket for the lines whose cost is known."""
        return self._sums(np.where(self.cost_minor == NO_COST, 0, self.priced.total_minor))

    @cached_property
    def cost_sums(self) -> list[int]:
        """What those lines cost."""
        return self._sums(np.where(self.cost_minor == NO_COST, 0, self.cost_minor))

    def _texts(self, basket: Basket, low: int, high: int) -> list[str]:
        return [f'{{"id":{TEXTS[line_id]}{tail}' for line_id, tail in zip(basket.line_ids, self.tails[low:high], strict=True)]

    def _benefits(self, number: int, basket: Basket) -> list[str]:
        """Next benefits: cheaper tiers of lines, then steps of promotions."""
        low, high = self.first_kept[number], self.first_kept[number + 1]
        tiers = self.tier_benefits
        texts = [
            f"{tiers[line][0]}{TEXTS[basket.line_ids[self.offsets[line]]]}{tiers[line][1]}"
            for line in range(low, high)
            if line in tiers
        ]
        return texts + self.promotions.benefits.get(number, [])

    def _sums(self, values: Int64s) -> list[int]:
        """The sum of each basket's lines."""
        reached = np.concatenate([[0], np.cumsum(values)])
        sums: list[int] = (reached[self.priced.first_line[1:]] - reached[self.priced.first_line[:-1]]).tolist()
        return sums

    def _skus(self, baskets: Sequence[Basket]) -> list[str]:
        """The SKU of each kept line."""
        skus = [sku for basket in baskets for sku in basket.skus]
        return skus if self.is_whole else [skus[place] for place in self.priced.lines.kept.tolist()]

    def _starts(self, skus: Sequence[str]) -> tuple[list[str], list[str]]:
        """The text of each kept line from behind its id up to its unit price, and its price steps."""
        lines = self.priced.lines
        columns = (lines.quantity_milli, lines.list_unit_e4, lines.unit_e4)
        starts = [
            f',"sku":{TEXTS[sku]},"quantity":{QUANTITIES[quantity]},"list_unit_price":{UNIT_PRICES[list_unit]},'
            f'"unit_price":{UNIT_PRICES[unit]},"net_unit_price":'
            for sku, quantity, list_unit, unit in zip(skus, *(column.tolist() for column in columns), strict=True)
        ]
        steps = price_steps(self.book, lines, skus)
        return starts, [steps.get(place, "") for place in range(len(skus))]

    def _tails(self) -> list[str]:
        """The text of each kept line from behind its id."""
        lines, total = self.priced.lines, self.priced.total_minor
        net = round_div(total * E7, lines.quantity_milli, self.book.policy.rounding)
        return [
            line_tail(start, net_unit, subtotal, total, steps, ",".join(taken))
            for start, net_unit, subtotal, total, steps, taken in zip(
                self.starts,
                net.tolist(),
                lines.subtotal_minor.tolist(),
                total.tolist(),
                self.steps,
                self.promotions.on_lines,
                strict=True,
            )
        ]

    def _personal(self) -> dict[int, list[str]]:
        """The personal inputs of what has applied, by basket."""
        names = self.promotions.personal
        for number in np.unique(self.priced.lines.basket[self.priced.names_groups]).tolist():
            names.setdefault(number, set()).add("customer.segments")
        return {number: sorted(own) for number, own in names.items()}

    def _with_codes(self, number: int, basket: Basket, beyond: BeyondText) -> tuple[list[str], tuple[Error, ...]]:
        """The entries of what did not apply, with what became of the codes, and the codes that refuse the request."""
        texts = [*self.promotions.not_applied.get(number, ())]
        own, ids = self.own_codes.get(number, ()), self.book.promotions.id
        for outcome, reason in _CODE_REASONS.items():
            for code in own:
                if code.outcome == outcome:
                    rule = {} if outcome == CodeOutcome.INVALID else {"rule": ids[code.promotion]}
                    more = {"limit": code.limit, "left": 0} if outcome == CodeOutcome.USED_UP else {}
                    texts.append(json_text({**rule, "code": code.text, "reason": reason, **more}))
        refused: list[Error] = []
        if own and self.book.policy.coupon_failure == "all":
            entries = [msgspec.json.decode(text) for text in texts]
            refused = [_refusal(basket, entry["code"], entry["reason"]) for entry in entries if "code" in entry]
        if beyond.points_refused:
            texts.append(beyond.points_refused)
        return texts, tuple(refused)

    def _tier_benefits(self, skus: Sequence[str]) -> dict[int, tuple[str, str]]:
        """The next cheaper tier by line: the entry's text before and behind the line's id."""
        tiers = self.priced.next_tiers
        return {
            line: (
                f'{{"rule":{TEXTS[skus[line]]},"line":',
                f',"quantity_needed":{QUANTITIES[needed]},"unit_price":{UNIT_PRICES[unit]}}}',
            )
            for line, needed, unit in zip(tiers.line.tolist(), tiers.needed_milli.tolist(), tiers.unit_e4.tolist(), strict=True)
        }

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
        if not self.is_whole:
            first = self.first_asked[number]
            names = [_STATUS_NAMES[status] for status in self.status[first : first + len(basket.skus)]]
            faults = [(f"lines[{offset}]", name, _MESSAGES[name]) for offset, name in enumerate(names) if name in _LINE_FAULTS]
            # A part that is nothing at all is no quote.
            if not is_partial or len(faults) == len(names):
                errors += faults
        for problem in self.priced.attribute_problems:
            if problem.basket == number:
                errors.append((problem.path, problem.code, _MESSAGES[problem.code]))
        if not errors and self.priced.is_order_too_large[number]:
            errors.append(("lines", "amount_out_of_bounds", _MESSAGES["amount_out_of_bounds"]))
        return tuple(errors)


def _entries(texts: Sequence[str]) -> bytes:
    return ",".join(texts).encode()


def line_tail(start: str, net_unit_e4: int, subtotal_minor: int, total_minor: int, steps: str, adjustments: str) -> str:
    """A line from behind its id: `start` goes up to the unit price, steps and adjustments are entries without their brackets."""
    return (
        f'{start}{UNIT_PRICES[net_unit_e4]},"subtotal":{subtotal_minor},"discount":{subtotal_minor - total_minor},"total":{total_minor},'
        f'"reference_price":null,"price_steps":[{steps}],"adjustments":[{adjustments}]}}'
    )


def reply_body(
    basket: Basket,
    *,
    tax_included: bool | None,
    lines: Iterable[bytes],
    on_order: bytes,
    beyond: BeyondText,
    subtotal_minor: int,
    merchandise_minor: int,
    not_applied: Iterable[bytes],
    benefits: Iterable[bytes],
    personal: Sequence[str],
    is_bounded: bool,
) -> bytes:
    """The members of a reply, in their order; lists are entries without their brackets, the long ones in pieces."""
    amounts = (
        f'],"shipping":{beyond.shipping},"subtotal":{subtotal_minor},"discount":{subtotal_minor - merchandise_minor},'
        f'"total":{merchandise_minor + beyond.more_minor},"gifts":[{beyond.gifts}],"points":{{{beyond.points}}},"not_applied":['
    )
    if beyond.on_order:
        on_order = b",".join(filter(None, (on_order, beyond.on_order.encode())))
    return b"".join(
        (
            _BEGINNINGS[basket.currency, tax_included],
            *lines,
            b'],"adjustments":[',
            on_order,
            amounts.encode(),
            *not_applied,
            b'],"next_benefit":[',
            *benefits,
            b'],"selection":"bounded"' if is_bounded else b'],"selection":"exact"',
            _PERSONALISED[tuple(personal)],
        )
    )


def _beginning(of: tuple[str, bool | None]) -> bytes:
    currency, tax_included = of
    return f'"currency":"{currency}","tax_included":{json_text(tax_included)},"lines":['.encode()


def _personalised(names: tuple[str, ...]) -> bytes:
    personalised = f'{json_text(bool(names))},"personal_inputs":{json_text(names)}'
    return f',"personalised":{personalised},"disclosures":[]'.encode()


_BEGINNINGS: Final[Table[tuple[str, bool | None], bytes]] = Table(_beginning)
_PERSONALISED: Final[Table[tuple[str, ...], bytes]] = Table(_personalised)


def _refusal(basket: Basket, code: str, reason: str) -> Error:
    return (f"codes[{basket.codes.index(code)}]", reason, "the code does not apply, and the policy asks for all codes")
