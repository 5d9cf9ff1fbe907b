"""Step 1, the list price: which price list a request may see, and which entry of a SKU wins."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np

from app.pricing.basket import Basket
from app.pricing.money import Bools, Int64s
from app.pricing.splice import Edit, edit_of, items_edit, joined, joined_first

NO_TIERS: Final = 0
VOLUME: Final = 1
GRADUATED: Final = 2
NO_MIX: Final = 0
MIX_SKU: Final = 1
MIX_BY_NAME: Final = 2  # and more: the number of the name
OPEN_END_MILLI: Final = 2**62
GROUPS: Final = 0  # segments and levels of customers
_FIELDS: Final = ("groups", "stores", "channels", "markets")


class PriceLists(NamedTuple):
    """The price lists of a book, by row: what each names, and which lists name a value."""

    id: tuple[str, ...]
    tax_included: Bools  # (n_lists,)
    names_groups: Bools  # (n_lists,)
    is_free: tuple[Bools, ...]  # per field of the match: lists that do not name it
    by_value: tuple[dict[str, Int64s], ...]  # per field: value -> rows of the lists that name it


def compile_price_lists(documents: Mapping[str, Mapping[str, Any]]) -> tuple[PriceLists, Int64s]:
    """Compile the lists; also give each list's rank (n_lists,), the first wins. Source: SEMANTICS.md, List price."""
    bodies: dict[str, Mapping[str, Any]] = {"default": {}, **documents}
    ids = tuple(sorted(bodies))
    matches = [bodies[name].get("match") or {} for name in ids]
    is_free = tuple(np.array([not match.get(field) for match in matches], np.bool_) for field in _FIELDS)
    by_value: list[dict[str, Int64s]] = []
    for field in _FIELDS:
        rows: dict[str, list[int]] = {}
        for row, match in enumerate(matches):
            for value in dict.fromkeys(match.get(field) or ()):
                rows.setdefault(value, []).append(row)
        by_value.append({value: np.array(found, np.int64) for value, found in rows.items()})
    lists = PriceLists(
        ids,
        np.array([bool(bodies[name].get("tax_included")) for name in ids], np.bool_),
        ~is_free[0],
        is_free,
        tuple(by_value),
    )
    rank = [
        (*(-int(not is_free[field][row]) for field in range(len(_FIELDS))), -int(bodies[name].get("priority") or 0))
        for row, name in enumerate(ids)
    ]
    place = {one: number for number, one in enumerate(sorted(set(rank)))}
    return lists, np.array([place[one] for one in rank], np.int64)


def visible_lists(lists: PriceLists, basket: Basket) -> Bools:
    """Tell which lists (n_lists,) match the request's context."""
    groups = (*(basket.segments or ()), *((basket.level,) if basket.level is not None else ()))
    visible = np.ones(len(lists.id), np.bool_)
    for free, by_value, values in zip(
        lists.is_free, lists.by_value, (groups, (basket.store,), (basket.channel,), (basket.market,)), strict=True
    ):
        named = free.copy()
        for value in values:
            rows = by_value.get(value) if value is not None else None
            if rows is not None:
                named[rows] = True
        visible &= named
    return visible


class PriceEntries(NamedTuple):
    """The price entries of a book. Entries of one (currency, SKU) stand together, the winner of those that match first.

    `first` (n_currencies · n_skus + 1,) delimits them; the key is currency row · n_skus + SKU row. Tiers: steps
    `tier_first[entry]` ... `tier_first[entry + 1]` of the `tier_*` arrays; the last `tier_up_to_milli` of an entry is open.
    `mix` is empty where no entry has one; `mix_names` are those in use, sorted.
    """

    first: Int64s
    list_row: Int64s
    unit_e4: Int64s
    from_s: Int64s
    to_s: Int64s
    mode: Int64s
    mix: Int64s
    tier_first: Int64s  # (n_entries + 1,)
    tier_up_to_milli: Int64s
    tier_unit_e4: Int64s
    tier_fee_minor: Int64s
    mix_names: tuple[str, ...]


class EntryColumns(NamedTuple):
    """Price documents, read, in no order; tiers are delimited by `tier_first`."""

    key: Int64s
    list_row: Int64s
    unit_e4: Int64s
    from_s: Int64s
    to_s: Int64s
    mode: Int64s
    mix: Int64s
    tier_first: Int64s  # (n + 1,)
    tier_up_to_milli: Int64s
    tier_unit_e4: Int64s
    tier_fee_minor: Int64s
    mix_names: tuple[str, ...]


_NONE: Final = np.zeros(0, np.int64)
NO_ENTRIES: Final = EntryColumns(*(_NONE,) * 7, np.zeros(1, np.int64), *(_NONE,) * 3, ())


def pack_entries(columns: EntryColumns, list_order: Int64s, n_keys: int) -> PriceEntries:
    """Lay out entries by key and rank; `list_order` (n_lists,) is the place of each list's rank."""
    order = np.lexsort((columns.list_row, -columns.from_s, list_order[columns.list_row], columns.key))
    first = np.zeros(n_keys + 1, np.int64)
    np.cumsum(np.bincount(columns.key, minlength=n_keys), out=first[1:])
    n_tiers = np.diff(columns.tier_first)[order]
    tier_first = np.zeros(order.size + 1, np.int64)
    np.cumsum(n_tiers, out=tier_first[1:])
    tier = np.repeat(columns.tier_first[:-1][order] - tier_first[:-1], n_tiers) + np.arange(tier_first[-1])
    mix, mix_names = _mixes(columns.mix[order], columns.mix_names)
    return PriceEntries(
        first,
        columns.list_row[order],
        columns.unit_e4[order],
        columns.from_s[order],
        columns.to_s[order],
        columns.mode[order],
        mix,
        tier_first,
        columns.tier_up_to_milli[tier],
        columns.tier_unit_e4[tier],
        columns.tier_fee_minor[tier],
        mix_names,
    )


def _mixes(mix: Int64s, names: tuple[str, ...]) -> tuple[Int64s, tuple[str, ...]]:
    """The mixes of entries by the numbers of the names in use, sorted; nothing where no entry has one."""
    if not mix.any():
        return _NONE, ()
    used = set(np.unique(mix[mix >= MIX_BY_NAME] - MIX_BY_NAME).tolist())
    kept = tuple(sorted(names[number] for number in used))
    if kept == names:
        return mix, names
    return _renumbered(mix, names, kept), kept


def _renumbered(mix: Int64s, names: tuple[str, ...], others: tuple[str, ...]) -> Int64s:
    """Mixes by the numbers of other names, among which are all that they use."""
    number_of = {name: number for number, name in enumerate(others)}
    numbers = [number_of.get(name, 0) + MIX_BY_NAME for name in names]
    return np.array([NO_MIX, MIX_SKU, *numbers], np.int64)[mix]


def _joined_mixes(edit: Edit, old: PriceEntries, new: PriceEntries) -> tuple[Int64s, tuple[str, ...]]:
    """The mixes of entries that are spliced."""
    if old.mix.size == new.mix.size == 0:
        return old.mix, ()
    names = tuple(sorted({*old.mix_names, *new.mix_names}))
    both = []
    for entries in (old, new):
        mix = entries.mix if entries.mix.size else np.zeros(entries.unit_e4.size, np.int64)
        both.append(mix if entries.mix_names == names else _renumbered(mix, entries.mix_names, names))
    return _mixes(joined(edit, *both), names)


def splice_entries(old: PriceEntries, gone: EntryColumns, came: EntryColumns, list_order: Int64s) -> PriceEntries:
    """The entries without some and with others, as packing them all would lay them out."""
    removed = sorted(_row_of_entry(old, gone, at) for at in range(gone.key.size))
    new = pack_entries(came, list_order, old.first.size - 1)
    key = np.sort(came.key)
    edit = edit_of(old.unit_e4.size, removed, [_place_of_entry(old, new, at, int(key[at]), list_order) for at in range(key.size)])
    tiers = items_edit(edit, old.tier_first, new.tier_first)
    first = old.first.copy()
    first[1:] += np.cumsum(np.bincount(key, minlength=first.size - 1) - np.bincount(gone.key, minlength=first.size - 1))
    columns = {
        name: joined(edit, getattr(old, name), getattr(new, name)) for name in ("list_row", "unit_e4", "from_s", "to_s", "mode")
    }
    steps = {
        name: joined(tiers, getattr(old, name), getattr(new, name))
        for name in ("tier_up_to_milli", "tier_unit_e4", "tier_fee_minor")
    }
    mix, mix_names = _joined_mixes(edit, old, new)
    return PriceEntries(
        first=first,
        tier_first=joined_first(edit, old.tier_first, new.tier_first),
        mix=mix,
        mix_names=mix_names,
        **columns,
        **steps,
    )


def _row_of_entry(entries: PriceEntries, gone: EntryColumns, at: int) -> int:
    """Where an entry stands: a SKU has one a list, currency and beginning."""
    low, high = entries.first[gone.key[at] : gone.key[at] + 2]
    is_it = (entries.list_row[low:high] == gone.list_row[at]) & (entries.from_s[low:high] == gone.from_s[at])
    return int(low + np.argmax(is_it))


def _place_of_entry(old: PriceEntries, new: PriceEntries, at: int, key: int, list_order: Int64s) -> int:
    """The old row before which a new entry stands."""
    low, high = old.first[key : key + 2].tolist()
    rank = (list_order[new.list_row[at]], -new.from_s[at], new.list_row[at])
    while low < high and (list_order[old.list_row[low]], -old.from_s[low], old.list_row[low]) < rank:
        low += 1
    return int(low)


def winning_entry(entries: PriceEntries, key: Int64s, visible: Bools, context: Int64s, at_s: Int64s) -> Int64s:
    """The winning entry of each line (n_lines,), or −1: the first of its key that is visible and in force.

    `context` is (n_lines,), `visible` (n_contexts, n_lists), `at_s` (n_contexts,).
    """
    winner = np.full(key.size, -1, np.int64)
    entry, end = entries.first[key], entries.first[key + 1]
    line = (entry < end).nonzero()[0]
    while line.size:
        own, its_context = entry[line], context[line]
        instant = at_s[its_context]
        holds = visible[its_context, entries.list_row[own]] & (entries.from_s[own] <= instant) & (instant < entries.to_s[own])
        if holds.all():
            winner[line] = own
            return winner
        winner[line[holds]] = own[holds]
        entry += 1
        line = line[~holds & (own + 1 < end[line])]
    return winner
