"""New tables from old ones where few rows differ: long runs of the old rows are copied whole, and the few new rows stand between them.

The arrays that come out are those that packing all rows anew would give, at the cost of copying memory.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from app.pricing.money import Int64s

GONE: Final = -1
KEY_STRIDE: Final = 1 << 42


class Run(NamedTuple):
    """Rows start ... stop of the old or of the new table, which stand at `at` and after in the result."""

    is_new: bool
    start: int
    stop: int
    at: int


class Edit(NamedTuple):
    """The rows of the result as runs, in order."""

    runs: tuple[Run, ...]
    n_old: int
    n_rows: int  # of the result

    @property
    def is_moving(self) -> bool:
        """Whether any old row that stays changes its place."""
        return any(not run.is_new and run.at != run.start for run in self.runs)


def edit_of(n_old: int, removed: Sequence[int], inserted: Sequence[int]) -> Edit:
    """Old rows without those `removed`, and new rows 0, 1, ... each before the old row of `inserted`; both ascend."""
    runs: list[Run] = []
    low = at = 0
    events = sorted([(row, False) for row in inserted] + [(row, True) for row in removed])
    number = 0
    for row, is_removal in [*events, (n_old, True)]:
        if row > low:
            runs.append(Run(False, low, row, at))
            at += row - low
            low = row
        if is_removal:
            low = row + 1
            continue
        if runs and runs[-1].is_new:
            runs[-1] = runs[-1]._replace(stop=number + 1)
        else:
            runs.append(Run(True, number, number + 1, at))
        number += 1
        at += 1
    return Edit(tuple(runs), n_old, at)


def places(edit: Edit) -> Int64s:
    """Where each old row stands in the result (n_old,), GONE where it does not."""
    found = np.full(edit.n_old, GONE, np.int64)
    for run in edit.runs:
        if not run.is_new:
            found[run.start : run.stop] = np.arange(run.at, run.at + run.stop - run.start)
    return found


def narrowed(edit: Edit, old_rows: Int64s, new_rows: Int64s) -> Edit:
    """The edit of a table that has only some of the rows, ascending, numbered 0, 1, ..."""
    return _scaled(edit, lambda run: np.searchsorted(new_rows if run.is_new else old_rows, (run.start, run.stop)), old_rows.size)


def _scaled(edit: Edit, bounds: Any, n_old: int) -> Edit:
    runs: list[Run] = []
    at = 0
    for run in edit.runs:
        start, stop = (int(bound) for bound in bounds(run))
        if start < stop:
            runs.append(Run(run.is_new, start, stop, at))
            at += stop - start
    return Edit(tuple(runs), n_old, at)


def items_edit(edit: Edit, old_first: Int64s, new_first: Int64s) -> Edit:
    """The edit of the items that `first` delimits."""
    return _scaled(edit, lambda run: (new_first if run.is_new else old_first)[[run.start, run.stop]], int(old_first[-1]))


def joined[T: NDArray[Any]](edit: Edit, old: T, new: T) -> T:
    """An array by row."""
    if edit.runs == (Run(False, 0, len(old), 0),):
        return old
    return _frozen([(new if run.is_new else old)[run.start : run.stop] for run in edit.runs], old)


def joined_tuple[T](edit: Edit, old: tuple[T, ...], new: tuple[T, ...]) -> tuple[T, ...]:
    """A tuple by row."""
    if not edit.is_moving and edit.n_rows == edit.n_old:
        came = [run for run in edit.runs if run.is_new]
        if all(old[run.at : run.at + run.stop - run.start] == new[run.start : run.stop] for run in came):
            return old
    # From the end, so that the rows before stand where they stood. A list moves what it has faster than slices of a tuple are made.
    found, high = list(old), len(old)
    between: tuple[T, ...] = ()
    for run in reversed(edit.runs):
        if run.is_new:
            between = new[run.start : run.stop]
        else:
            found[run.stop : high] = between
            between, high = (), run.start
    found[:high] = between
    return tuple(found)


def joined_first(edit: Edit, old_first: Int64s, new_first: Int64s) -> Int64s:
    """Where the items of each row begin (n_rows + 1,)."""
    parts, n_items = [np.zeros(1, np.int64)], 0
    for run in edit.runs:
        first = new_first if run.is_new else old_first
        own = first[run.start + 1 : run.stop + 1]
        shift = n_items - int(first[run.start])
        parts.append(own + shift if shift else own)
        n_items = int(own[-1]) + shift
    return _frozen(parts, old_first)


def joined_keys(edit: Edit, old: Int64s, new: Int64s, stride: int) -> Int64s:
    """Sorted keys row · stride + something."""
    parts = []
    for run in edit.runs:
        keys = new if run.is_new else old
        low, high = np.searchsorted(keys, (run.start * stride, run.stop * stride))
        shift = (run.at - run.start) * stride
        parts.append(keys[low:high] + shift if shift else keys[low:high])
    return _frozen(parts, old)


def joined_table[T](edit: Edit, old: T, new: T) -> T:
    """A named tuple of arrays by row; tables inside are like it.

    One that has `first` holds items by row, and in a `key` of its own the row of each item: row · KEY_STRIDE + something, sorted.
    """
    columns: dict[str, Any] = {}
    before: Any = old
    first: Any = getattr(old, "first", None)
    own = edit if first is None else items_edit(edit, first, cast(Any, new).first)
    for name, column in before._asdict().items():
        other = getattr(new, name)
        if isinstance(column, tuple):
            columns[name] = joined_table(edit, column, other)
        elif column is first:
            columns[name] = joined_first(edit, column, other)
        elif first is not None and name == "key":
            columns[name] = joined_keys(edit, column, other, KEY_STRIDE)
        else:
            columns[name] = joined(own, column, other)
    return cast(T, type(before)(**columns))


def _frozen[T: NDArray[Any]](parts: Sequence[NDArray[Any]], old: T) -> T:
    # One copy, and onto bytes: nothing can make the array writable.
    result = np.frombuffer(b"".join([np.ascontiguousarray(part).data for part in parts]), old.dtype).reshape(-1, *old.shape[1:])
    # What comes out as it was is shared, and who compares sees that at once.
    return old if np.array_equal(result, old) else cast(T, result)
