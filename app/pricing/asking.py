"""Each kind is asked what its applications want, and the answers are laid side by side."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from app.pricing.groups import Groups
from app.pricing.money import AMOUNT_MINOR_MAX, INT64_MAX, Int64s
from app.pricing.policy import Policy
from app.pricing.promotions import Promotions
from app.pricing.reasons import Reason
from app.pricing.rewards import BASE_RUNNING, Kind, Offer, Reward, Turn
from app.pricing.stacking import Lines, Orders

_OF_PAIRS: Final = tuple(Reward._fields.index(name) for name in ("line_minor", "down_to_minor"))
# What stands where a kind has no such column and another has.
_NOTHING: Final[tuple[int, ...]] = (0, BASE_RUNNING, 0, INT64_MAX, 0, AMOUNT_MINOR_MAX)
_NO_OFFER: Final[tuple[int, ...]] = (Reason.APPLIED, 0, 0, -1, 0, 1)

type _Answer = tuple[Int64s, Int64s, Any]  # applications, pairs, what their kind answered


def ask(
    promotions: Promotions,
    kinds: Mapping[str, Kind],
    rule: Int64s,
    basket: Int64s,
    groups: Groups,
    line: Int64s,
    lines: Lines,
    orders: Orders,
    policy: Policy,
) -> Reward:
    """What applications (n_apps,) want of their lines (n_pairs,)."""
    kind, row = promotions.kind[rule], promotions.kind_row[rule]
    answers: list[_Answer] = []
    for number, name in enumerate(promotions.kinds):
        own = (kind == number).nonzero()[0]
        if own.size == 0:
            continue
        if own.size == kind.size:
            turn = Turn(groups, line, basket, row, lines, orders, policy)
            return kinds[name].reward(promotions.packed[number], turn)
        pair, own_groups = groups.chosen(own)
        turn = Turn(own_groups, line[pair], basket[own], row[own], lines, orders, policy)
        answers.append((own, pair, kinds[name].reward(promotions.packed[number], turn)))
    columns = _side_by_side([(own, pair, answer[:-1]) for own, pair, answer in answers], _NOTHING, rule.size, line.size)
    offers = [(own, own, answer.offer) for own, _, answer in answers if answer.offer is not None]
    offer = Offer._make(_side_by_side(offers, _NO_OFFER, rule.size, rule.size)) if offers else None
    return Reward._make((*columns, offer))


def _side_by_side(answers: Sequence[_Answer], nothing: Sequence[int], n_apps: int, n_pairs: int) -> list[Any]:
    """Each column of the answers over all applications or pairs; None where no answer has it."""
    columns: list[Any] = []
    for place, default in enumerate(nothing):
        is_of_pairs = place in _OF_PAIRS
        given = [(pair if is_of_pairs else own, answer[place]) for own, pair, answer in answers if answer[place] is not None]
        column = np.full(n_pairs if is_of_pairs else n_apps, default, np.int64) if given else None
        for at, values in given:
            assert column is not None
            column[at] = values
        columns.append(column)
    return columns
