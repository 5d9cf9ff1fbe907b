"""How far prices move: what a publication would change against what was in force before. Source: app/pricing/SEMANTICS.md, Bounds, `max_change`."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import numpy as np
from sqlalchemy.ext.asyncio import AsyncConnection

from app.pricebook import queries
from app.pricebook.documents import Body, Change, Documents
from app.pricebook.load import decode_body
from app.pricebook.offload import off_loop, parts
from app.pricing.book import BookProblem, PriceBook
from app.pricing.guardrails import change_limits_of, told_of
from app.pricing.money import PPM, format_decimal, format_e4, parse_quantity_milli, parse_unit_price_e4
from app.pricing.price_lists import OPEN_END_MILLI

_ALWAYS: Final = datetime.max.replace(tzinfo=UTC)
_PROBLEMS_MAX: Final = 100


class PricePeriod(NamedTuple):
    """A revision of a price and when it is in force; it is new when it is being published."""

    id: str
    body: Body
    begins_at: datetime
    ends_at: datetime
    is_new: bool


class Limit(NamedTuple):
    """How far the prices of a key may move."""

    guardrail: str
    percent_ppm: int
    days: int


async def excessive_changes(
    connection: AsyncConnection, before: Documents, changes: Sequence[Change], book: PriceBook, *, at: datetime
) -> list[BookProblem]:
    """The prices among changes that would move further than the guardrails of their book permit, published at an instant."""
    prices = [change for change in changes if change.resource == "prices"]
    if not prices or book.guardrails.max_change.bound.size == 0:
        return []
    limits = await off_loop(len(prices), _limits, before, prices, book)
    problems: list[BookProblem] = []
    for keys in parts(list(limits)):
        since = [at - timedelta(days=limits[key].days) for key in keys]
        found = await connection.exec_driver_sql(
            queries.PRICES_SINCE, ([f"{key}|" for key in keys], [f"{key}}}" for key in keys], since)
        )
        rows = found.all()
        problems += await off_loop(len(rows), _problems, keys, limits, prices, rows, at)
        if len(problems) >= _PROBLEMS_MAX:
            break
    return problems[:_PROBLEMS_MAX]


def _limits(before: Documents, prices: Sequence[Change], book: PriceBook) -> dict[str, Limit]:
    """The keys (SKU, price list, currency) at which a unit price is new and may not move as it likes."""
    known = before.get("prices", {})
    moved: dict[str, int] = {}
    for change in prices:
        body = change.body
        if body is None:
            continue
        present = known.get(change.id)
        if present is None or _units(present.body) != _units(body):
            row = book.assortment.row_of_sku[body["sku"]]
            moved[_key_of(change.id)] = book.currency_rows[body["currency"]] * book.n_skus + row
    limits = change_limits_of(book.guardrails, np.array(list(moved.values()), np.int64))
    columns = (column.tolist() for column in limits)
    return {
        key: Limit(book.guardrail_names.id[told_of(bound)[0]], percent_ppm, days)
        for key, bound, percent_ppm, days in zip(moved, *columns, strict=True)
        if bound >= 0
    }


def _key_of(price_id: str) -> str:
    return price_id.rpartition("|")[0]


def _problems(
    keys: Sequence[str], limits: dict[str, Limit], prices: Sequence[Change], rows: Iterable[Any], at: datetime
) -> list[BookProblem]:
    touched = {change.id: change for change in prices}
    periods: dict[str, list[PricePeriod]] = {key: [] for key in keys}
    for row in rows:
        own = periods[keys[row.position - 1]]
        ended_at = row.ended_at or (at if row.id in touched else _ALWAYS)
        own += _period(row.id, decode_body(row.body), row.began_at, ended_at, is_new=False)
    for change in prices:
        if change.body is not None and _key_of(change.id) in periods:
            periods[_key_of(change.id)] += _period(change.id, change.body, at, _ALWAYS, is_new=True)
    return [problem for key in keys for problem in too_far(periods[key], limits[key])]


def _period(price_id: str, body: Body, begins_at: datetime, ends_at: datetime, *, is_new: bool) -> Iterator[PricePeriod]:
    """The period of a revision, none where it never was in force."""
    if body["valid_from"]:
        begins_at = max(begins_at, datetime.fromisoformat(body["valid_from"]))
    if body["valid_to"]:
        ends_at = min(ends_at, datetime.fromisoformat(body["valid_to"]))
    if begins_at < ends_at:
        yield PricePeriod(price_id, body, begins_at, ends_at, is_new)


def too_far(periods: Sequence[PricePeriod], limit: Limit) -> Iterator[BookProblem]:
    """What moves too far among the periods of one key, one problem for each new price."""
    days = timedelta(days=limit.days)
    for new in (period for period in periods if period.is_new):
        for other in periods:
            first, then = (other, new) if other.begins_at < new.begins_at else (new, other)
            is_near = first.begins_at < then.begins_at and first.ends_at > then.begins_at - days
            if is_near and (move := _excess(first.body, then.body, limit.percent_ppm)):
                old_e4, new_e4 = move
                message = (
                    f"moves from {format_e4(old_e4)} to {format_e4(new_e4)}, further than {format_decimal(limit.percent_ppm, 4)} percent "
                    f"in {limit.days} days, which guardrail {limit.guardrail} permits"
                )
                yield BookProblem("prices", new.id, "tiers" if new.body.get("tiers") else "unit_price", message)
                break


def _excess(old: Body, new: Body, percent_ppm: int) -> tuple[int, int] | None:
    """The unit prices at the first quantity at which they differ too much."""
    before, after = _units(old), _units(new)
    for up_to in sorted({bound for bound, _ in (*before, *after)}):
        old_e4, new_e4 = (next(unit for bound, unit in units if bound >= up_to) for units in (before, after))
        if abs(new_e4 - old_e4) * PPM > percent_ppm * old_e4:
            return old_e4, new_e4
    return None


def _units(body: Body) -> list[tuple[int, int]]:
    """The unit prices of an entry, each with the quantity up to which it holds."""
    if not body.get("tiers"):
        return [(OPEN_END_MILLI, parse_unit_price_e4(body["unit_price"]))]
    return [
        (
            OPEN_END_MILLI if step["up_to"] is None else parse_quantity_milli(step["up_to"]),
            parse_unit_price_e4(step["unit_price"]),
        )
        for step in body["tiers"]["steps"]
    ]
