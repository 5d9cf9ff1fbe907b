"""How many lines are computed at once, so that the event loop is never held up for long."""

from typing import Final

HOLD_S_MAX: Final = 0.005
# A vectorised call costs a millisecond or two whatever its size, so smaller ones would cost throughput and free the loop no sooner.
_LINES_MIN: Final = 512
_LINES_FIRST: Final = 1024


class Pace:
    """Finds by trying how many lines fit into 5 ms: fewer after a call that took longer, more after one with time to spare.

    What is computed at once changes nothing in the results, only in how long others wait.
    """

    def __init__(self, *, lines_max: int) -> None:
        self._lines_max = lines_max
        self.lines = min(_LINES_FIRST, lines_max)

    def note(self, line_count: int, seconds: float) -> None:
        """Learn from one call. Calls far below the pace say nothing about it unless they were too slow themselves."""
        if seconds > HOLD_S_MAX:
            self.lines = max(min(_LINES_MIN, self._lines_max), min(self.lines, line_count) * 3 // 4)
        elif seconds < HOLD_S_MAX / 2 and 2 * line_count >= self.lines:
            self.lines = min(self._lines_max, self.lines * 5 // 4)
