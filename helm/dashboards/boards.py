"""What each dashboard shows: its panels, in the order in which they are read.

`$at` in an expression stands for the selector of what is chosen above the panels, `$and` for the same behind other labels.
"""

from typing import Final, Literal, NamedTuple

type Unit = Literal["reqps", "s", "percentunit", "short", "bytes", "bool", "cps"]


class Query(NamedTuple):
    """An expression, and how its lines are named."""

    expr: str
    legend: str = ""


class Panel(NamedTuple):
    """One picture; `says` is what to read in it."""

    title: str
    says: str
    unit: Unit
    queries: tuple[Query, ...]


class Board(NamedTuple):
    """One dashboard; `name` is its file's and its uid's."""

    name: str
    title: str
    says: str
    panels: tuple[Panel, ...]


def _rate(metric: str, *, by: str, where: str = "") -> str:
    at = f"{{{where},$and}}" if where else "$at"
    return f"sum by ({by}) (rate({metric}{at}[$__rate_interval]))"


def _quantiles(metric: str, *, by: str = "", where: str = "") -> tuple[Query, ...]:
    """The median and the 99th of a hundred, of all processes together."""
    at = f"{{{where},$and}}" if where else "$at"
    labels = f"le, {by}" if by else "le"
    name = f" {{{{{by}}}}}" if by else ""
    return tuple(
        Query(f"histogram_quantile({share}, sum by ({labels}) (rate({metric}_bucket{at}[$__rate_interval])))", text + name)
        for share, text in ((0.5, "median"), (0.99, "p99"))
    )


_QUOTING: Final = 'endpoint=~"POST /v1/(quotes|quotes/batch|preview|prices|holds)"'

TRAFFIC: Final = Board(
    "centwise-traffic",
    "Centwise: traffic",
    "What is asked, what is answered, and what is sent away.",
    (
        Panel(
            "Requests",
            "By route. Routes of the control plane are few and slow; those of the storefront many and fast.",
            "reqps",
            (Query(_rate("pricing_requests_total", by="endpoint"), "{{endpoint}}"),),
        ),
        Panel(
            "Answers by class",
            "5xx are ours, 4xx the callers', 429 their own limits.",
            "reqps",
            (Query(_rate("pricing_requests_total", by="status"), "{{status}}"),),
        ),
        Panel(
            "Failed share",
            "Of quotes, previews, listings and holds, refusals for load aside. The objectives are in docs/slo.md.",
            "percentunit",
            (
                Query(
                    f'sum(rate(pricing_requests_total{{{_QUOTING},status="5xx",$and}}[$__rate_interval]))'
                    f" / sum(rate(pricing_requests_total{{{_QUOTING},$and}}[$__rate_interval]))",
                    "failed",
                ),
            ),
        ),
        Panel(
            "Problems",
            "Problems that were answered, by type.",
            "reqps",
            (Query(_rate("pricing_request_errors_total", by="problem"), "{{problem}}"),),
        ),
        Panel(
            "Sent away",
            "Before anything was done for them, by reason: load by class of request, connections, limits of a key.",
            "reqps",
            (Query(_rate("pricing_refused_total", by="reason"), "{{reason}}"),),
        ),
        Panel(
            "Connections",
            "Of clients, by process.",
            "short",
            (Query("pricing_connections$at", "{{instance}}"),),
        ),
    ),
)

LATENCY: Final = Board(
    "centwise-latency",
    "Centwise: latency",
    "How long answers take, and where the time goes.",
    (
        Panel(
            "Time to answer", "By route, of all processes together.", "s", _quantiles("pricing_request_seconds", by="endpoint")
        ),
        Panel(
            "Expected wait",
            "How long a request that comes now would wait, by where; requests are refused by it.",
            "s",
            (Query("max by (in) (pricing_expected_wait_seconds$at)", "{{in}}"),),
        ),
        Panel(
            "Event loop",
            "How late timers wake. A process whose loop is late has less processor than it needs.",
            "s",
            _quantiles("pricing_loop_lag_seconds"),
        ),
        Panel("Pricing", "One vectorised call for a batch of baskets.", "s", _quantiles("pricing_kernel_seconds")),
    ),
)

LANES: Final = Board(
    "centwise-lanes",
    "Centwise: lanes",
    "Quotes and holds are gathered, decided together, stored by one commit, and then answered.",
    (
        Panel("Baskets together", "How many were priced and stored at once.", "short", _quantiles("pricing_lane_batch_rows")),
        Panel("Wait for the lane", "Before a basket is taken.", "s", _quantiles("pricing_lane_wait_seconds")),
        Panel("Commit of quotes", "To store one batch. The disk of Postgres is in it.", "s", _quantiles("pricing_flush_seconds")),
        Panel(
            "Inside",
            "Baskets and holds that wait or are under way.",
            "short",
            (
                Query("sum(pricing_lane_rows$at)", "quotes"),
                Query("sum by (lane) (pricing_redemption_lane_rows$at)", "{{lane}}"),
            ),
        ),
        Panel(
            "Commit of holds",
            "To decide and store one batch of holds, or of confirms, releases and returns.",
            "s",
            _quantiles("pricing_redemption_flush_seconds", by="lane"),
        ),
        Panel(
            "Flushes that failed",
            "They were driven again, or given up and answered 503.",
            "cps",
            (Query("sum(rate(pricing_flush_failures_total$at[$__rate_interval]))", "quotes"),),
        ),
        Panel(
            "Local log",
            "Decisions on a process's own disk that Postgres does not have yet.",
            "short",
            (
                Query("sum(pricing_spool_waiting$at)", "waiting"),
                Query("sum(pricing_spool_set_aside$at)", "refused by Postgres"),
            ),
        ),
    ),
)

BOOK: Final = Board(
    "centwise-book",
    "Centwise: price book",
    "Which version is in force where, and what it took to get there.",
    (
        Panel(
            "Version",
            "In force, by process: one line, a step at each publication.",
            "short",
            (Query("pricing_book_version$at", "{{instance}}"),),
        ),
        Panel(
            "Last asked",
            "Since the database told the latest version. Above five seconds somebody is woken.",
            "s",
            (Query("pricing_book_checked_seconds$at", "{{instance}}"),),
        ),
        Panel("Compile", "To load and compile a version.", "s", _quantiles("pricing_book_compile_seconds")),
        Panel(
            "Versions that were not taken",
            "They did not compile here; the last good one stays in force.",
            "short",
            (Query("sum(increase(pricing_book_refusals_total$at[1h]))", "in an hour"),),
        ),
        Panel(
            "Remembered",
            "Lines, baskets and replies of the book in force.",
            "short",
            (Query("sum by (of) (pricing_memo_entries$at)", "{{of}}"),),
        ),
        Panel(
            "Schedules reach ahead",
            "Days; -1 without patterns. They are renewed long before they end.",
            "short",
            (Query("min(pricing_schedule_days_ahead$at)", "days"),),
        ),
    ),
)

POSTGRES: Final = Board(
    "centwise-postgres",
    "Centwise: Postgres",
    "The database as the service sees it. Its own exporter tells the rest.",
    (
        Panel("Answers", "1 where the last question was answered.", "bool", (Query("pricing_database_up$at", "{{instance}}"),)),
        Panel(
            "Pool",
            "Connections of the control plane, by state; each lane has one of its own.",
            "short",
            (Query("sum by (state) (pricing_pool_connections$at)", "{{state}}"),),
        ),
        Panel(
            "Lane connected",
            "1 where the lane of quotes has its connection.",
            "bool",
            (Query("pricing_lane_connected$at", "{{instance}}"),),
        ),
        Panel(
            "Background tasks that failed",
            "They begin again by themselves; one that keeps failing is an alert.",
            "short",
            (Query("sum by (task) (increase(pricing_background_failures_total$at[10m]))", "{{task}}"),),
        ),
        Panel(
            "Counters",
            "Since what is left of limits was last read; quotes tell what is left by it, holds do not.",
            "s",
            (Query("max(pricing_counters_age_seconds$at)", "age"),),
        ),
        Panel(
            "Meters adrift",
            "By the worker, whatever job is chosen: not what their holds add up to. Anything but 0 is an alert.",
            "short",
            (Query('max(pricing_meter_drift{namespace=~"$namespace"})', "meters"),),
        ),
    ),
)

BUSINESS: Final = Board(
    "centwise-business",
    "Centwise: business",
    "What was quoted, taken off and redeemed, and what it brings. Amounts are minor units.",
    (
        Panel(
            "Quotes",
            "By channel and outcome.",
            "reqps",
            (Query(_rate("pricing_quotes_total", by="channel, outcome"), "{{channel}} {{outcome}}"),),
        ),
        Panel(
            "Discount",
            "Minor units a second of all currencies together, by kind of promotion.",
            "short",
            (Query(_rate("pricing_discount_minor_total", by="kind"), "{{kind}}"),),
        ),
        Panel(
            "Discount rate",
            "Of the amounts before discounts. What is far above its usual is an alert.",
            "percentunit",
            (
                Query(
                    "sum(rate(pricing_discount_minor_total$at[$__rate_interval])) / sum(rate(pricing_subtotal_minor_total$at[$__rate_interval]))",
                    "discounts",
                ),
            ),
        ),
        Panel(
            "Quoted amounts",
            "Minor units a second after discounts, by channel and currency.",
            "short",
            (Query(_rate("pricing_merchandise_minor_total", by="channel, currency"), "{{channel}} {{currency}}"),),
        ),
        Panel(
            "Discount rate by channel",
            "What discounts on merchandise take of the amounts before them.",
            "percentunit",
            (
                Query(
                    f"1 - {_rate('pricing_merchandise_minor_total', by='channel, currency')}"
                    f" / {_rate('pricing_subtotal_minor_total', by='channel, currency')}",
                    "{{channel}} {{currency}}",
                ),
            ),
        ),
        Panel(
            "Margin",
            "Of the quoted amounts whose cost is known. With prices that include tax the tax is in it: compare such a margin with itself only.",
            "percentunit",
            (
                Query(
                    f"1 - {_rate('pricing_cost_minor_total', by='channel, currency, tax')}"
                    f" / {_rate('pricing_costed_minor_total', by='channel, currency, tax')}",
                    "{{channel}} {{currency}}, tax {{tax}}",
                ),
            ),
        ),
        Panel(
            "Amounts with a cost",
            "The share of the quoted amounts that the margin is of.",
            "percentunit",
            (
                Query(
                    f"{_rate('pricing_costed_minor_total', by='currency')} / {_rate('pricing_merchandise_minor_total', by='currency')}",
                    "{{currency}}",
                ),
            ),
        ),
        Panel(
            "Lines that guardrails hold",
            "The share of the quoted lines that would be cheaper, or dearer at a ceiling, by bound. Many at floors are an alert.",
            "percentunit",
            (
                Query(
                    f"{_rate('pricing_held_lines_total', by='bound')}"
                    f' / on () group_left () sum(rate(pricing_lines_total{{door=~"quote|batch",$and}}[$__rate_interval]))',
                    "{{bound}}",
                ),
            ),
        ),
        Panel(
            "Budget nearest to its end",
            "The share used of the promotion or campaign that has least left.",
            "percentunit",
            (Query("max(pricing_budget_used_share$at)", "used"),),
        ),
        Panel(
            "Holds",
            "Holds, confirms, releases and returns, by what came of them.",
            "reqps",
            (Query(_rate("pricing_redemptions_total", by="lane, outcome"), "{{lane}} {{outcome}}"),),
        ),
        Panel(
            "Holds that ran out",
            "Given back because nobody confirmed them: baskets left behind at checkout.",
            "reqps",
            (Query("sum(rate(pricing_holds_expired_total$at[$__rate_interval]))", "expired"),),
        ),
        Panel("Lines", "Priced, by door.", "cps", (Query(_rate("pricing_lines_total", by="door"), "{{door}}"),)),
        Panel(
            "Choices cut short",
            "Quotes for which not every combination of promotions was tried; they say so.",
            "reqps",
            (Query("sum(rate(pricing_selection_bounded_total$at[$__rate_interval]))", "bounded"),),
        ),
    ),
)

BOARDS: Final = (TRAFFIC, LATENCY, LANES, BOOK, POSTGRES, BUSINESS)
