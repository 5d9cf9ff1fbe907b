"""Bulk work away from the event loop, and statements of a bounded size."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

# Work on fewer rows than this is done within a few milliseconds, which is less than handing it over costs.
_ROWS_INLINE: Final = 300
# Rows of one statement: what is sent is encoded on the event loop, and the server has a limit of time for each.
ROWS_AT_ONCE: Final = 4_000


async def off_loop[**P, T](n_rows: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of `work` on so many rows, run in a thread unless they are few."""
    if n_rows <= _ROWS_INLINE:
        return work(*args, **kwargs)
    return await asyncio.to_thread(work, *args, **kwargs)


def parts[T](rows: Sequence[T]) -> Iterable[Sequence[T]]:
    """The rows in parts for one statement each."""
    return (rows[start : start + ROWS_AT_ONCE] for start in range(0, len(rows), ROWS_AT_ONCE))
