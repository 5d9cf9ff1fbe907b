"""Locking meters, and writing what was decided: what every transaction of holds does in the same order."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg

from app.redemptions import queries
from app.redemptions.keys import Raced
from app.redemptions.protocol import Asked, Draw, Grant, Hold, Meter
from app.redemptions.records import Stored, instant_of, meter_columns, meter_of, stored_hold

_KNOWN_MAX = 200_000


class Meters:
    """The meters that this process has seen, so that it need not make them each time."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    async def lock(
        self, connection: asyncpg.Connection, of: Iterable[Asked | Hold], also: Collection[str] = ()
    ) -> tuple[dict[str, Meter], int]:
        """Lock the meters of holds in the order of their ids, making those that are new; and the clock after that, in milliseconds."""
        wanted: dict[str, Draw | Grant] = {}
        for hold in of:
            for draw in hold.draws:
                wanted[draw.meter] = draw
            for grant in hold.grants:
                wanted.setdefault(grant.meter, grant)
        new = sorted(set(wanted) - self._known)
        if new:
            rows = [_made(wanted[one]) for one in new]
            await connection.execute(queries.MAKE_METERS, *map(list, zip(*rows, strict=True)))
        ids = wanted.keys() | set(also)
        if not ids:
            return {}, await connection.fetchval(queries.NOW)
        rows = await connection.fetch(queries.LOCK_METERS, list(ids))
        found = {row["id"]: meter_of(row) for row in rows}
        if not wanted.keys() <= found.keys():
            # Somebody made them a moment ago and is not done yet, or they were taken away.
            self._known.difference_update(wanted)
            raise Raced
        if len(self._known) > _KNOWN_MAX:
            self._known.clear()
        self._known.update(wanted)
        return found, rows[-1]["now_ms"] if rows else await connection.fetchval(queries.NOW)


def _made(one: Draw | Grant) -> tuple[str, str | None, int, int]:
    """A new meter: its id, customer, cap and the version of that; a balance begins with nothing."""
    if isinstance(one, Draw) and one.cap is not None:
        return one.meter, one.customer, one.cap, one.cap_version
    return one.meter, one.customer, 0, 0


async def lock_holds(connection: asyncpg.Connection, ids: Sequence[UUID]) -> dict[UUID, Stored]:
    """Lock holds in the order of their ids."""
    if not ids:
        return {}
    rows = await connection.fetch(queries.LOCK_HOLDS, ids)
    return {row["id"]: stored_hold(row) for row in rows}


async def write(connection: asyncpg.Connection, *, meters: Mapping[str, Meter], changed: Iterable[Hold], now_ms: int) -> None:
    """Write meters with other numbers, and holds in another state; of a hold the last state counts."""
    last = {hold.id: hold for hold in changed}
    if last:
        columns: tuple[list[Any], ...] = (
            list(last),
            [hold.state for hold in last.values()],
            [hold.ended for hold in last.values()],
        )
        await connection.execute(queries.SET_HOLDS, *columns, instant_of(now_ms))
    if meters:
        await connection.execute(queries.SET_METERS, *meter_columns(meters.values()))
