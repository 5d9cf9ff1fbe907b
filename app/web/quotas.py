"""What a key may ask for: so many requests a second, with a burst, and so many at the same time. Kept by each process for itself.

The rate is a token bucket. A request takes a token, a batch one for each of its baskets; a batch that is larger than the burst is let in by a full
bucket and leaves a debt, so that no batch is refused for ever and none is cheaper than its baskets one by one.
"""

import contextlib
import math
import time
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import structlog

from app.errors import TooManyRequests
from app.metrics import Metrics

_LOGGED_EVERY_S: Final = 10.0
_log = structlog.get_logger(__name__)


class Limits(NamedTuple):
    """Of one key; None is no limit. Without a burst it is what a second allows."""

    requests_per_second: int | None = None
    burst: int | None = None
    concurrent: int | None = None

    def or_else(self, default: "Limits") -> "Limits":
        """These, and what they leave open from `default`. A burst belongs to its rate."""
        concurrent = default.concurrent if self.concurrent is None else self.concurrent
        if self.requests_per_second is None:
            return Limits(default.requests_per_second, default.burst, concurrent)
        return Limits(self.requests_per_second, self.burst, concurrent)


class Quota:
    """What is left to one key in this process."""

    __slots__ = ("_at_s", "_burst", "_concurrent", "_inside", "_key_id", "_logged_s", "_metrics", "_rate", "_tokens")

    def __init__(self, key_id: str, limits: Limits, metrics: Metrics, *, now_s: float) -> None:
        self._key_id = key_id
        self._metrics = metrics
        self._inside = 0
        self._logged_s = -math.inf
        self._at_s = now_s
        self._tokens = math.inf
        self.set(limits)

    def set(self, limits: Limits) -> None:
        """Put other limits in force; a bucket keeps what it holds, up to its new size."""
        self._rate = limits.requests_per_second
        self._burst = limits.burst or limits.requests_per_second or 1
        self._concurrent = limits.concurrent
        self._tokens = min(self._tokens, float(self._burst)) if self._rate is not None else math.inf

    def refusal(self, now_s: float) -> TooManyRequests | None:
        """None when one more request is let in; it is not counted yet."""
        if self._concurrent is not None and self._inside >= self._concurrent:
            self._note("key_concurrency")
            return TooManyRequests("This key has as many requests under way as it may have.")
        if self._rate is not None and self._fill(now_s) < 1:
            return self._refuse(1)
        return None

    def enter(self) -> None:
        """Count a request in that was let in."""
        self._inside += 1
        self._tokens -= 1

    def leave(self) -> None:
        """Count a request out."""
        self._inside -= 1

    def charge(self, more: int, now_s: float) -> None:
        """Take what a request costs beyond one. Raises TooManyRequests, and then the request has cost nothing."""
        if self._rate is None:
            return
        least = min(more, self._burst - 1)
        if self._fill(now_s) < least:
            self._tokens += 1
            raise self._refuse(least + 1)
        self._tokens -= more

    def _fill(self, now_s: float) -> float:
        assert self._rate is not None
        self._tokens = min(self._burst, self._tokens + (now_s - self._at_s) * self._rate)
        self._at_s = now_s
        return self._tokens

    def _refuse(self, least: int) -> TooManyRequests:
        assert self._rate is not None
        self._note("key_rate")
        seconds = math.ceil((least - self._tokens) / self._rate)
        return TooManyRequests("This key has sent more than it may in this time.", retry_after_seconds=max(1, seconds))

    def _note(self, reason: str) -> None:
        self._metrics.refused.at(reason).n += 1
        now_s = time.monotonic()
        if now_s - self._logged_s >= _LOGGED_EVERY_S:
            self._logged_s = now_s
            _log.warning("a key is refused by its limits", key=self._key_id, reason=reason)


class Quotas:
    """The quotas of all keys of a process; `default` is for what a key leaves open."""

    def __init__(self, default: Limits, metrics: Metrics) -> None:
        self._default = default
        self._metrics = metrics
        self._by_key: dict[str, Quota] = {}

    def of(self, key_id: str, limits: Limits) -> Quota | None:
        """The quota of a key with these limits now, None where nothing is limited."""
        limits = limits.or_else(self._default)
        quota = self._by_key.get(key_id)
        if quota is not None:
            quota.set(limits)
        elif limits != Limits():
            quota = self._by_key[key_id] = Quota(key_id, limits, self._metrics, now_s=time.monotonic())
        return quota

    def keep(self, key_ids: Iterable[str]) -> None:
        """Forget the others."""
        kept = set(key_ids)
        self._by_key = {key_id: quota for key_id, quota in self._by_key.items() if key_id in kept}


@contextlib.contextmanager
def counted(quota: Quota | None) -> Iterator[None]:
    """While a request of a key is worked on. Raises TooManyRequests."""
    if quota is None:
        yield
        return
    refusal = quota.refusal(time.monotonic())
    if refusal is not None:
        raise refusal
    quota.enter()
    try:
        yield
    finally:
        quota.leave()
