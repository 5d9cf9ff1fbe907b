"""Joint promotions: what each party bears of what a promotion gave. Source: SEMANTICS.md, Funding."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from app.pricing.allocation import allocate
from app.pricing.groups import groups_of, groups_of_sizes
from app.pricing.money import PPM, Int64s, parse_percent_ppm
from app.pricing.splice import Edit, items_edit, joined, joined_first, joined_tuple
from app.pricing.stacking import Adjustment


class Funding(NamedTuple):
    """Who funds promotions 0, 1, ...; `first` (n_promotions + 1,) delimits the shares of each."""

    first: Int64s
    share_ppm: Int64s
    parties: tuple[tuple[str, ...], ...]  # (n_promotions,)

    def is_funded(self, rule: Int64s) -> Any:
        """Whether promotions (n,) are funded by others than the seller."""
        return self.first[rule] < self.first[rule + 1]


type Shares = dict[int, list[int]]  # by place of the adjustment in its block: what each party bears


def pack_funding(documents: Sequence[Sequence[Mapping[str, Any]]]) -> Funding:
    """Lay out the funding of promotions."""
    first = np.zeros(len(documents) + 1, np.int64)
    np.cumsum([len(own) for own in documents], out=first[1:])
    shares = [parse_percent_ppm(one["percent"]) for own in documents for one in own]
    return Funding(first, np.array(shares, np.int64), tuple(tuple(one["party"] for one in own) for own in documents))


def splice_funding(edit: Edit, old: Funding, new: Funding) -> Funding:
    """The funding of the promotions that an edit makes of two."""
    shares = items_edit(edit, old.first, new.first)
    return Funding(
        joined_first(edit, old.first, new.first),
        joined(shares, old.share_ppm, new.share_ppm),
        joined_tuple(edit, old.parties, new.parties),
    )


def shares_of_each(funding: Funding, blocks: Sequence[Adjustment], n_places: int) -> list[Shares]:
    """The shares of the adjustments of promotions, each by itself, block by block. A give-back lessens the adjustment before it in its place."""
    given = given_of(blocks, n_places)
    return [
        {} if _is_give_back(block) else _shares_by_place(funding, block.rule, amount, funding.is_funded(block.rule).nonzero()[0])
        for block, amount in zip(blocks, given, strict=True)
    ]


def shares_on_lines(
    funding: Funding, on_orders: Sequence[Adjustment], of_orders: Sequence[Shares], on_lines: Adjustment, basket_of_line: Int64s
) -> Shares:
    """The shares of what order promotions took of lines; they add up to those of the orders, which are given block by block."""
    by_application = {
        (int(block.where[place]), int(block.rule[place])): amounts
        for block, shares in zip(on_orders, of_orders, strict=True)
        for place, amounts in shares.items()
    }
    at = funding.is_funded(on_lines.rule).nonzero()[0]
    if at.size == 0:
        return {}
    basket, rule = basket_of_line[on_lines.where[at]], on_lines.rule[at]
    order = np.lexsort((on_lines.where[at], rule, basket))
    at, basket, rule = at[order], basket[order], rule[order]
    groups = groups_of(basket * (int(rule.max()) + 1) + rule)
    keys = zip(basket[groups.starts].tolist(), rule[groups.starts].tolist(), strict=True)
    amounts = [by_application[key] for key in keys]
    left = -on_lines.amount_minor[at]
    n_parties = max(map(len, amounts))
    found = np.zeros((n_parties, at.size), np.int64)
    for party in range(n_parties):
        amount = np.array([own[party] if party < len(own) else 0 for own in amounts], np.int64)
        found[party] = allocate(amount, left, groups, remainder="largest", rounding="half_up")
        left = left - found[party]
    n_own = np.array([len(own) for own in amounts])[groups.group]
    return {place: column[:count] for place, column, count in zip(at.tolist(), found.T.tolist(), n_own.tolist(), strict=True)}


def joined_blocks(blocks: Sequence[Adjustment]) -> Adjustment:
    """Several blocks as one."""
    return Adjustment(*(np.concatenate(columns) for columns in zip(*blocks, strict=True)))


def _is_give_back(block: Adjustment) -> bool:
    return bool(block.is_give_back.size and block.is_give_back[0])


def given_of(blocks: Sequence[Adjustment], n_places: int) -> list[Int64s]:
    """What adjustments really gave, block by block: the amount less what the give-back behind it takes back."""
    given = [-block.amount_minor for block in blocks]
    last_block, last_place = np.zeros(n_places, np.int64), np.zeros(n_places, np.int64)
    for number, block in enumerate(blocks):
        if not _is_give_back(block):
            # Where a place occurs more than once the later one stands.
            last_block[block.where], last_place[block.where] = number, np.arange(block.where.size)
            continue
        its_block, its_place = last_block[block.where], last_place[block.where]
        for earlier in np.unique(its_block).tolist():
            own = its_block == earlier
            given[earlier][its_place[own]] -= block.amount_minor[own]
    return given


def _shares_by_place(funding: Funding, rule: Int64s, amount: Int64s, at: Int64s) -> Shares:
    """What the parties of funded promotions bear of amounts, by place in the block."""
    if at.size == 0:
        return {}
    low = funding.first[rule[at]]
    n_parties = funding.first[rule[at] + 1] - low
    groups = groups_of_sizes(n_parties + 1)  # the seller is the last
    number = np.arange(groups.group.size) - groups.starts[groups.group]
    is_seller = number == n_parties[groups.group]
    share = np.where(is_seller, 0, funding.share_ppm[np.minimum(low[groups.group] + number, funding.share_ppm.size - 1)])
    share[is_seller] = PPM - groups.sum(share)
    split = allocate(amount[at], share, groups, remainder="largest", rounding="half_up").tolist()
    bounds = zip(at.tolist(), groups.starts.tolist(), n_parties.tolist(), strict=True)
    return {place: split[start : start + count] for place, start, count in bounds}
