"""The promotions of a version from those of the one before, where few of them changed."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence

import numpy as np

from app.pricing.conditions import splice_conditions
from app.pricing.frozen import frozen
from app.pricing.funding import splice_funding
from app.pricing.money import Bools, Int64s
from app.pricing.promotions import NO_GROUP, Promotions, place_at
from app.pricing.schedule import splice_schedules
from app.pricing.scope import ScopeIndex, splice_scopes
from app.pricing.splice import Edit, Run, edit_of, joined, joined_table, joined_tuple, narrowed

type Place = tuple[object, ...]


def row_of_place(promotions: Promotions, place: Place, *, exclusive_wins: bool) -> int:
    """The first row whose place in the sequence is not before this one."""
    return bisect_left(range(len(promotions.id)), place, key=lambda row: place_at(promotions, row, exclusive_wins=exclusive_wins))


def edit_promotions(
    old: Promotions, gone: Sequence[Place], came: Sequence[Place], *, exclusive_wins: bool
) -> tuple[Edit, Int64s]:
    """How the sequence changes when promotions at some places go and others come; also the rows of those that go."""

    def row_of(place: Place) -> int:
        return row_of_place(old, place, exclusive_wins=exclusive_wins)

    removed = sorted(row_of(place) for place in gone)
    return edit_of(len(old.id), removed, [row_of(place) for place in sorted(came)]), np.array(removed, np.int64)


def splice_promotions(old: Promotions, new: Promotions, edit: Edit, removed: Int64s) -> Promotions:
    """The promotions that an edit makes of the old and the new ones, as packing them all would lay them out. Codes are not followed."""
    groups, group = _numbered(old.groups, old.group, new.groups, new.group, edit)
    kinds, kind = _numbered(old.kinds, old.kind, new.kinds, new.kind, edit)
    kind_row, packed = _packed(old, new, edit, kinds, kind)
    requires_code = joined(edit, old.requires_code, new.requires_code)
    n_line_level = old.n_line_level - int(np.count_nonzero(removed < old.n_line_level)) + new.n_line_level
    n_gone = int(np.count_nonzero((removed >= old.n_line_level) & (removed < old.first_of_shipping)))
    is_beyond_lines = np.arange(edit.n_rows) >= n_line_level
    scopes, order_scopes = _scopes(old, new, edit, removed, ~requires_code, ~requires_code & is_beyond_lines)
    # A plain column is followed without being named, so that a new one is not forgotten here.
    columns = {
        name: joined(edit, column, getattr(new, name))
        for name, column in old._asdict().items()
        if isinstance(column, np.ndarray) and name not in ("group", "kind", "kind_row", "requires_code")
    }
    return frozen(
        Promotions(
            id=joined_tuple(edit, old.id, new.id),
            name=joined_tuple(edit, old.name, new.name),
            revision=joined_tuple(edit, old.revision, new.revision),
            personal_inputs=joined_tuple(edit, old.personal_inputs, new.personal_inputs),
            reward_inputs=joined_tuple(edit, old.reward_inputs, new.reward_inputs),
            row_of_code=old.row_of_code,
            n_line_level=n_line_level,
            n_order_level=old.n_order_level - n_gone + new.n_order_level,
            groups=groups,
            group=group,
            requires_code=requires_code,
            kind=kind,
            kind_row=kind_row,
            kinds=kinds,
            packed=packed,
            scopes=scopes,
            order_scopes=order_scopes,
            parts=joined_table(edit, old.parts, new.parts),
            schedule=splice_schedules(edit, old.schedule, new.schedule),
            conditions=splice_conditions(edit, old.conditions, new.conditions),
            funding=splice_funding(edit, old.funding, new.funding),
            **columns,
        )
    )


def _numbered(
    old_names: tuple[str, ...], old: Int64s, new_names: tuple[str, ...], new: Int64s, edit: Edit
) -> tuple[tuple[str, ...], Int64s]:
    """The names in use, sorted, and the number of each row's; a row without one stays NO_GROUP."""
    names = tuple(sorted({*old_names, *new_names}))
    number_of = {name: number for number, name in enumerate(names)}
    # The last entry is what NO_GROUP, −1, finds.
    old = old if names == old_names else np.array([*map(number_of.__getitem__, old_names), NO_GROUP])[old]
    number = joined(edit, old, np.array([*map(number_of.__getitem__, new_names), NO_GROUP])[new])
    n_rows = np.bincount(number[number >= 0], minlength=len(names))
    if n_rows.all():
        return names, number
    is_used = n_rows > 0
    renumbered = np.append(np.cumsum(is_used) - 1, NO_GROUP)[number]
    return tuple(name for name, is_kept in zip(names, is_used.tolist(), strict=True) if is_kept), renumbered


def _packed(
    old: Promotions, new: Promotions, edit: Edit, kinds: tuple[str, ...], kind: Int64s
) -> tuple[Int64s, tuple[object, ...]]:
    """The row of each promotion among those of its kind, and the parameters of each kind in use."""
    kind_row = np.zeros(kind.size, np.int64)
    packed: list[object] = []
    for number, name in enumerate(kinds):
        rows = np.flatnonzero(kind == number)
        kind_row[rows] = np.arange(rows.size)
        tables = [one.packed[one.kinds.index(name)] if name in one.kinds else None for one in (old, new)]
        own = narrowed(edit, _rows_of(old, name), _rows_of(new, name))
        # A kind that only one side has is spliced with itself: no run takes anything of the other side.
        before, after = (one if one is not None else tables[1 - side] for side, one in enumerate(tables))
        packed.append(before if own.runs == (Run(False, 0, own.n_old, 0),) else joined_table(own, before, after))
    return kind_row, tuple(packed)


def _rows_of(promotions: Promotions, kind: str) -> Int64s:
    if kind not in promotions.kinds:
        return np.zeros(0, np.int64)
    return np.flatnonzero(promotions.kind == promotions.kinds.index(kind))


def _scopes(
    old: Promotions, new: Promotions, edit: Edit, removed: Int64s, is_listed: Bools, is_listed_order: Bools
) -> tuple[ScopeIndex, ScopeIndex]:
    if _has_same_scopes(old, new, edit, removed):
        return old.scopes, old.order_scopes
    scopes = frozen(splice_scopes(edit, old.scopes, new.scopes, is_listed=is_listed))
    of_orders = splice_scopes(edit, old.order_scopes, new.order_scopes, is_listed=is_listed_order)
    # Both have the same members; one copy of them is enough.
    return scopes, of_orders._replace(excluded_key=scopes.excluded_key, member_key=scopes.member_key, is_open=scopes.is_open)


def _has_same_scopes(old: Promotions, new: Promotions, edit: Edit, removed: Int64s) -> bool:
    """Whether each new promotion stands in the place of one that had the same scope and was found in the same way."""
    came = np.concatenate(
        [np.zeros(0, np.int64), *(np.arange(run.at, run.at + run.stop - run.start) for run in edit.runs if run.is_new)]
    )
    if edit.is_moving or not np.array_equal(removed, came):
        return False
    n_skus = old.scopes.n_skus
    rows = np.arange(came.size)
    return (
        np.array_equal(old.requires_code[removed], new.requires_code)
        and np.array_equal(removed < old.n_line_level, rows < new.n_line_level)
        and np.array_equal(old.scopes.is_open[removed], new.scopes.is_open)
        and all(
            np.array_equal(_of_row(old_keys, row, n_skus), _of_row(new_keys, number, n_skus))
            for old_keys, new_keys in (
                (old.scopes.member_key, new.scopes.member_key),
                (old.scopes.excluded_key, new.scopes.excluded_key),
            )
            for number, row in enumerate(removed.tolist())
        )
    )


def _of_row(keys: Int64s, row: int, n_skus: int) -> Int64s:
    low, high = np.searchsorted(keys, (row * n_skus, (row + 1) * n_skus))
    return keys[low:high] - row * n_skus


def codes_moved(row_of_code: Mapping[str, int], place: Int64s) -> dict[str, int]:
    """The same codes when rows have moved to their `place` (n_old,)."""
    rows = place[np.fromiter(row_of_code.values(), np.int64, len(row_of_code))]
    return dict(zip(row_of_code, rows.tolist(), strict=True))
