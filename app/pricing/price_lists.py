"""Step 1, the list price: which price list a request may see, and which entry of a SKU wins."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np

from app.pricing.basket import Basket
from app.pricing.money import Bools, Int64s, parse_quantity_milli, parse_unit_price_e4
from app.pricing.schedule import EARLIEST_S, LATEST_S

NO_TIERS: Final = 0
VOLUME: Final = 1
GRADUATED: Final = 2
OPEN_END_MILLI: Final = 2**62
_FIELDS: Final = ("groups", "stores", "channels", "markets")


class PriceLists(NamedTuple):
    """The price lists of a book, by row: what each names, and which lists name a value."""

    id: tuple[str, ...]
    tax_included: Bools  # (n_lists,)
    names_groups: Bools  # (n_lists,)
    is_free: tuple[Bools, ...]  # per field of the match: lists that do not name it
    by_value: tuple[dict[str, Int64s], ...]  # per field: value -> rows of the lists that name it


def compile_price_lists(documents: Mapping[str, Mapping[str, Any]]) -> tuple[PriceLists, dict[str, tuple[Any, ...]]]:
    """Compile the lists; also give each list's rank key, the greatest first. Source: SEMANTICS.md, List price."""
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
    rank = {
        name: (*(-int(not is_free[field][row]) for field in range(len(_FIELDS))), -int(bodies[name].get("priority") or 0))
        for row, name in enumerate(ids)
    }
    return lists, rank


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
    """

    first: Int64s
    list_row: Int64s
    unit_e4: Int64s
    from_s: Int64s
    to_s: Int64s
    mode: Int64s
    tier_first: Int64s  # (n_entries + 1,)
    tier_up_to_milli: Int64s
    tier_unit_e4: Int64s
    tier_fee_minor: Int64s


class EntryRow(NamedTuple):
    """One price document, read."""

    key: int
    rank: tuple[Any, ...]
    list_row: int
    unit_e4: int
    from_s: int
    to_s: int
    mode: int
    steps: tuple[tuple[int, int, int], ...]  # (up_to_milli, unit_e4, fee_minor)


def read_entry(
    body: Mapping[str, Any], *, key: int, list_row: int, list_rank: tuple[Any, ...], from_s: int, to_s: int
) -> EntryRow:
    """Read one price document. Raises ValueError when its tiers do not rise or do not end open."""
    tiers = body.get("tiers")
    steps = tuple(
        (
            OPEN_END_MILLI if step.get("up_to") is None else parse_quantity_milli(step["up_to"]),
            parse_unit_price_e4(step["unit_price"]),
            step.get("flat_fee") or 0,
        )
        for step in (tiers["steps"] if tiers else ())
    )
    bounds = [step[0] for step in steps]
    if any(later <= earlier for earlier, later in pairwise(bounds)):
        raise ValueError("the bounds of the tiers must rise")
    if steps and bounds[-1] != OPEN_END_MILLI:
        raise ValueError("the last tier must be open: up_to null")
    mode = NO_TIERS if not tiers else VOLUME if tiers["mode"] == "volume" else GRADUATED
    rank = (*list_rank, -from_s, list_row)
    return EntryRow(key, rank, list_row, parse_unit_price_e4(body["unit_price"]), from_s, to_s, mode, steps)


def pack_entries(rows: Sequence[EntryRow], n_keys: int) -> PriceEntries:
    """Lay out entries by key and rank."""
    ordered = sorted(rows, key=lambda row: (row.key, row.rank))
    first = np.zeros(n_keys + 1, np.int64)
    np.cumsum(np.bincount(np.array([row.key for row in ordered], np.int64), minlength=n_keys), out=first[1:])
    steps = [step for row in ordered for step in row.steps]
    tier_first = np.zeros(len(ordered) + 1, np.int64)
    np.cumsum([len(row.steps) for row in ordered], out=tier_first[1:])
    return PriceEntries(
        first,
        np.array([row.list_row for row in ordered], np.int64),
        np.array([row.unit_e4 for row in ordered], np.int64),
        np.array([row.from_s for row in ordered], np.int64),
        np.array([row.to_s for row in ordered], np.int64),
        np.array([row.mode for row in ordered], np.int64),
        tier_first,
        np.array([step[0] for step in steps], np.int64),
        np.array([step[1] for step in steps], np.int64),
        np.array([step[2] for step in steps], np.int64),
    )


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


def validity_s(body: Mapping[str, Any], parse: Any) -> tuple[int, int]:
    """The half-open interval in which an entry is in force, in seconds."""
    start = parse(body["valid_from"]) if body.get("valid_from") else EARLIEST_S
    end = parse(body["valid_to"]) if body.get("valid_to") else LATEST_S
    return start, end
