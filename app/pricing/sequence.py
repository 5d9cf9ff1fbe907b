"""Which applications may take their turn together.

Promotions run one after the other, but two that share no line cannot feel each other. An application's turn is one after the last turn of the
earlier applications that share a line with it; all applications of one turn are priced in one vectorised step.
"""

import numpy as np

from app.pricing.money import Int64s


def line_turns(app: Int64s, line: Int64s, n_apps: int) -> Int64s:
    """The turn (n_apps,) of each application, counted from 0.

    Args: app, line (n_pairs,): which application touches which line, sorted by app; the number of an application is its place in the
    sequence of its basket. Every application has at least one pair.
    """
    by_line = np.lexsort((app, line))
    sorted_app, sorted_line = app[by_line], line[by_line]
    previous = np.full(app.size, -1, np.int64)
    same = np.flatnonzero(sorted_line[1:] == sorted_line[:-1])
    # Back in the order of the applications, so that one reduction finds the latest neighbour of each.
    previous[by_line[same + 1]] = sorted_app[same]
    starts = np.flatnonzero(np.concatenate([[True], app[1:] != app[:-1]]))
    turn = np.zeros(n_apps, np.int64)
    while True:
        after = np.where(previous >= 0, turn[np.maximum(previous, 0)] + 1, 0)
        later = np.maximum.reduceat(after, starts)
        if np.array_equal(later, turn):
            return turn
        turn = later


def order_turns(basket: Int64s) -> Int64s:
    """The turn of each order-level application (n_apps,): its place in its basket. `basket` is sorted."""
    starts = np.flatnonzero(np.concatenate([[True], basket[1:] != basket[:-1]]))
    return np.arange(basket.size) - np.repeat(starts, np.diff(np.append(starts, basket.size)))
