from app.quotes.pace import Pace


def test_slow_calls_make_it_smaller_and_quick_ones_larger() -> None:
    pace = Pace(lines_max=2048)

    for _ in range(100):
        # 1 ms for the call and 5 us a line: 800 lines take 5 ms.
        pace.note(pace.lines, 0.001 + pace.lines * 5e-6)
    assert 600 <= pace.lines <= 800
    for _ in range(100):
        pace.note(pace.lines, 0.0001)
    assert pace.lines == 2048


def test_it_never_stops_and_small_calls_do_not_speed_it_up() -> None:
    pace = Pace(lines_max=2048)

    for _ in range(100):
        pace.note(pace.lines, 1.0)
    assert pace.lines == 512
    for _ in range(100):
        pace.note(5, 0.0001)
    assert pace.lines == 512


def test_a_lower_bound_than_its_own_is_kept() -> None:
    pace = Pace(lines_max=8)

    pace.note(8, 1.0)
    assert pace.lines == 8
