"""Sends the baskets in batches, keeps what comes back, and compares it with the data and with the decisions in Postgres."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec
import numpy as np

from app.client import ApiClient, ApiProblem
from app.completejourney.baskets import BasketRequest, basket_requests
from app.completejourney.coupons import find_uses
from app.completejourney.documents import reconstruct_shop
from app.completejourney.estimate import estimate_lines
from app.completejourney.tables import Int64s, Tables
from app.db.embedded import EmbeddedPostgres
from loadtests.completejourney.report import shares

_BASKETS_AT_ONCE: Final = 500
_LINES_AT_ONCE: Final = 9_000


class _Error(msgspec.Struct):
    code: str = ""


class _Line(msgspec.Struct):
    id: str
    total: int = -1
    error: _Error | None = None


class _Quote(msgspec.Struct):
    id: str
    total: int
    lines: list[_Line]


class _Result(msgspec.Struct):
    quote: _Quote | None = None
    problem: dict[str, Any] | None = None


class _Reply(msgspec.Struct):
    results: list[_Result]


_REPLY: Final = msgspec.json.Decoder(_Reply)
_ENCODE: Final = msgspec.json.Encoder().encode


class Answers:
    """What came back: a total for each line of the data (-1 without one), a total for each quote, and the refusals by reason."""

    def __init__(self, n_lines: int) -> None:
        self.total_minor: Int64s = np.full(n_lines, -1, np.int64)
        self.quotes: dict[str, int] = {}
        self.refused_lines: Counter[str] = Counter()
        self.refused_baskets: Counter[str] = Counter()

    def take(self, asked: BasketRequest, result: _Result) -> None:
        """One basket's result."""
        if result.quote is None:
            self.refused_baskets[str((result.problem or {}).get("type", "no answer"))] += 1
            return
        self.quotes[result.quote.id] = result.quote.total
        for row, line in zip(asked.rows.tolist(), result.quote.lines, strict=True):
            if line.error is None:
                self.total_minor[row] = line.total
            else:
                self.refused_lines[line.error.code] += 1


def send_all(
    tables: Tables, *, url: str, key: str | None, database_url: str | None, data_dir: Path, baskets: int | None
) -> dict[str, Any]:
    """The report. Raises ApiProblem when a batch as a whole is refused, OSError when nobody answers."""
    lines = tables.lines
    shop = reconstruct_shop(tables, is_used=lines.quantity_milli > 0)
    uses = find_uses(tables.coupons, shop.offers, lines)
    requests = list(islice(basket_requests(shop, uses), baskets))
    is_asked = np.zeros(lines.basket.size, np.bool_)
    answers = Answers(lines.basket.size)
    begun = datetime.now(UTC) - timedelta(seconds=1)
    in_calls_s = 0.0
    with ApiClient(url, key) as api:
        for part in _batches(requests):
            body = _ENCODE({"quotes": [asked.request for asked in part]})
            started = time.perf_counter()
            status, _, content = api.exchange("POST", "/v1/quotes/batch", body=body)
            in_calls_s += time.perf_counter() - started
            if status != 200:
                raise ApiProblem("POST", "/v1/quotes/batch", status, content.decode("utf-8", "replace"))
            for asked, result in zip(part, _REPLY.decode(content).results, strict=True):
                is_asked[asked.rows] = True
                answers.take(asked, result)
    everything = baskets is None
    return {
        "baskets_in_the_data": int(np.unique(lines.basket).size),
        "baskets_without_a_line_of_quantity_above_0": int(np.unique(lines.basket).size) - len(requests) if everything else None,
        "lines_of_quantity_0_left_out": int((lines.quantity_milli == 0).sum()) if everything else None,
        "baskets_sent": len(requests),
        "baskets_priced": len(answers.quotes),
        "baskets_refused": dict(answers.refused_baskets),
        "lines_refused": dict(answers.refused_lines),
        "coupon_uses_sent": sum(len(asked.request["codes"]) for asked in requests),
        "coupon_uses_without_a_basket": uses.without_basket,
        "coupon_uses_of_unknown_worth": uses.of_unknown_worth,
        "seconds_in_calls": round(in_calls_s, 1),
        "lines_a_second": round(int(is_asked.sum()) / in_calls_s) if in_calls_s else 0,
        "decisions": asyncio.run(_compare_decisions(_address(database_url, data_dir), begun, answers.quotes)),
        **shares(shop, estimate := estimate_lines(shop, uses), answers.total_minor, is_asked=is_asked),
        "lines_that_plain_arithmetic_prices_otherwise": int(
            (is_asked & (answers.total_minor >= 0) & (answers.total_minor != estimate.total_minor)).sum()
        ),
    }


def _batches(requests: list[BasketRequest]) -> Iterator[list[BasketRequest]]:
    """Batches within the service's bounds of baskets and lines."""
    part: list[BasketRequest] = []
    n_lines = 0
    for asked in requests:
        if part and (len(part) == _BASKETS_AT_ONCE or n_lines + asked.rows.size > _LINES_AT_ONCE):
            yield part
            part, n_lines = [], 0
        part.append(asked)
        n_lines += asked.rows.size
    if part:
        yield part


def _address(database_url: str | None, data_dir: Path) -> str:
    found = database_url or EmbeddedPostgres.attach(data_dir.absolute())
    if not found:
        raise OSError(f"no Postgres runs in {data_dir}; give --database-url or --data-dir")
    return found


async def _compare_decisions(database_url: str, begun: datetime, quotes: dict[str, int]) -> dict[str, Any]:
    """Whether Postgres has exactly the quotes that were answered, with their totals."""
    connection = await asyncpg.connect(database_url)
    try:
        rows = await connection.fetch("SELECT id, total_minor FROM decisions WHERE issued_at >= $1 AND source = 'batch'", begun)
    finally:
        await connection.close()
    stored = {str(row["id"]): row["total_minor"] for row in rows}
    return {"answered": len(quotes), "stored": len(stored), "equal": stored == quotes}
