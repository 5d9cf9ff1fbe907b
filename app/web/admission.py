"""Who is let in when more comes than can be served: what matters most is refused last, and before any work was spent on it.

The measure is how long a request that comes now would wait: what is inside its lane at the lane's pace, and how late the event loop is. Each
class of requests is let in while that is below its share of one target, so that the classes in front always find room.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from app.errors import Unavailable
from app.metrics import Metrics

LAG_EVERY_S: Final = 0.05
# A loop that is late once computes something long; one that is late four times in a row has more to do than it can.
_LAGS: Final = 4
# Of its share of the target, for who comes back before he was told to: he has waited already, and what is left of his patience is little.
_EARLY_SHARE: Final = 0.5
# What an operator does to end an overload must get through it.
_CONTROL_ALWAYS: Final = 2
# Nobody raises it: it is only read.
_TOO_MUCH: Final = Unavailable("There is more to do than can be done now.")


@dataclass(frozen=True, slots=True)
class Rank:
    """A class of requests: `lane` names whose wait counts, `share` is of the target and None for those that are never refused."""

    name: str
    lane: str
    share: float | None


PROBE: Final = Rank("probe", "", None)
CONFIRM: Final = Rank("confirm", "", None)
HOLD: Final = Rank("hold", "holds", 1.5)
QUOTE: Final = Rank("quote", "quotes", 1.0)
PREVIEW: Final = Rank("preview", "previews", 1.0)
BATCH: Final = Rank("batch", "quotes", 0.75)
CONTROL: Final = Rank("control", "", 0.5)
RANKS: Final = (PROBE, CONFIRM, HOLD, QUOTE, PREVIEW, BATCH, CONTROL)

_OF_POSTS: Final = {
    b"/v1/quotes": QUOTE,
    b"/v1/quotes/batch": BATCH,
    b"/v1/preview": PREVIEW,
    b"/v1/prices": PREVIEW,
    b"/v1/holds": HOLD,
}
_PROBES: Final = frozenset((b"/livez", b"/readyz", b"/metrics"))
_HOLDS: Final = b"/v1/holds/"


def rank_of(method: bytes, target: bytes) -> Rank:
    """The class of a request by its method and what it asks for.

    >>> rank_of(b"POST", b"/v1/holds/0197/confirm").name, rank_of(b"POST", b"/v1/preview?explain=full").name
    ('confirm', 'preview')
    """
    if method == b"POST":
        rank = _OF_POSTS.get(target)
        if rank is not None:
            return rank
        if target.startswith(_HOLDS):
            return CONFIRM
    path = target.partition(b"?")[0]
    if method == b"POST":
        return _OF_POSTS.get(path, CONTROL)
    return PROBE if path in _PROBES else CONTROL


class Admission:
    """Says whether a request of a class is let in now. One object a process; `watch_loop` runs beside it."""

    def __init__(self, *, target_s: float, metrics: Metrics) -> None:
        self._target_s = target_s
        self._waits: dict[str, Callable[[], float]] = {}
        self._lags_s: deque[float] = deque([0.0] * _LAGS, maxlen=_LAGS)
        self._lag_s = 0.0
        self._control_inside = 0
        self._refused = {rank: metrics.refused.at(f"load_{rank.name}") for rank in RANKS if rank.share is not None}

    def add_lane(self, name: str, wait_s: Callable[[], float]) -> None:
        """Count the wait that a lane expects for the classes that go through it."""
        self._waits[name] = wait_s

    def waits_s(self) -> Mapping[str, float]:
        """What is expected in each lane, and in the loop."""
        return {"loop": self._lag_s} | {name: read() for name, read in self._waits.items()}

    def refusal(self, rank: Rank, *, is_early: bool = False) -> Unavailable | None:
        """None when a request of this class is let in, else what it is told, the same object each time. `is_early`: it came before its turn."""
        if rank.share is None:
            return None
        read = self._waits.get(rank.lane)
        wait_s = self._lag_s if read is None else self._lag_s + read()
        most_s = self._target_s * rank.share
        if wait_s < (most_s * _EARLY_SHARE if is_early else most_s) or (
            rank is CONTROL and self._control_inside < _CONTROL_ALWAYS
        ):
            return None
        self._refused[rank].n += 1
        return _TOO_MUCH

    @contextlib.contextmanager
    def control(self) -> Iterator[None]:
        """While a request of the control plane is answered. The first few are let in whatever the load is."""
        self._control_inside += 1
        try:
            yield
        finally:
            self._control_inside -= 1

    async def watch_loop(self) -> None:
        """Runs until cancelled: measures how late the loop is. What counts is the least of the last few times."""
        loop = asyncio.get_running_loop()
        while True:
            asked_s = loop.time()
            await asyncio.sleep(LAG_EVERY_S)
            self._lags_s.append(max(0.0, loop.time() - asked_s - LAG_EVERY_S))
            self._lag_s = min(self._lags_s)
