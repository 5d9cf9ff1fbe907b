"""Lines that are too many to be written each."""

from app.web.logs import Seldom


def test_one_in_a_time_is_told_with_how_many_were_not() -> None:
    clock = iter((5.0, 5.1, 5.9, 6.0, 6.5, 90.0))
    seldom = Seldom(1.0, clock=lambda: next(clock))

    told = [seldom.untold() for _ in range(6)]

    assert told == [0, None, None, 2, None, 1]
