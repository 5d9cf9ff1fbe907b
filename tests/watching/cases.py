"""What each alert must say to which series: worked by hand, once where it must fire, and as close below as it must not."""

from collections.abc import Mapping
from typing import Final, NamedTuple

type Series = Mapping[str, str]  # values by series, as promtool writes them: a step each


class Case(NamedTuple):
    """Series, the minute that is looked at, and how many alerts are to be firing then; `where` picks some of them, `step` is the scrapes'."""

    what: str
    series: Series
    minute: int
    firing: int
    where: str = ""
    step: str = "1m"


def _shares(endpoint: str, *, bad: int, good: int, steps: int, more: str = "") -> dict[str, str]:
    """Requests of an endpoint of which a steady share fails."""
    return {
        f'pricing_requests_total{{endpoint="{endpoint}",status="5xx"{more}}}': f"0+{bad}x{steps}",
        f'pricing_requests_total{{endpoint="{endpoint}",status="2xx"{more}}}': f"0+{good}x{steps}",
    }


def _held(held: str, *, of: int, bound: str = "floor", more: str = "") -> dict[str, str]:
    """Quoted lines a minute, and how many of them a bound holds."""
    return {
        f'pricing_held_lines_total{{bound="{bound}"{more}}}': f"0+{held}x120",
        f'pricing_lines_total{{door="quote"{more}}}': f"0+{of}x120",
    }


def _buckets(metric: str, bounds: tuple[str, str], *, above: int, of: int, more: str = "") -> dict[str, str]:
    """A histogram of which so many of so many a minute lie between two bounds, and the others below both."""
    low, high = bounds
    return {
        f'{metric}_bucket{{instance="a",le="{low}"{more}}}': f"0+{of - above}x60",
        f'{metric}_bucket{{instance="a",le="{high}"{more}}}': f"0+{of}x60",
        f'{metric}_bucket{{instance="a",le="+Inf"{more}}}': f"0+{of}x60",
    }


_QUOTES: Final = "POST /v1/quotes"
_CONFIRMS: Final = "POST /v1/holds/{hold_id}/confirm"
_HOLD_UP: Final = 'pricing_database_up{instance="a"}'
# Two installations that one Prometheus scrapes, as labels behind others.
_SMALL: Final = ',namespace="shops",job="small"'
_LARGE: Final = ',namespace="shops",job="large"'
_OF_SMALL: Final = _SMALL[1:]
# A hundred times the traffic, of which nothing is wrong.
_LARGE_SERVES: Final = _shares(_QUOTES, bad=0, good=100_000, steps=90, more=_LARGE)
_SMALL_FAILS: Final = _shares(_QUOTES, bad=20, good=980, steps=90, more=_SMALL)

CASES: Final[dict[str, tuple[Case, ...]]] = {
    # 14.4 times five in ten thousand are 0.72 per cent.
    "ErrorBudgetBurnsFast": (
        Case("one per cent fails", _shares(_QUOTES, bad=10, good=990, steps=90), 80, 1, 'slo="quote"'),
        Case("0.7 per cent fails", _shares(_QUOTES, bad=7, good=993, steps=90), 80, 0),
        Case("0.2 per cent of confirms fail", _shares(_CONFIRMS, bad=2, good=998, steps=90), 80, 1, 'slo="confirm"'),
        Case("0.1 per cent of previews fails", _shares("POST /v1/preview", bad=1, good=999, steps=90), 80, 0),
        Case(
            "it was bad and is over",
            {
                f'pricing_requests_total{{endpoint="{_QUOTES}",status="5xx"}}': "0+10x60 600x20",
                f'pricing_requests_total{{endpoint="{_QUOTES}",status="2xx"}}': "0+990x80",
            },
            70,
            0,
        ),
        Case(
            "one per cent is refused for load",
            {
                f'pricing_requests_total{{endpoint="{_QUOTES}",status="2xx"}}': "0+990x90",
                'pricing_refused_total{reason="load_quote"}': "0+10x90",
            },
            80,
            1,
            'slo="quote"',
        ),
        Case(
            "a caller's own limits are no failure of ours",
            {
                f'pricing_requests_total{{endpoint="{_QUOTES}",status="2xx"}}': "0+500x90",
                f'pricing_requests_total{{endpoint="{_QUOTES}",status="4xx"}}': "0+500x90",
            },
            80,
            0,
        ),
        Case("of two installations the small one fails", _LARGE_SERVES | _SMALL_FAILS, 80, 1, f'slo="quote",{_OF_SMALL}'),
        Case("which is not laid to the large one", _LARGE_SERVES | _SMALL_FAILS, 80, 0, _LARGE[1:]),
    ),
    # Six times that are 0.3 per cent.
    "ErrorBudgetBurns": (
        Case("0.31 per cent fails", _shares(_QUOTES, bad=31, good=9_969, steps=420), 400, 1, 'slo="quote"'),
        Case("0.29 per cent fails", _shares(_QUOTES, bad=29, good=9_971, steps=420), 400, 0),
    ),
    "ErrorBudgetBurnsSlowly": (
        Case("0.051 per cent fails", _shares(_QUOTES, bad=51, good=99_949, steps=442), 4_400, 1, 'slo="quote"', "10m"),
        Case("0.049 per cent fails", _shares(_QUOTES, bad=49, good=99_951, steps=442), 4_400, 0, step="10m"),
    ),
    "ServiceAbsent": (
        Case("nothing is scraped", {'up{instance="a"}': "0x60"}, 50, 1),
        Case("one process is", {_HOLD_UP: "1x60"}, 50, 0),
        Case("the only one is gone", {_HOLD_UP: "1x20 _x40"}, 50, 1),
        Case(
            "one of two installations is gone",
            {f'pricing_database_up{{instance="a"{_SMALL}}}': "1x20 _x40", f'pricing_database_up{{instance="b"{_LARGE}}}': "1x60"},
            50,
            1,
            _OF_SMALL,
        ),
        Case(
            "nothing else is told then",
            {f'pricing_database_up{{instance="a"{_SMALL}}}': "1x20 _x40", f'pricing_database_up{{instance="b"{_LARGE}}}': "1x60"},
            50,
            1,
        ),
        Case(
            "one process of two is gone",
            {f'pricing_database_up{{instance="a"{_SMALL}}}': "1x20 _x40", f'pricing_database_up{{instance="b"{_SMALL}}}': "1x60"},
            50,
            0,
        ),
        Case(
            "one was taken away more than a day ago",
            {
                f'pricing_database_up{{instance="a"{_SMALL}}}': "1x2 _x150",
                f'pricing_database_up{{instance="b"{_LARGE}}}': "1x152",
            },
            1_500,
            0,
            step="10m",
        ),
        Case(
            "and one within it",
            {
                f'pricing_database_up{{instance="a"{_SMALL}}}': "1x12 _x140",
                f'pricing_database_up{{instance="b"{_LARGE}}}': "1x152",
            },
            1_500,
            1,
            step="10m",
        ),
    ),
    "DatabaseAway": (Case("away", {_HOLD_UP: "0x60"}, 50, 1), Case("there", {_HOLD_UP: "1x60"}, 50, 0)),
    "BookNotChecked": (
        Case("5.1 s ago", {'pricing_book_checked_seconds{instance="a"}': "5.1x60"}, 50, 1),
        Case("5 s ago", {'pricing_book_checked_seconds{instance="a"}': "5x60"}, 50, 0),
    ),
    "BookVersionsDiffer": (
        Case(
            "one is behind", {'pricing_book_version{instance="a"}': "7x60", 'pricing_book_version{instance="b"}': "6x60"}, 50, 1
        ),
        Case(
            "one takes a minute longer",
            {'pricing_book_version{instance="a"}': "6x10 7x50", 'pricing_book_version{instance="b"}': "6x11 7x49"},
            50,
            0,
        ),
        Case(
            "two installations have books of their own",
            {
                f'pricing_book_version{{instance="a"{_SMALL}}}': "7x60",
                f'pricing_book_version{{instance="b"{_LARGE}}}': "900x60",
                'pricing_book_version{instance="c",namespace="shops"}': "12x60",
                'pricing_book_version{instance="d"}': "1x60",
            },
            50,
            0,
        ),
        Case(
            "one of them differs within",
            {
                f'pricing_book_version{{instance="a"{_SMALL}}}': "7x60",
                f'pricing_book_version{{instance="b"{_SMALL}}}': "8x60",
                f'pricing_book_version{{instance="c"{_LARGE}}}': "7x60",
                f'pricing_book_version{{instance="d"{_LARGE}}}': "7x60",
            },
            50,
            1,
        ),
    ),
    "BookRejected": (
        Case("refused a quarter of an hour ago", {'pricing_book_refusals_total{instance="a"}': "0x39 1x20"}, 50, 1),
        Case("refused long ago", {'pricing_book_refusals_total{instance="a"}': "0x10 1x50"}, 50, 0),
    ),
    "DecisionsStoredSlowly": (
        Case("two of a hundred take longer", _buckets("pricing_flush_seconds", ("0.25", "0.5"), above=2, of=100), 50, 1),
        Case("nine of a thousand do", _buckets("pricing_flush_seconds", ("0.25", "0.5"), above=9, of=1_000), 50, 0),
        Case(
            "a process has the name of another installation's",
            _buckets("pricing_flush_seconds", ("0.25", "0.5"), above=2, of=100, more=_SMALL)
            | _buckets("pricing_flush_seconds", ("0.25", "0.5"), above=0, of=10_000, more=_LARGE),
            50,
            1,
            _OF_SMALL,
        ),
    ),
    "SpoolWaitsLong": (
        Case("61 s", {'pricing_spool_oldest_seconds{instance="a"}': "61x60", _HOLD_UP: "1x60"}, 50, 1),
        Case("60 s", {'pricing_spool_oldest_seconds{instance="a"}': "60x60", _HOLD_UP: "1x60"}, 50, 0),
        Case(
            "longer, but the database is away", {'pricing_spool_oldest_seconds{instance="a"}': "600x60", _HOLD_UP: "0x60"}, 50, 0
        ),
    ),
    "SpoolSetAside": (
        Case("one decision", {'pricing_spool_set_aside{instance="a"}': "1x60"}, 50, 1),
        Case("none", {'pricing_spool_set_aside{instance="a"}': "0x60"}, 50, 0),
    ),
    "SchedulesEnd": (
        Case("399 days", {'pricing_schedule_days_ahead{instance="a"}': "399x90"}, 80, 1),
        Case("400 days", {'pricing_schedule_days_ahead{instance="a"}': "400x90"}, 80, 0),
        Case("no patterns at all", {'pricing_schedule_days_ahead{instance="a"}': "-1x90"}, 80, 0),
    ),
    "BackgroundTaskFails": (
        Case("each minute", {'pricing_background_failures_total{instance="a",task="pulse"}': "0+1x60"}, 50, 1),
        Case(
            "less than thrice in ten minutes",
            {'pricing_background_failures_total{instance="a",task="pulse"}': "0+0.29x60"},
            50,
            0,
        ),
    ),
    "EventLoopLags": (
        Case("two of a hundred timers", _buckets("pricing_loop_lag_seconds", ("0.1", "0.25"), above=2, of=100), 50, 1),
        Case("nine of a thousand", _buckets("pricing_loop_lag_seconds", ("0.1", "0.25"), above=9, of=1_000), 50, 0),
    ),
    "SigningKeysDiffer": (
        Case("two and one", {'pricing_signing_keys{instance="a"}': "2x60", 'pricing_signing_keys{instance="b"}': "1x60"}, 50, 1),
        Case(
            "a rotation of ten minutes",
            {'pricing_signing_keys{instance="a"}': "1x20 2x40", 'pricing_signing_keys{instance="b"}': "1x30 2x30"},
            40,
            0,
        ),
        Case(
            "another installation has more of its own",
            {f'pricing_signing_keys{{instance="a"{_SMALL}}}': "1x60", f'pricing_signing_keys{{instance="b"{_LARGE}}}': "3x60"},
            50,
            0,
        ),
    ),
    "MeterDrift": (
        Case("one meter", {'pricing_meter_drift{instance="w"}': "1x60"}, 50, 1),
        Case("none", {'pricing_meter_drift{instance="w"}': "0x60"}, 50, 0),
    ),
    "MeterDriftUnchecked": (
        Case("two hours ago", {'pricing_meter_drift_checked_seconds{instance="w"}': "7201x60"}, 50, 1),
        Case("a little less", {'pricing_meter_drift_checked_seconds{instance="w"}': "7200x60"}, 50, 0),
        Case("never", {'pricing_meter_drift_checked_seconds{instance="w"}': "-1x60"}, 50, 1),
        Case("just started", {'pricing_meter_drift_checked_seconds{instance="w"}': "-1x5 30x60"}, 50, 0),
    ),
    # The usual share is a tenth: half as much again and two points are 17 per cent.
    "DiscountRateUnusual": (
        Case(
            "a fifth",
            {"pricing_discount_minor_total": "0+10x300 3020+20x150", "pricing_subtotal_minor_total": "0+100x450"},
            410,
            1,
        ),
        Case(
            "16 per cent",
            {"pricing_discount_minor_total": "0+10x300 3016+16x150", "pricing_subtotal_minor_total": "0+100x450"},
            410,
            0,
        ),
        Case(
            "a fifth beside a large installation that gives less",
            {
                f'pricing_discount_minor_total{{kind="k"{_SMALL}}}': "0+10x300 3020+20x150",
                f'pricing_subtotal_minor_total{{currency="USD"{_SMALL}}}': "0+100x450",
                f'pricing_discount_minor_total{{kind="k"{_LARGE}}}': "0+1000x450",
                f'pricing_subtotal_minor_total{{currency="EUR"{_LARGE}}}': "0+100000x450",
            },
            410,
            1,
            _OF_SMALL,
        ),
    ),
    "LinesAtFloor": (
        Case("21 of a hundred lines", _held("21", of=100), 110, 1),
        Case("19.9 of a hundred", _held("19.9", of=100), 110, 0),
        Case("a margin holds them", _held("21", of=100, bound="min_margin"), 110, 1),
        Case("makers' advertised prices hold them", _held("90", of=100, bound="map"), 110, 0),
        Case("all of 17 a minute", _held("17", of=17), 110, 1),
        Case("all of 16 a minute, too few to tell", _held("16", of=16), 110, 0),
        Case(
            "of two installations the small one",
            _held("30", of=100, more=_SMALL) | _held("100", of=10_000, more=_LARGE),
            110,
            1,
            _OF_SMALL,
        ),
        Case(
            "the traffic of another installation is none of its own",
            _held("10", of=10, more=_SMALL) | _held("100", of=10_000, more=_LARGE),
            110,
            0,
        ),
    ),
    "BudgetNearlyUsed": (
        Case("91 per cent", {'pricing_budget_used_share{instance="a"}': "0.91x60"}, 50, 1),
        Case("90 per cent", {'pricing_budget_used_share{instance="a"}': "0.9x60"}, 50, 0),
        Case(
            "it says whose",
            {
                f'pricing_budget_used_share{{instance="a"{_SMALL}}}': "0.91x60",
                f'pricing_budget_used_share{{instance="b"{_LARGE}}}': "0.5x60",
            },
            50,
            1,
            _OF_SMALL,
        ),
    ),
}
