"""What a process lets in of connections and requests, and how it sends away the rest: cheaply, and not faster than it can afford.

Refusing is work too. At ten times the capacity it would be all the work there is, so refusals have a pace of their own, one for each ten requests
that are let in: a connection that was refused something is not heard again before its turn, which is never later than the `Retry-After` it was told.
Confirms and probes on it are.
"""

import math
from functools import cache
from typing import Final

from app.errors import TooManyRequests, Unavailable
from app.metrics import Metrics
from app.web.admission import Admission, rank_of
from app.web.problems import MEDIA_TYPE, problem_bytes

# So many at most, and at least, and between them a share of what is let in.
REFUSALS_PER_SECOND: Final = 500.0
_REFUSALS_PER_SECOND_MIN: Final = 50.0
_REFUSALS_A_REQUEST: Final = 0.1
_PACE_EVERY_S: Final = 1.0
PAUSE_S_MAX: Final = 5.0
# What is heard all the while: the first bytes of a request, because nothing else has been read of it.
_ALWAYS_HEARD: Final = (b"POST /v1/holds/", b"GET /livez", b"GET /readyz", b"GET /metrics")


class Gate:
    """The doors of one process: counts connections, asks the admission, paces refusals, and knows when the process is leaving."""

    def __init__(
        self, admission: Admission, *, connections_max: int, connections_per_address_max: int | None, metrics: Metrics
    ) -> None:
        self.is_leaving = False  # whoever is answered from now on is told to go
        self._admission = admission
        self._connections_max = connections_max
        self._per_address_max = connections_per_address_max
        self._connection_count = 0
        self._by_address: dict[str, int] = {}
        self._refused_connections = metrics.refused.at("connections")
        self._refused_addresses = metrics.refused.at("address")
        self._next_refusal_s = 0.0
        self._refusals_per_second = REFUSALS_PER_SECOND
        self._let_in = 0  # since then
        self._let_in_since_s = 0.0

    @property
    def connection_count(self) -> int:
        """Connections inside."""
        return self._connection_count

    def enter(self, address: str) -> Unavailable | None:
        """Count a connection in; or say why it has to go, and then it was not counted."""
        if self._connection_count >= self._connections_max:
            self._refused_connections.n += 1
            return Unavailable("Too many connections.")
        if self._per_address_max is not None:
            here = self._by_address.get(address, 0)
            if here >= self._per_address_max:
                self._refused_addresses.n += 1
                return Unavailable("Too many connections from this address.")
            self._by_address[address] = here + 1
        self._connection_count += 1
        return None

    def leave(self, address: str) -> None:
        """Count a connection out."""
        self._connection_count -= 1
        if self._per_address_max is not None:
            here = self._by_address[address] - 1
            if here:
                self._by_address[address] = here
            else:
                del self._by_address[address]

    def refusal(self, method: bytes, target: bytes, *, is_early: bool = False) -> Unavailable | None:
        """None when the request is let in, by its first line alone; else what it is told. `is_early`: it came before its connection's turn."""
        problem = self._admission.refusal(rank_of(method, target), is_early=is_early)
        if problem is None:
            self._let_in += 1
        return problem

    def pause_until_s(self, now_s: float) -> float:
        """Until when a connection that is refused something now is not heard again."""
        past_s = now_s - self._let_in_since_s
        if past_s >= _PACE_EVERY_S:
            # Long after the last refusal the mean says little of now, and there is no hurry to refuse fewer.
            paced = self._let_in / past_s * _REFUSALS_A_REQUEST
            is_recent = past_s < 2 * _PACE_EVERY_S
            self._refusals_per_second = (
                max(_REFUSALS_PER_SECOND_MIN, min(paced, REFUSALS_PER_SECOND)) if is_recent else REFUSALS_PER_SECOND
            )
            self._let_in, self._let_in_since_s = 0, now_s
        self._next_refusal_s = min(max(self._next_refusal_s, now_s) + 1 / self._refusals_per_second, now_s + PAUSE_S_MAX)
        return self._next_refusal_s


def is_always_heard(data: bytes) -> bool:
    """Whether what has come on a paused connection is of the kind that does not wait."""
    return data.startswith(_ALWAYS_HEARD)


def refusal_lines(problem: Unavailable | TooManyRequests, *, pause_s: float = 0.0) -> tuple[bytes, bytes]:
    """Headers, as lines, and body of a refusal; whoever is not heard for a while is not told to come back before."""
    seconds = max(int(problem.headers.get("Retry-After", "1")), math.ceil(pause_s))
    return _refusal_lines(problem.status, problem.detail, seconds)


@cache
def _refusal_lines(status: int, detail: str, retry_after_seconds: int) -> tuple[bytes, bytes]:
    # A handful of details, and seconds that are bounded: what is kept is little.
    problem = (TooManyRequests if status == TooManyRequests.status else Unavailable)(
        detail, retry_after_seconds=retry_after_seconds
    )
    body = problem_bytes(problem)
    head = f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\nretry-after: {retry_after_seconds}\r\n"
    return head.encode(), body
