"""Removing rows that nobody needs any more, a few at a time, so that nobody waits for it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import asyncpg

BATCH_ROWS: Final = 500
# A look may read a whole table, so one serves many batches; more than all looks of a round find is left to the next round.
LOOK_ROWS: Final = 20_000
LOOKS: Final = 25
# Twice as long as a batch takes: half a million of each kind still fit into a round of the worker.
_PAUSE_S: Final = 0.05

type Rows = Sequence[asyncpg.Record]


async def remove_in_batches(find: Callable[[int], Awaitable[Rows]], remove: Callable[[Rows], Awaitable[int]]) -> int:
    """Remove what `find` lists, at most that many, in batches that `remove` commits one by one; gives how many it says that it removed.

    What somebody has locked may be left out: another round finds it again. Any number of processes may do this at once.
    """
    count = 0
    for _ in range(LOOKS):
        listed = await find(LOOK_ROWS)
        for first in range(0, len(listed), BATCH_ROWS):
            count += await remove(listed[first : first + BATCH_ROWS])
            await asyncio.sleep(_PAUSE_S)
        if len(listed) < LOOK_ROWS:
            break
    return count
