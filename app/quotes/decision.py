"""What is stored of a quote: a row of the table of decisions."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from asyncpg.pgproto.pgproto import UUID

from app.quotes import queries


class Decision(NamedTuple):
    """A row of `decisions`; the fields are the columns in the order of `queries.COLUMNS`."""

    issued_at: datetime
    id: UUID
    version: int
    currency: str
    channel: str | None
    customer: str | None
    codes: Sequence[str]
    subtotal_minor: int
    discount_minor: int
    total_minor: int
    line_count: int
    source: str
    request: bytes
    reply: bytes


assert Decision._fields == queries.COLUMNS
