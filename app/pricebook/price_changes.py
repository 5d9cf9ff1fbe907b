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


class Moved(NamedTuple):
    """A key (SKU, price list, currency) with a new unit price that may not move as it likes, and all that changes there."""

    key: str
    limit: Limit
    changes: list[Change]


async def excessive_changes(
    connection: AsyncConnection, before: Documents, changes: Sequence[Change], book: PriceBook, *, at: datetime
) -> list[BookProblem]:
    """The prices among changes that would move further than the guardrails of their book permit, published at an instant."""
    prices = [change for change in changes if change.resource == "prices"]
    if not prices or book.guardrails.max_change.bound.size == 0:
        return []
    moved = await off_loop(len(prices), _moved, before, prices, book)
    problems: list[BookProblem] = []
    for part in parts(moved):
        since = [at - timedelta(days=one.limit.days) for one in part]
        between = ([f"{one.key}|" for one in part], [f"{one.key}}}" for one in part])
        rows = (await connection.exec_driver_sql(queries.PRICES_SINCE, (*between, since))).all()
        problems += await off_loop(len(rows), _problems, part, rows, at)
        if len(problems) >= _PROBLEMS_MAX:
            break
    return problems[:_PROBLEMS_MAX]


def _moved(before: Documents, prices: Sequence[Change], book: PriceBook) -> list[Moved]:
    known = before.get("prices", {})
    changes: dict[str, list[Change]] = {}
    number_of: dict[str, int] = {}
    for change in prices:
        key, body = change.id.rpartition("|")[0], change.body
        changes.setdefault(key, []).append(change)
        if body is None:
            continue
        present = known.get(change.id)
        if present is None or _units(present.body) != _units(body):
            row = book.assortment.row_of_sku[body["sku"]]
            number_of[key] = book.currency_rows[body["currency"]] * book.n_skus + row
    limits = change_limits_of(book.guardrails, np.array(list(number_of.values()), np.int64))
    columns = (column.tolist() for column in limits)
    return [
        Moved(key, Limit(book.guardrail_names.id[told_of(bound)[0]], percent_ppm, days), changes[key])
        for key, bound, percent_ppm, days in zip(number_of, *columns, strict=True)
        if bound >= 0
    ]


def _problems(moved: Sequence[Moved], rows: Iterable[Any], at: datetime) -> list[BookProblem]:
    """The problems of some keys, whose revisions in `rows` name them by their place, counted from 1."""
    revisions: list[list[Any]] = [[] for _ in moved]
    for row in rows:
        revisions[row.position - 1].append(row)
    problems: list[BookProblem] = []
    for one, own in zip(moved, revisions, strict=True):
        touched = {change.id for change in one.changes}
        periods: list[PricePeriod] = []
        for row in own:
            ended_at = row.ended_at or (at if row.id in touched else _ALWAYS)
            periods += _period(row.id, decode_body(row.body), row.began_at, ended_at, is_new=False)
        for change in one.changes:
            if change.body is not None:
                periods += _period(change.id, change.body, at, _ALWAYS, is_new=True)
        problems += too_far(periods, one.limit)
    return problems


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
