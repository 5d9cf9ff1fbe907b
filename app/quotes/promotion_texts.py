"""What promotions did, as JSON text: adjustments of lines and orders, reasons, next benefits."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Final

import numpy as np

from app.pricing.book import PriceBook
from app.pricing.money import Int64s, format_milli
from app.pricing.reasons import Reason, Unit
from app.pricing.stacking import Adjustment, Applications, Outcome
from app.quotes.funding_text import Texts, funding_texts
from app.quotes.phrases import REASON_STRIDE, SLOT_STRIDE, TEXTS, Phrases, phrases_of

_WITH_FIGURE: Final = (Reason.MIN_SPEND_NOT_MET, Reason.MIN_QUANTITY_NOT_MET, Reason.TIER_NOT_REACHED, Reason.LIMIT_REACHED)


class PromotionTexts:
    """The texts of a batch of applications. `codes` names the code that unlocked a promotion, by (basket, promotion)."""

    def __init__(
        self,
        book: PriceBook,
        applications: Applications,
        outcome: Outcome,
        basket_of_line: Int64s,
        *,
        n_baskets: int,
        codes: Mapping[tuple[int, int], str],
    ) -> None:
        self._book = book
        self._applications = applications
        self._outcome = outcome
        self._basket_of_line = basket_of_line
        self._codes = codes
        self._phrases: Phrases = phrases_of(book)
        self._funding = funding_texts(book, outcome, basket_of_line, n_baskets)
        self._told_order = self._order_of_telling()
        self.on_lines = self._line_adjustments()  # by line, in the order of application
        self.on_orders = self._adjustments(
            outcome.on_orders, None if self._funding is None else self._funding.on_orders
        )  # by basket
        self.on_shipping = self._adjustments(
            outcome.on_shipping, None if self._funding is None else self._funding.on_shipping
        )  # the same of shipping
        self.reasons = self._reasons()  # by application, in the order of telling: why it applied nowhere
        self.next_steps = self._next_steps()  # the same of what it offers next
        self.personal = self._personal()  # by basket: what the applied promotions have looked at
        self.by_kind = self._by_kind(n_baskets)  # by basket: what each kind took

    @cached_property
    def not_applied(self) -> dict[int, list[str]]:
        """The reasons by basket, in the order of telling."""
        return self._by_basket(self.reasons)

    @cached_property
    def benefits(self) -> dict[int, list[str]]:
        """The next steps by basket, in the order of telling."""
        return self._by_basket(self.next_steps)

    def _line_adjustments(self) -> list[list[str]]:
        """The adjustments of each kept line, in the order of application."""
        on_lines: list[list[str]] = [[] for _ in range(self._basket_of_line.size)]
        basket_of_line = self._basket_of_line.tolist() if self._codes else []
        prefix, back = self._phrases.taken, self._phrases.given_back
        for number, block in enumerate(self._outcome.on_lines):
            is_give_back = bool(block.is_give_back.size and block.is_give_back[0])
            ending = ',"level":"order"}' if block.is_order_level.size and block.is_order_level[0] else "}"
            pairs = zip(block.where.tolist(), block.rule.tolist(), block.amount_minor.tolist(), strict=True)
            if is_give_back:
                for line, rule, amount in pairs:
                    on_lines[line].append(f"{back[rule]}{amount}}}")
            elif self._codes or self._funding is not None:
                funding = {} if self._funding is None else self._funding.on_lines[number]
                for place, (line, rule, amount) in enumerate(pairs):
                    code = self._code(basket_of_line[line], rule) if self._codes else ""
                    on_lines[line].append(f"{prefix[rule]}{amount}{code}{funding.get(place, '')}{ending}")
            else:
                for line, rule, amount in pairs:
                    on_lines[line].append(f"{prefix[rule]}{amount}{ending}")
        return on_lines

    def _code(self, basket: int, rule: int) -> str:
        code = self._codes.get((basket, rule))
        return "" if code is None else f',"code":{TEXTS[code]}'

    def _adjustments(self, blocks: Sequence[Adjustment], funding: Sequence[Texts] | None) -> dict[int, list[str]]:
        """The adjustments of each basket's order or shipping."""
        found: dict[int, list[str]] = {}
        for number, block in enumerate(blocks):
            texts = {} if funding is None else funding[number]
            for place, (basket, rule, amount, is_back, _) in enumerate(zip(*(column.tolist() for column in block), strict=True)):
                start = self._phrases.given_back[rule] if is_back else self._phrases.taken[rule]
                code = "" if is_back else self._code(basket, rule)
                found.setdefault(basket, []).append(f"{start}{amount}{code}{texts.get(place, '')}}}")
        return found

    def _order_of_telling(self) -> Int64s:
        """The applications in the order of SEMANTICS.md, Not applied: by basket, line promotions by the first line of their scope."""
        apps = self._applications
        if apps.rule.size == 0:
            return apps.rule
        place = 2 * apps.line[apps.lines.starts]
        is_order_level = apps.rule >= self._book.promotions.n_line_level
        if is_order_level.any():
            last_line = np.searchsorted(self._basket_of_line, apps.basket[is_order_level], side="right") - 1
            place[is_order_level] = 2 * last_line + 1
        return np.argsort(place, kind="stable")

    def _reasons(self) -> dict[int, str]:
        """The entries of the applications that took nothing."""
        outcome, apps = self._outcome, self._applications
        at = self._told_order[~outcome.is_applied[self._told_order]]
        rule, reason = apps.rule[at], outcome.reason[at]
        names_slot = np.isin(reason, (Reason.ATTRIBUTE_MISSING, Reason.CONDITION_NOT_MET, Reason.LIMIT_REACHED))
        slot = np.where(names_slot, outcome.slot[at] + 1, 0)
        phrases = self._phrases.reason
        keys = ((rule * REASON_STRIDE + reason) * SLOT_STRIDE + slot).tolist()
        reasons = {app: phrases[key] for app, key in zip(at.tolist(), keys, strict=True)}
        for app in at[np.isin(reason, _WITH_FIGURE)].tolist():
            figure = self._needed(int(outcome.reason[app]), int(outcome.unit[app]), int(outcome.needed[app]))
            reasons[app] = f"{reasons[app][:-1]},{figure}}}"
        if self._codes:
            for app, its_rule, basket in zip(at.tolist(), rule.tolist(), apps.basket[at].tolist(), strict=True):
                reasons[app] = f"{reasons[app][:-1]}{self._code(basket, its_rule)}}}"
        return reasons

    def _by_basket(self, texts: Mapping[int, str]) -> dict[int, list[str]]:
        """Entries of applications, which stand by basket, by their baskets."""
        if not texts:
            return {}
        baskets = self._applications.basket[np.fromiter(texts, np.int64, len(texts))]
        entries = list(texts.values())
        bounds = [0, *(np.flatnonzero(np.diff(baskets)) + 1).tolist(), len(entries)]
        return {int(baskets[low]): entries[low:high] for low, high in pairwise(bounds)}

    @staticmethod
    def _needed(reason: int, unit: int, needed: int) -> str:
        if reason == Reason.LIMIT_REACHED:
            return f'"left":"{format_milli(needed)}"' if unit == Unit.MILLI else f'"left":{needed}'
        if unit == Unit.MILLI:
            return f'"needed":"{format_milli(needed)}"'
        return f'"needed":"{needed}"' if reason == Reason.MIN_QUANTITY_NOT_MET else f'"needed":{needed}'

    def _next_steps(self) -> dict[int, str]:
        """The entries of the applications that offer a further step."""
        outcome, apps = self._outcome, self._applications
        at = self._told_order[outcome.next_step[self._told_order] >= 0]
        columns = (at, apps.rule[at], outcome.next_step[at], outcome.next_needed[at], outcome.next_times[at])
        phrases = self._phrases.benefit
        return {
            app: phrases[rule, step, needed, times]
            for app, rule, step, needed, times in zip(*(column.tolist() for column in columns), strict=True)
        }

    def _personal(self) -> dict[int, set[str]]:
        """The personal inputs of what has applied, by basket."""
        outcome, apps, promotions = self._outcome, self._applications, self._book.promotions
        names: dict[int, set[str]] = {}
        if promotions.is_personal.any():
            at = np.flatnonzero(outcome.is_applied & promotions.is_personal[apps.rule])
            for number, rule in zip(apps.basket[at].tolist(), apps.rule[at].tolist(), strict=True):
                names.setdefault(number, set()).update(promotions.personal_inputs[rule])
        return names

    def _by_kind(self, n_baskets: int) -> list[tuple[tuple[str, int], ...]]:
        """What each kind took of each basket."""
        promotions = self._book.promotions
        sums = np.zeros((n_baskets, len(promotions.kinds)), np.int64)
        for block in self._outcome.on_lines:
            own = ~block.is_give_back
            np.add.at(sums, (self._basket_of_line[block.where[own]], promotions.kind[block.rule[own]]), -block.amount_minor[own])
        for block in self._outcome.on_shipping:
            np.add.at(sums, (block.where, promotions.kind[block.rule]), -block.amount_minor)
        return [
            tuple((kind, amount) for kind, amount in zip(promotions.kinds, row, strict=True) if amount) for row in sums.tolist()
        ]
