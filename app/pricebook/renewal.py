"""Keeps schedules laid out ahead: where a version has been in force for so long that its patterns end soon, the same documents become
the next version, whose patterns reach 800 days further.

It is a version like any other, so that every decision is replayed by the very windows it was made with.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from app.db.engine import transaction
from app.metrics import Metrics
from app.pricebook.holder import BookHolder, Held
from app.pricebook.named_days import known_until
from app.pricebook.publish import open_publication
from app.pricing.book import Document
from app.pricing.comparison import NAMED_DAYS
from app.pricing.schedule import laid_out_days

# Patterns reach at least 400 days ahead at every moment; the rest is the time that a database may be away.
DAYS_AHEAD_MIN: Final = 430
# Where nothing is laid out, nothing ends.
NO_PATTERNS_DAYS: Final = -1
_ACTOR: Final = "centwise"
_NONE: Final[Mapping[str, Document]] = {}
_log = structlog.get_logger(__name__)


class Reach:
    """How far the patterns of books reach. Named days are read anew only where they are others than before."""

    def __init__(self) -> None:
        self._named = _NONE
        self._known_until: date | None = None

    def days_ahead(self, held: Held, now: datetime) -> int:
        """How many days from now on, NO_PATTERNS_DAYS where there are no patterns."""
        named = held.rows.documents.get(NAMED_DAYS, _NONE)
        if named is not self._named:
            self._named, self._known_until = named, known_until(named)
        ends = [self._known_until]
        if any(held.book.sources.patterns.values()):
            ends.append(laid_out_days(held.rows.published_at_us)[1])
        known = [end for end in ends if end is not None]
        return (min(known) - now.date()).days if known else NO_PATTERNS_DAYS


def days_ahead(held: Held, now: datetime) -> int:
    """The reach of one book."""
    return Reach().days_ahead(held, now)


def is_due(held: Held, now: datetime) -> bool:
    """Whether the schedules of a book must be laid out further."""
    return NO_PATTERNS_DAYS != days_ahead(held, now) < DAYS_AHEAD_MIN


async def renew_schedules(engine: AsyncEngine, holder: BookHolder, metrics: Metrics) -> bool:
    """Publish the next version where it is due; tells whether it was. Raises Unavailable, DatabaseUnreachable, BookError."""
    held = holder.held()
    if held is None or not is_due(held, datetime.now(UTC)):
        return False
    async with transaction(engine) as connection:
        publication = await open_publication(connection, holder, metrics)
        if publication.rows.version != held.rows.version:
            return False  # somebody was faster; the refresher brings that version, and the next round looks at it
        await publication.lay_further(actor=_ACTOR)
    # The refresher may compile this version as well. It is not told to leave it, because should the commit hang here while another process
    # publishes under this number, it would leave that one too.
    assert publication.held is not None
    holder.offer(publication.held)
    _log.info("schedules_laid_further", version=publication.held.rows.version)
    return True
