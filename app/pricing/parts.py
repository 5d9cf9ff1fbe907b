"""The scopes inside the parameters of promotions: which of them a SKU is in, as bits."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from app.pricing.money import Int64s
from app.pricing.scope import Scope
from app.pricing.splice import KEY_STRIDE

PARTS_MAX: Final = 10


class PartMembers(NamedTuple):
    """SKUs that a promotion's parts name, by promotion; `first` (n_promotions + 1,) delimits them."""

    first: Int64s
    key: Int64s  # row · 2^42 + SKU row, sorted
    mask: Int64s  # bit k: in part k


class Parts(NamedTuple):
    """The parts of each promotion's scope."""

    mask_of_others: Int64s  # (n_promotions,) of SKUs that no part names: the bits of the open parts
    members: PartMembers


def pack_parts(parts: Sequence[Sequence[Scope]]) -> Parts:
    """Lay out the parts of rows 0, 1, ..."""
    first = np.zeros(len(parts) + 1, np.int64)
    others = np.zeros(len(parts), np.int64)
    keys, masks = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for row, own in enumerate(parts):
        assert len(own) <= PARTS_MAX
        named = np.zeros(0, np.int64)
        for scope in own:
            named = np.union1d(named, scope.excluded if scope.is_open else scope.rows)
        mask = np.zeros(named.size, np.int64)
        for bit, scope in enumerate(own):
            if scope.is_open:
                others[row] |= 1 << bit
            is_in = np.isin(named, scope.excluded, invert=True) if scope.is_open else np.isin(named, scope.rows)
            mask |= is_in.astype(np.int64) << bit
        keys.append(row * KEY_STRIDE + named)
        masks.append(mask)
        first[row + 1] = named.size
    np.cumsum(first, out=first)
    return Parts(others, PartMembers(first, np.concatenate(keys), np.concatenate(masks)))


def mask_of(parts: Parts, row: Int64s, sku_row: Int64s) -> Int64s:
    """The parts that each SKU (n,) is in, of the promotion of each row (n,)."""
    others, members = parts.mask_of_others[row], parts.members
    if members.key.size == 0:
        return others
    key = row * KEY_STRIDE + sku_row
    found = np.minimum(np.searchsorted(members.key, key), members.key.size - 1)
    return np.where(members.key[found] == key, members.mask[found], others)
