"""Holds as the front table takes them: plain requests that are right, without a task, a model or a route.

Whatever is unusual about a request, or wrong with it, is left to the route in router.py, which refuses it or not: so there is one place where a
hold is refused, and what is taken here has to be what the route would take it for.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Final, Protocol
from uuid import UUID

import msgspec

from app.redemptions.entries import Answer, HoldEntry, Key, SignedQuote
from app.redemptions.lane import RedemptionLane
from app.redemptions.records import fast_id, new_id
from app.redemptions.spelling import ORDER_PATTERN, QuoteOfToken
from app.web.auth import Principal
from app.web.idempotency_keys import fingerprint, is_key

_NAMES: Final = (b'"token"', b'"quote"', b'"order"', b'"ttl_seconds"')
# These are part of what makes two requests the same, and no hold has them.
_UNUSUAL: Final = (b"if-match", b"if-none-match")


class _Held(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A HoldRequest of router.py."""

    order: Annotated[str, msgspec.Meta(min_length=1, max_length=128, pattern=ORDER_PATTERN)]
    token: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)] | None = None
    quote: UUID | None = None
    ttl_seconds: Annotated[int, msgspec.Meta(ge=1, le=86_400)] | None = None


_decoder: Final = msgspec.json.Decoder(_Held)


class Asker(Protocol):
    """Who asks, and with which headers, as the front table tells it; their names are in lower case."""

    @property
    def principal(self) -> Principal: ...
    @property
    def headers(self) -> Mapping[bytes, bytes]: ...


class PlainHolds:
    """Takes holds directly into their lane."""

    path: Final = "/v1/holds"
    octets_max: Final = 8 << 10

    def __init__(self, lane: RedemptionLane[HoldEntry], *, quote_of_token: QuoteOfToken, hold_ttl_s: int) -> None:
        self._lane = lane
        self._quote_of_token = quote_of_token
        self._hold_ttl_s = hold_ttl_s

    def take(self, raw: bytes, asker: Asker, call: Callable[[], None]) -> HoldEntry | None:
        """Enter the lane, which then calls `call`; None for a request that is not plain. Raises whatever is wrong with the request."""
        if b"\\" in raw or any(raw.count(name) > 1 for name in _NAMES) or any(name in asker.headers for name in _UNUSUAL):
            # Escapes and names that are there twice are for a reader that looks closer.
            return None
        asked = _decoder.decode(raw)
        if (asked.token is None) == (asked.quote is None):
            return None
        sent = asker.headers.get(b"idempotency-key")
        if sent is not None and not is_key(sent.decode("latin-1")):
            return None
        if asked.quote is not None:
            quote = SignedQuote(asked.quote, binds=False)
        else:
            assert asked.token is not None
            quote = self._quote_of_token(asked.token)
        key = None
        if sent is not None:
            key = Key(asker.principal.id, sent.decode(), fingerprint("POST", self.path, "", "application/json", raw))
        entry = HoldEntry(
            key=key,
            outcome=None,
            hold_id=new_id(),
            quote_id=fast_id(quote.id),
            order=asked.order,
            ttl_ms=(asked.ttl_seconds or self._hold_ttl_s) * 1000,
            is_promised=quote.binds,
        )
        self._lane.enter(entry, call)
        return entry

    def answered(self, entry: HoldEntry) -> Answer:
        """What it is told when it has come out of the lane. Raises Problem."""
        return self._lane.answer_of(entry)
