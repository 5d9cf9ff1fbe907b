"""Holds, confirms and releases as the front table takes them: plain requests that are right, without a task, a model or a route.

Whatever is unusual about a request, or wrong with it, is left to the route in router.py, which refuses it or not: so there is one place where
they are refused, and what is taken here has to be what the route would take it for.
"""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Final, Literal, Protocol
from uuid import UUID

import msgspec

from app.redemptions.entries import Answer, ChangeEntry, HoldEntry, Key, SignedQuote
from app.redemptions.lane import RedemptionLane
from app.redemptions.records import fast_id, new_id
from app.redemptions.spelling import ORDER_PATTERN, QuoteOfToken
from app.web.auth import Principal
from app.web.idempotency_keys import fingerprint, is_key

_NAMES: Final = (b'"token"', b'"quote"', b'"order"', b'"ttl_seconds"')
# As they are in our replies. The routes read a UUID in other spellings, too.
_HOLD_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
# These are part of what makes two requests the same, and neither a hold nor what becomes of it has them.
_UNUSUAL: Final = (b"if-match", b"if-none-match")


type _Order = Annotated[str, msgspec.Meta(min_length=1, max_length=128, pattern=ORDER_PATTERN)]


class _Held(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A HoldRequest of router.py."""

    order: _Order
    token: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)] | None = None
    quote: UUID | None = None
    ttl_seconds: Annotated[int, msgspec.Meta(ge=1, le=86_400)] | None = None


class _Confirmed(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A ConfirmRequest of router.py."""

    order: _Order


_held: Final = msgspec.json.Decoder(_Held)
_confirmed: Final = msgspec.json.Decoder(_Confirmed)


class Asker(Protocol):
    """Who asks, with which headers, and the parameters of the path, as the front table tells it; names of headers are in lower case."""

    @property
    def principal(self) -> Principal: ...
    @property
    def headers(self) -> Mapping[bytes, bytes]: ...
    @property
    def named(self) -> Mapping[str, str]: ...


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
        if not _is_plain(raw, asker):
            return None
        asked = _held.decode(raw)
        if (asked.token is None) == (asked.quote is None):
            return None
        if asked.quote is not None:
            quote = SignedQuote(asked.quote, binds=False)
        else:
            assert asked.token is not None
            quote = self._quote_of_token(asked.token)
        entry = HoldEntry(
            key=_key_of(self.path, raw, asker),
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


class PlainChanges:
    """Takes confirms and releases directly into their lane."""

    confirm_path: Final = "/v1/holds/{hold_id}/confirm"
    release_path: Final = "/v1/holds/{hold_id}/release"
    octets_max: Final = 4 << 10

    def __init__(self, lane: RedemptionLane[ChangeEntry]) -> None:
        self._lane = lane

    def take_confirm(self, raw: bytes, asker: Asker, call: Callable[[], None]) -> ChangeEntry | None:
        """As `PlainHolds.take`."""
        return self._take("confirm", _confirmed.decode(raw).order, raw, asker, call)

    def take_release(self, raw: bytes, asker: Asker, call: Callable[[], None]) -> ChangeEntry | None:
        """As `PlainHolds.take`. A release that brings a body is not plain."""
        return None if raw else self._take("release", "", raw, asker, call)

    def answered(self, entry: ChangeEntry) -> Answer:
        """What it is told when it has come out of the lane. Raises Problem."""
        return self._lane.answer_of(entry)

    def _take(
        self, kind: Literal["confirm", "release"], order: str, raw: bytes, asker: Asker, call: Callable[[], None]
    ) -> ChangeEntry | None:
        hold_id = asker.named["hold_id"]
        if _HOLD_ID.fullmatch(hold_id) is None or not _is_plain(raw, asker):
            return None
        entry = ChangeEntry(
            key=_key_of(f"/v1/holds/{hold_id}/{kind}", raw, asker),
            outcome=None,
            kind=kind,
            hold_id=fast_id(UUID(hold_id)),
            order=order,
            return_id=new_id(),
            milli={},
            lines=(),
        )
        self._lane.enter(entry, call)
        return entry


def _is_plain(raw: bytes, asker: Asker) -> bool:
    """Whether the request needs no closer look: escapes and names that are there twice do."""
    if b"\\" in raw or any(raw.count(name) > 1 for name in _NAMES) or any(name in asker.headers for name in _UNUSUAL):
        return False
    sent = asker.headers.get(b"idempotency-key")
    return sent is None or is_key(sent.decode("latin-1"))


def _key_of(path: str, raw: bytes, asker: Asker) -> Key | None:
    """The key of a plain request, if it has one."""
    sent = asker.headers.get(b"idempotency-key")
    if sent is None:
        return None
    media_type = asker.headers.get(b"content-type", b"").decode("latin-1")
    return Key(asker.principal.id, sent.decode(), fingerprint("POST", path, "", media_type, raw))
