"""A key gets what its limits say, to the request, and is told when to come back."""

import pytest

from app.errors import TooManyRequests
from app.metrics import Metrics
from app.web.quotas import Limits, Quota, Quotas, counted


def quota(**limits: int) -> Quota:
    return Quota("k", Limits(**limits), Metrics(), now_s=0.0)


def take(quota: Quota, now_s: float) -> bool:
    """Whether one request is let in; it is over at once."""
    if quota.refusal(now_s) is not None:
        return False
    quota.enter()
    quota.leave()
    return True


def test_a_burst_and_then_the_rate() -> None:
    limited = quota(requests_per_second=8, burst=3)

    taken = [take(limited, eighths / 8) for eighths in (0, 0, 0, 0, 0.5, 1, 1, 2.5, 3, 3)]

    # Three at once; then one each eighth of a second: at 1, at 2.5 (of one and a half), at 3.
    assert taken == [True, True, True, False, False, True, False, True, True, False]


def test_without_a_burst_it_is_what_a_second_allows() -> None:
    limited = quota(requests_per_second=5)

    assert [take(limited, 0) for _ in range(7)] == [True] * 5 + [False] * 2
    assert sum(take(limited, 60) for _ in range(7)) == 5


def test_in_the_long_run_nobody_gets_more_than_the_rate() -> None:
    limited = quota(requests_per_second=8, burst=2)

    taken = sum(take(limited, number / 1024) for number in range(10 * 1024 + 1))

    assert taken == 2 + 80


def test_who_is_refused_is_told_when_there_is_room() -> None:
    limited = quota(requests_per_second=1, burst=10)
    limited.enter()
    limited.charge(13, 0.0)  # a batch of 14 on a full bucket leaves a debt of 4

    refusal = limited.refusal(0.0)

    assert isinstance(refusal, TooManyRequests)
    assert refusal.headers == {"Retry-After": "5"}
    assert not take(limited, 4.9)
    assert take(limited, 5.0)


def test_a_batch_that_is_refused_costs_nothing() -> None:
    limited = quota(requests_per_second=1, burst=10)
    assert take(limited, 0)
    limited.enter()
    with pytest.raises(TooManyRequests) as refused:
        limited.charge(13, 0.0)
    limited.leave()

    assert refused.value.headers == {"Retry-After": "1"}
    assert sum(take(limited, 0) for _ in range(20)) == 9


def test_a_small_batch_costs_its_baskets() -> None:
    limited = quota(requests_per_second=1, burst=10)
    limited.enter()
    limited.charge(5, 0.0)

    assert sum(take(limited, 0) for _ in range(20)) == 4


def test_so_many_at_the_same_time_and_no_more() -> None:
    limited = quota(concurrent=2)
    with counted(limited), counted(limited):
        with pytest.raises(TooManyRequests) as refused, counted(limited):
            pass
        assert refused.value.headers == {"Retry-After": "1"}
    with counted(limited):
        pass


def test_a_request_that_fails_is_counted_out() -> None:
    limited = quota(concurrent=1)
    for _ in range(3):
        with pytest.raises(ValueError, match="x"), counted(limited):
            raise ValueError("x")


def test_a_key_without_limits_has_the_default_ones_and_its_own_burst_never() -> None:
    default = Limits(100, 200, 3)

    assert Limits().or_else(default) == default
    assert Limits(50).or_else(default) == Limits(50, None, 3)
    assert Limits(None, None, 9).or_else(default) == Limits(100, 200, 9)
    assert Quotas(Limits(), Metrics()).of("k", Limits()) is None


def test_new_limits_hold_at_once_and_keep_what_is_under_way() -> None:
    quotas = Quotas(Limits(), Metrics())
    limited = quotas.of("k", Limits(concurrent=1))
    assert limited is not None
    limited.enter()

    assert quotas.of("k", Limits(concurrent=2)) is limited
    assert limited.refusal(0.0) is None
    quotas.of("k", Limits(concurrent=1))
    assert limited.refusal(0.0) is not None
    quotas.of("k", Limits())  # none any more
    assert limited.refusal(0.0) is None


def test_refusals_are_counted_by_reason_and_never_by_key() -> None:
    metrics = Metrics()
    limited = Quota("abcdefghijkl", Limits(1, 1, 1), metrics, now_s=0.0)
    limited.enter()
    limited.refusal(0.0)
    limited.leave()
    limited.refusal(0.0)

    assert (metrics.refused.at("key_concurrency").n, metrics.refused.at("key_rate").n) == (1, 1)
    assert b"abcdefghijkl" not in metrics.render()
