"""Publishing: changes of documents become the next version in one transaction, after the candidate book has compiled."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import Unavailable
from app.metrics import Metrics
from app.pricebook import queries
from app.pricebook.audit import AuditEntry, append_audit
from app.pricebook.compile import compile_off_loop
from app.pricebook.documents import Change, Documents, encode_canonical, etag_of, replace_documents
from app.pricebook.holder import BookHolder, Held
from app.pricebook.load import instant_of, latest_of, microseconds, tables_of, with_changes
from app.pricebook.named_days import changes_of_days, days_laid_further, require_holding, without_named_days
from app.pricebook.offload import off_loop, parts
from app.pricebook.price_changes import excessive_changes
from app.pricing.book import BookError, BookRows, Document, PriceBook

_LOCK_NOT_AVAILABLE: Final = "55P03"
_FURTHER: Final = "schedules laid out further ahead"


class Published(NamedTuple):
    """What came of publishing: the version that has the changes, when it was published, and how many documents changed (0: none, no new version)."""

    version: int
    published_at: datetime
    changed: int


class Publication:
    """A transaction that holds the lock of publishers: what is in force cannot change under it."""

    def __init__(
        self, connection: AsyncConnection, rows: BookRows, metrics: Metrics | None, *, earlier: PriceBook | None
    ) -> None:
        self.connection = connection
        self.rows = rows
        self.held: Held | None = None  # the book of what was published
        self._metrics = metrics
        self._earlier = earlier

    @property
    def documents(self) -> Documents:
        """What is in force before this publication."""
        return self.rows.documents

    async def publish(
        self,
        changes: Sequence[Change],
        *,
        actor: str,
        kind: str,
        note: str = "",
        body_of: int | None = None,
        summary: AuditEntry | None = None,
    ) -> Published:
        """Make the next version of the changes; the last one of a document counts.

        Changes that change nothing are left out, and without any there is no new version. The audit trail gets a row for each document,
        or the one `summary`. May be called once in a publication. Raises BookError when the book would not compile.
        """
        before = self.rows.documents
        asked = without_named_days(changes)
        real = await off_loop(len(asked), _real_changes, before, asked)
        published_at = await self._now()
        days = await asyncio.to_thread(changes_of_days, before, asked, real, at_us=microseconds(published_at))
        if not real and not days:
            return Published(self.rows.version, instant_of(self.rows.published_at_us), 0)
        entries = [summary] if summary else await off_loop(len(real), _audit_entries, before, real)
        # What was in force once may come back after its time.
        refused = [] if kind == "rollback" else real
        await self._put_in_force(
            [*real, *days], published_at, actor, kind, note, body_of, [*entries, *_audit_entries(before, days)], refused
        )
        return Published(self.rows.version + 1, published_at, len(real))

    async def lay_further(self, *, actor: str) -> None:
        """Make a next version of the same documents, whose schedules reach as far as those of any version published now.

        May be called once in a publication. Raises BookError when the book would not compile.
        """
        published_at = await self._now()
        days = await asyncio.to_thread(days_laid_further, self.rows.documents, at_us=microseconds(published_at))
        entry = AuditEntry("versions", str(self.rows.version + 1), None, {"note": _FURTHER})
        await self._put_in_force(days, published_at, actor, "publish", _FURTHER, None, [entry], ())

    async def _put_in_force(
        self,
        real: Sequence[Change],
        published_at: datetime,
        actor: str,
        kind: str,
        note: str,
        body_of: int | None,
        entries: Sequence[AuditEntry],
        must_hold: Iterable[Change],
    ) -> None:
        """Write the next version. Raises BookError where the book does not compile or a schedule of `must_hold` never holds."""
        assert self.held is None
        before, version = self.rows.documents, self.rows.version + 1
        revisions = await self._next_revisions(real)
        # Now and then a table lays out its arrays anew, which is for no event loop.
        documents = await asyncio.to_thread(_with_changes, before, real, revisions)
        candidate = BookRows(version, microseconds(published_at), documents)
        book = await compile_off_loop(candidate, self._metrics, earlier=self._earlier)
        require_holding(book, must_hold)
        if kind != "rollback":
            # What a rollback brings back was permitted when it was published, and must not be kept from helping.
            await self._refuse_excessive(real, book, published_at)

        await self.connection.exec_driver_sql(queries.LOCK_DRAFTS)
        await self.connection.exec_driver_sql(queries.INSERT_VERSION, (version, published_at, actor, kind, note, body_of))
        await self._write(real, revisions, version)
        await append_audit(self.connection, entries, at=published_at, actor=actor, action=kind, version=version)
        await self.connection.exec_driver_sql(queries.NOTIFY_VERSION, (str(version),))
        self.held = Held(book, candidate)

    async def check(self, changes: Sequence[Change]) -> None:
        """Whether these changes could be published now. Raises BookError."""
        now = await self._now()
        days = await asyncio.to_thread(changes_of_days, self.rows.documents, changes, changes, at_us=microseconds(now))
        every = [*changes, *days]
        documents = await asyncio.to_thread(_with_changes, self.rows.documents, every, [0] * len(every))
        rows = BookRows(self.rows.version, microseconds(now), documents)
        book = await compile_off_loop(rows, self._metrics, earlier=self._earlier)
        require_holding(book, changes)
        real = await off_loop(len(changes), _real_changes, self.rows.documents, changes)
        await self._refuse_excessive(real, book, now)

    async def _refuse_excessive(self, changes: Sequence[Change], book: PriceBook, at: datetime) -> None:
        problems = await excessive_changes(self.connection, self.rows.documents, changes, book, at=at)
        if problems:
            raise BookError(tuple(problems))

    async def _now(self) -> datetime:
        now: datetime = (await self.connection.exec_driver_sql("SELECT clock_timestamp()")).scalar_one()
        return now

    async def _next_revisions(self, changes: Sequence[Change]) -> list[int]:
        """The revision of each change. A document that comes back after it was deleted goes on counting, so those are looked up."""
        revisions = [0] * len(changes)
        new: list[int] = []
        for position, change in enumerate(changes):
            document = self.rows.documents.get(change.resource, {}).get(change.id)
            if document is not None:
                revisions[position] = document.revision + 1
            else:
                new.append(position)
                revisions[position] = 1
        for asked in parts(new):
            found = await self.connection.exec_driver_sql(
                queries.LAST_REVISIONS, ([changes[at].resource for at in asked], [changes[at].id for at in asked])
            )
            for row in found:
                revisions[asked[row.position - 1]] = row.revision + 1
        return revisions

    async def _write(self, changes: Sequence[Change], revisions: Sequence[int], version: int) -> None:
        in_force = self.rows.documents
        closed = [change for change in changes if change.id in in_force.get(change.resource, {})]
        for part in parts(closed):
            await self.connection.exec_driver_sql(
                queries.CLOSE_DOCUMENTS, ([change.resource for change in part], [change.id for change in part], version)
            )
        opened = [(change, revision) for change, revision in zip(changes, revisions, strict=True) if change.body is not None]
        for rows in parts(opened):
            columns = await off_loop(len(rows), _columns, rows)
            await self.connection.exec_driver_sql(queries.INSERT_DOCUMENTS, (*columns, version))


async def open_publication(connection: AsyncConnection, holder: BookHolder, metrics: Metrics | None = None) -> Publication:
    """Take the lock of publishers in the caller's transaction and read what is in force.

    After the commit the caller offers `held` to the holder, so that this process need not compile the version a second time.
    Raises Unavailable when another publisher holds the lock for too long.
    """
    await connection.exec_driver_sql(queries.LIMIT_LOCK_WAIT)
    try:
        await connection.exec_driver_sql(queries.LOCK_PUBLISHING)
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE:
            raise Unavailable("Another publication is under way.") from error
        raise
    held = holder.held()
    return Publication(connection, await current_rows(connection, held), metrics, earlier=None if held is None else held.book)


async def current_rows(connection: AsyncConnection, held: Held | None) -> BookRows:
    """The documents in force, as the caller's transaction sees them: the held ones and what changed since."""
    held_rows = None if held is None else held.rows
    found = await connection.exec_driver_sql(queries.LATEST_AND_HELD_VERSION, (0 if held_rows is None else held_rows.version,))
    latest = latest_of(found.one_or_none(), held_rows)
    if held_rows is not None and latest.knows_held and held_rows.version <= latest.version:
        if held_rows.version == latest.version:
            return held_rows
        changed = await connection.exec_driver_sql(queries.CHANGED_DOCUMENTS, (held_rows.version, latest.version))
        return await with_changes(held_rows, changed.all(), latest)
    found = await connection.exec_driver_sql(queries.CURRENT_DOCUMENTS)
    everything = found.all()
    documents = await off_loop(len(everything), tables_of, everything)
    return BookRows(latest.version, latest.published_at_us, documents)


def _real_changes(documents: Documents, changes: Iterable[Change]) -> list[Change]:
    last = {(change.resource, change.id): change for change in changes}
    return [change for change in last.values() if not _is_in_force(documents, change)]


def _is_in_force(documents: Documents, change: Change) -> bool:
    document = documents.get(change.resource, {}).get(change.id)
    return (None if document is None else document.body) == change.body


def _with_changes(documents: Documents, changes: Sequence[Change], revisions: Sequence[int]) -> Documents:
    return replace_documents(
        documents,
        (
            (change.resource, change.id, None if change.body is None else Document(change.body, revision))
            for change, revision in zip(changes, revisions, strict=True)
        ),
    )


def _columns(rows: Sequence[tuple[Change, int]]) -> tuple[list[Any], ...]:
    """The arrays of INSERT_DOCUMENTS."""
    return (
        [change.resource for change, _ in rows],
        [change.id for change, _ in rows],
        [revision for _, revision in rows],
        [encode_canonical(change.body).decode() for change, _ in rows],
        [etag_of(change.body) for change, _ in rows],
    )


def _audit_entries(documents: Documents, changes: Sequence[Change]) -> list[AuditEntry]:
    found = [documents.get(change.resource, {}).get(change.id) for change in changes]
    return [
        AuditEntry(change.resource, change.id, None if document is None else document.body, change.body)
        for change, document in zip(changes, found, strict=True)
    ]
