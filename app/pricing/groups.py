"""Pairs laid out group by group: the parts of lines, the lines of applications."""

from typing import NamedTuple

import numpy as np

from app.pricing.money import Bools, Int64s


class Groups(NamedTuple):
    """Pairs laid out group by group; every group 0 ... n_groups − 1 has at least one pair."""

    group: Int64s  # (n_pairs,) non-decreasing
    starts: Int64s  # (n_groups,)

    @property
    def are_single(self) -> bool:
        """Whether each group has one pair only, so that what holds for pairs holds for groups."""
        return self.starts.size == self.group.size

    def sum(self, values: Int64s) -> Int64s:
        """Sum values (n_pairs,) in each group (n_groups,), exactly. Read it only: it may be the values themselves."""
        return values if self.are_single else np.add.reduceat(values, self.starts)

    def any(self, flags: Bools) -> Bools:
        """Tell in which groups (n_groups,) a flag (n_pairs,) is set."""
        return flags if self.are_single else np.logical_or.reduceat(flags, self.starts)

    def sizes(self) -> Int64s:
        """Count the pairs of each group (n_groups,)."""
        ends = np.empty_like(self.starts)
        ends[:-1] = self.starts[1:]
        ends[-1:] = self.group.size
        return ends - self.starts

    def count_before(self, is_counted: Bools) -> Int64s:
        """Count the counted pairs of the same group that stand before each pair (n_pairs,)."""
        running = np.cumsum(is_counted)
        before = running - is_counted
        return before - before[self.starts][self.group]

    def chosen(self, groups: Int64s) -> tuple[Int64s, "Groups"]:
        """The pairs of some groups, one after the other, and their grouping by place among the chosen."""
        if self.are_single:
            return groups, alone(groups.size)
        count = self.sizes()[groups]
        first = np.cumsum(count) - count
        place = np.repeat(np.arange(groups.size), count)
        return np.repeat(self.starts[groups] - first, count) + np.arange(place.size), Groups(place, first)

    def only(self, is_kept: Bools) -> tuple[Int64s, "Groups"]:
        """The pairs of the groups that are kept (n_groups,), and their grouping by place among these."""
        return self.chosen(is_kept.nonzero()[0])


def alone(n_groups: int) -> Groups:
    """Groups of one pair each."""
    each = np.arange(n_groups)
    return Groups(each, each)


def groups_of(value: Int64s) -> Groups:
    """Lay out pairs whose values (n,) stand in runs: each run is a group.

    >>> groups_of(np.array([7, 7, 9])).starts.tolist()
    [0, 2]
    """
    is_start = np.empty(value.size, np.bool_)
    is_start[:1] = True
    np.not_equal(value[1:], value[:-1], out=is_start[1:])
    starts = is_start.nonzero()[0]
    return alone(value.size) if starts.size == value.size else Groups(np.cumsum(is_start) - 1, starts)


def groups_of_sizes(count: Int64s) -> Groups:
    """Lay out groups of so many pairs each (n_groups,), all above 0."""
    if count.size and count.max() == 1:
        return alone(count.size)
    return Groups(np.repeat(np.arange(count.size), count), np.cumsum(count) - count)
