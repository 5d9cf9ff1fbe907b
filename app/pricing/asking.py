"""Each kind is asked what its applications want, and the answers are laid side by side."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from app.pricing.groups import Groups
from app.pricing.money import AMOUNT_MINOR_MAX, INT64_MAX, Bools, Int64s
from app.pricing.policy import Policy
from app.pricing.promotions import Promotions
from app.pricing.rewards import BASE_RUNNING, Kind, Offer, Reward, Turn
from app.pricing.stacking import Lines, Orders

_OF_PAIRS: Final = tuple(Reward._fields.index(name) for name in ("line_minor", "down_to_minor"))
# What stands where a kind has no such column and another has.
_NOTHING: Final[tuple[int | bool, ...]] = (0, BASE_RUNNING, 0, INT64_MAX, 0, AMOUNT_MINOR_MAX, False)

type Offers = Sequence[tuple[Int64s, Offer]]  # with the applications that each is of
type _Answer = tuple[Int64s, Int64s, Reward]  # applications, pairs, what their kind answered


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
) -> tuple[Reward, Offers]:
    """What applications (n_apps,) want of their lines (n_pairs,), and what kinds with steps say of some of the applications besides."""
    kind, row = promotions.kind[rule], promotions.kind_row[rule]
    if rule.size and (kind == kind[0]).all():
        number = int(kind[0])
        turn = Turn(groups, line, basket, row, lines, orders, policy)
        reward = kinds[promotions.kinds[number]].reward(promotions.packed[number], turn)
        return reward, () if reward.offer is None else ((np.arange(rule.size), reward.offer),)
    answers: list[_Answer] = []
    for number, name in enumerate(promotions.kinds):
        own = (kind == number).nonzero()[0]
        if own.size == 0:
            continue
        pair, own_groups = groups.chosen(own)
        turn = Turn(own_groups, line[pair], basket[own], row[own], lines, orders, policy)
        answers.append((own, pair, kinds[name].reward(promotions.packed[number], turn)))
    offers = tuple((own, answer.offer) for own, _, answer in answers if answer.offer is not None)
    return _side_by_side(answers, rule.size, line.size), offers


def _side_by_side(answers: Sequence[_Answer], n_apps: int, n_pairs: int) -> Reward:
    """Each column of the answers over all applications or pairs, but their offers; None where no answer has it."""
    columns: list[Int64s | Bools | None] = []
    for place, default in enumerate(_NOTHING):
        is_of_pairs = place in _OF_PAIRS
        given = [(pair if is_of_pairs else own, answer[place]) for own, pair, answer in answers if answer[place] is not None]
        column = np.full(n_pairs if is_of_pairs else n_apps, default) if given else None
        for at, values in given:
            assert column is not None
            column[at] = values
        columns.append(column)
    return Reward(*columns)  # type: ignore[arg-type]
