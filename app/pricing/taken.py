"""What promotions have taken so far: by exclusive ones, by any, and by groups of which one only may."""

from dataclasses import dataclass

import numpy as np

from app.pricing.money import Bools, Int64s
from app.pricing.promotions import Promotions


@dataclass(slots=True)
class Taken:
    """What has been taken of places: of lines by line promotions, of orders by order promotions (n_places,).

    A cell of `is_free` is a group at a place; the last one stands for the group of what has none, and is always free.
    """

    is_taken: Bools
    is_exclusively_taken: Bools
    is_free: Bools
    group_place: Int64s | None  # (n_apps,) of the applications' groups, −1 without; None where none has one
    is_exclusive: Bools | None  # (n_apps,) None where none is
    n_groups: int

    @property
    def keeps_apart(self) -> bool:
        """Whether any application has a group or is exclusive."""
        return self.group_place is not None or self.is_exclusive is not None

    def cell(self, app: Int64s, where: Int64s) -> Int64s:
        """The cell of each application's group (n,) at a place (n,)."""
        assert self.group_place is not None
        group = self.group_place[app]
        return np.where(group >= 0, where * self.n_groups + group, self.is_free.size - 1)

    def is_blocked(self, app: Int64s, where: Int64s) -> Bools:
        """Whether an exclusive promotion keeps each application (n,) from its place (n,)."""
        is_blocked = self.is_exclusively_taken[where]
        if self.is_exclusive is not None:
            is_blocked |= self.is_exclusive[app] & self.is_taken[where]
        return is_blocked

    def mark(self, app: Int64s, where: Int64s) -> None:
        """Note that applications (n,) have applied at places (n,)."""
        self.mark_exclusive(app, where)
        if self.group_place is not None:
            self.mark_cells(self.cell(app, where))

    def mark_exclusive(self, app: Int64s, where: Int64s) -> None:
        """Note it for exclusive promotions, and against them."""
        if self.is_exclusive is not None:
            self.is_taken[where] = True
            self.is_exclusively_taken[where[self.is_exclusive[app]]] = True

    def mark_cells(self, cell: Int64s) -> None:
        """Note it for the cells of their groups."""
        self.is_free[cell] = False
        self.is_free[-1] = True


def nothing_taken(promotions: Promotions, rule: Int64s, is_exclusively_taken: Bools) -> Taken:
    """Nothing yet, for applications of these rules (n_apps,) at places (n_places,)."""
    n_places = is_exclusively_taken.size
    is_exclusive = promotions.is_exclusive[rule]
    group = promotions.group[rule]
    place = None
    is_present = np.zeros(len(promotions.groups) + 1, np.bool_)  # the last is that of no group
    is_present[group] = True
    n_groups = int(np.count_nonzero(is_present[:-1]))
    if n_groups:
        number = np.cumsum(is_present) - 1
        number[-1] = -1
        place = number[group]
    return Taken(
        np.zeros(n_places, np.bool_),
        is_exclusively_taken,
        np.ones(n_places * n_groups + 1, np.bool_),
        place,
        is_exclusive if is_exclusive.any() else None,
        n_groups,
    )
