"""Sends the baskets in batches, keeps what comes back, and compares it with the data and with the decisions in Postgres."""

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Final, Self

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
_TRIES: Final = 60
_PAUSE_S: Final = 0.5


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


class _Problem(msgspec.Struct):
    type: str
    status: int


class _Result(msgspec.Struct):
    quote: _Quote | None = None
    problem: _Problem | None = None


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
            self.refused_baskets["no answer" if result.problem is None else result.problem.type] += 1
            return
        self.quotes[result.quote.id] = result.quote.total
        for row, line in zip(asked.rows.tolist(), result.quote.lines, strict=True):
            if line.error is None:
                self.total_minor[row] = line.total
            else:
                self.refused_lines[line.error.code] += 1


class Sender:
    """Sends batches as a careful client does: each under a key, and again under the same key while the service says "not now"."""

    def __init__(self, url: str, key: str | None) -> None:
        self.seconds = 0.0
        self.resent = 0
        self._api = ApiClient(url, key)
        self._run = uuid.uuid4().hex
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._api.close()

    def send(self, quotes: list[dict[str, Any]]) -> list[_Result]:
        """The results, in the order of the quotes. Raises ApiProblem when the batch as a whole is refused."""
        self._number += 1
        body, headers = _ENCODE({"quotes": quotes}), {"Idempotency-Key": f"{self._run}-{self._number}"}
        for again in range(_TRIES):
            if again:
                self.resent += 1
                time.sleep(_PAUSE_S)
            started = time.perf_counter()
            status, _, content = self._api.exchange("POST", "/v1/quotes/batch", body=body, headers=headers)
            self.seconds += time.perf_counter() - started
            if status == 200:
                results = _REPLY.decode(content).results
                if not any(result.problem is not None and result.problem.status == 503 for result in results):
                    return results
            elif status != 503:
                break
        raise ApiProblem("POST", "/v1/quotes/batch", status, content.decode("utf-8", "replace")[:2000])


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
    sender = Sender(url, key)
    with sender:
        for part in _batches(requests):
            for asked, result in zip(part, sender.send([asked.request for asked in part]), strict=True):
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
        "batches_sent_again_after_503": sender.resent,
        "seconds_in_calls": round(sender.seconds, 1),
        "lines_a_second": round(int(is_asked.sum()) / sender.seconds),
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
