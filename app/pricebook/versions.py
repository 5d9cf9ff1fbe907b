"""Books of older versions, for replays and for requests that name a version: a few are kept, the least recently used goes."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable

import asyncpg

from app.pricebook.compile import compile_off_loop
from app.pricebook.holder import BookHolder
from app.pricebook.load import load_rows
from app.pricing.book import PriceBook


class BookVersions:
    """Finds the book of a version: the one in force, one that is kept, or else from the database."""

    def __init__(self, connect: Callable[[], Awaitable[asyncpg.Connection]], holder: BookHolder, *, keep: int = 4) -> None:
        assert keep >= 1
        self._connect = connect
        self._holder = holder
        self._keep = keep
        self._books: OrderedDict[int, asyncio.Task[PriceBook]] = OrderedDict()

    async def get(self, version: int) -> PriceBook:
        """The book of a version. Raises NoSuchVersion, DatabaseUnreachable.

        Several callers that ask for the same version wait for one loading of it.
        """
        if self._holder.version == version:
            return self._holder.current()
        loading = self._books.get(version)
        if loading is None:
            loading = self._books[version] = asyncio.create_task(self._load(version))
            loading.add_done_callback(lambda done: self._forget_failure(version, done))
            while len(self._books) > self._keep:
                self._books.popitem(last=False)
        self._books.move_to_end(version)
        # Shielded: a caller that goes away must not take the book from the others.
        return await asyncio.shield(loading)

    def _forget_failure(self, version: int, done: asyncio.Task[PriceBook]) -> None:
        if (done.cancelled() or done.exception() is not None) and self._books.get(version) is done:
            del self._books[version]

    async def _load(self, version: int) -> PriceBook:
        connection = await self._connect()
        try:
            rows = await load_rows(connection, version=version)
        finally:
            connection.terminate()
        return await compile_off_loop(rows)
