"""Each kind is asked what its applications want, and the answers are laid side by side."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from app.pricing.groups import Groups
from app.pricing.kind import Kind
from app.pricing.money import AMOUNT_MINOR_MAX, INT64_MAX, Bools, Int64s
from app.pricing.policy import Policy
from app.pricing.promotions import Promotions
from app.pricing.rewards import ALL_UNITS, BASE_RUNNING, BY_RUNNING, Offer, Reward, Turn
from app.pricing.stacking import Lines, Orders

_OF_PAIRS: Final = frozenset({"line_minor", "down_to_minor", "units_milli", "weight", "served_milli"})
# What stands where a kind has no such column and another has.
_NOTHING: Final[dict[str, int | bool]] = {
    "off_ppm": 0,
    "base": BASE_RUNNING,
    "line_minor": 0,
    "down_to_minor": INT64_MAX,
    "across_minor": 0,
    "cap_minor": AMOUNT_MINOR_MAX,
    "units_milli": ALL_UNITS,
    "weight": BY_RUNNING,
    "served_milli": 0,
    "is_given": False,
}

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
    is_eligible: Bools | None = None,
) -> tuple[Reward, Offers]:
    """What applications (n_apps,) want of their lines (n_pairs,), and what kinds with steps say of some of the applications besides."""
    kind, row = promotions.kind[rule], promotions.kind_row[rule]
    if rule.size and (kind == kind[0]).all():
        number = int(kind[0])
        turn = Turn(groups, line, basket, row, lines, orders, policy, rule, promotions.parts, is_eligible)
        reward = kinds[promotions.kinds[number]].reward(promotions.packed[number], turn)
        return reward, () if reward.offer is None else ((np.arange(rule.size), reward.offer),)
    answers: list[_Answer] = []
    for number, name in enumerate(promotions.kinds):
        own = (kind == number).nonzero()[0]
        if own.size == 0:
            continue
        pair, own_groups = groups.chosen(own)
        its_eligible = None if is_eligible is None else is_eligible[pair]
        turn = Turn(
            own_groups, line[pair], basket[own], row[own], lines, orders, policy, rule[own], promotions.parts, its_eligible
        )
        answers.append((own, pair, kinds[name].reward(promotions.packed[number], turn)))
    offers = tuple((own, answer.offer) for own, _, answer in answers if answer.offer is not None)
    return _side_by_side(answers, rule.size, line.size), offers


def _side_by_side(answers: Sequence[_Answer], n_apps: int, n_pairs: int) -> Reward:
    """Each column of the answers over all applications or pairs, but their offers; None where no answer has it."""
    columns: dict[str, Int64s | Bools] = {}
    for name, default in _NOTHING.items():
        is_of_pairs = name in _OF_PAIRS
        for own, pair, answer in answers:
            values = getattr(answer, name)
            if values is not None:
                if name not in columns:
                    columns[name] = np.full(n_pairs if is_of_pairs else n_apps, default)
                columns[name][pair if is_of_pairs else own] = values
    return Reward(**columns)  # type: ignore[arg-type]
