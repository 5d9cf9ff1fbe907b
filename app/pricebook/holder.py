"""The price book in force in this process: one reference, swapped whole, never to an older version."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

import structlog

from app.errors import Unavailable, VersionNotReached
from app.pricebook.documents import Documents
from app.pricing.book import BookRows, PriceBook

_log = structlog.get_logger(__name__)


class Held(NamedTuple):
    """A compiled book and the documents it was made of."""

    book: PriceBook
    rows: BookRows

    @property
    def documents(self) -> Documents:
        return self.rows.documents


class BookHolder:
    """Holds the current book. All methods are called on the event loop's thread."""

    def __init__(self) -> None:
        self._held: Held | None = None
        self._waiting: dict[asyncio.Future[PriceBook], int] = {}
        self._watchers: list[Callable[[Held | None, Held], None]] = []
        # Versions that this process is committing: it has their books already and will offer them.
        self.expected: set[int] = set()

    def current(self) -> PriceBook:
        """The book in force. Raises Unavailable before there is one."""
        if self._held is None:
            raise Unavailable("No price book has been loaded yet.")
        return self._held.book

    def held(self) -> Held | None:
        return self._held

    @property
    def version(self) -> int | None:
        """The version in force, None before there is one."""
        return None if self._held is None else self._held.book.version

    def offer(self, held: Held) -> bool:
        """Put a book in force if its version is higher than the present one; tells whether it was."""
        if self._held is not None and held.book.version <= self._held.book.version:
            return False
        self._take(held)
        return True

    def replace_foreign(self, held: Held) -> None:
        """Put a book in force whatever its version, because the present one is not of this database."""
        self._take(held)

    def watch(self, watcher: Callable[[Held | None, Held], None]) -> None:
        """Have `watcher` called with every book that is put in force, behind the one before it."""
        self._watchers.append(watcher)

    async def wait_for_version(self, version: int, timeout_s: float) -> PriceBook:
        """The book in force once its version is at least `version`. Raises VersionNotReached after `timeout_s`."""
        if self._held is not None and self._held.book.version >= version:
            return self._held.book
        waiter: asyncio.Future[PriceBook] = asyncio.get_running_loop().create_future()
        self._waiting[waiter] = version
        try:
            return await asyncio.wait_for(waiter, timeout_s)
        except TimeoutError:
            raise VersionNotReached(f"Version {version} has not reached this process; it has {self.version}.") from None
        finally:
            self._waiting.pop(waiter, None)

    def _take(self, held: Held) -> None:
        assert held.book.version == held.rows.version
        before, self._held = self._held, held
        for waiter, version in list(self._waiting.items()):
            if held.book.version >= version and not waiter.done():
                waiter.set_result(held.book)
        for watcher in self._watchers:
            try:
                watcher(before, held)
            except Exception:  # noqa: BLE001 - the book is in force, and whoever watches has no say in that
                _log.exception("watcher_failed", version=held.book.version)
