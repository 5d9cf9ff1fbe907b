"""Who is calling, and what a key allows.

A key is `cw_<id>_<secret><checksum>`, sent as `Authorization: Bearer cw_...`. The checksum tells a mistyped key from an unknown one
without asking the database; of the secret only the SHA-256 is stored. A key that was rotated has two secrets for a while. Valid keys are held
in memory and read anew every second, so that a request costs no query, a revoked key is refused within two seconds, and a database that is away
does not lock out known callers.
"""

import asyncio
import hashlib
import hmac
import ipaddress
import re
import secrets
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, Literal, get_args

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.types import Scope as AsgiScope

from app.db.engine import transaction
from app.db.tables import api_keys
from app.errors import Forbidden, NoteFailure, Unauthorized, Unavailable
from app.web.quotas import Limits, Quota, Quotas

type KeyScope = Literal["quote", "redeem", "read", "write", "approve", "signals", "simulate", "admin"]
SCOPES: Final[tuple[str, ...]] = get_args(KeyScope.__value__)
REFRESH_SECONDS = 1.0
# How long the secret before the last rotation stays valid, if nothing else is asked for.
OVERLAP_SECONDS: Final = 86_400

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_KEY = re.compile(r"cw_([0-9A-Za-z]{12})_([0-9A-Za-z]{32})([0-9A-Za-z]{6})")
_MISSES_PER_SECOND = 20
_FOREVER: Final = datetime.max.replace(tzinfo=UTC)
_FORWARDING: Final = frozenset((b"forwarded", b"x-forwarded-for", b"x-real-ip"))


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller: the id of its key, what that key allows, and how much of it where that is limited."""

    id: str
    scopes: frozenset[str]
    quota: Quota | None = field(default=None, compare=False, repr=False)

    def holds(self, scope: str) -> bool:
        """Whether its key allows `scope`."""
        return scope in self.scopes or "admin" in self.scopes

    def require(self, *scopes: str) -> None:
        """Raises Forbidden unless the caller holds each of `scopes`; `admin` holds them all."""
        missing = [scope for scope in scopes if scope not in self.scopes]
        if missing and "admin" not in self.scopes:
            raise Forbidden(f"this needs a key with the scope {', '.join(missing)}")


@dataclass(frozen=True, slots=True)
class _StoredKey:
    """A key with the SHA-256 of each of its secrets, and until when that one is valid."""

    principal: Principal
    secrets: tuple[tuple[bytes, datetime], ...]

    def until(self, digest: bytes) -> datetime | None:
        """Until when a secret of this digest is valid, None when it is none of this key's."""
        for known, until in self.secrets:
            if hmac.compare_digest(known, digest):
                return until
        return None


@dataclass(frozen=True, slots=True)
class _Seen:
    """A header whose secret was found right."""

    principal: Principal
    digest: bytes
    until: datetime


LOCAL: Final = Principal("local", frozenset(SCOPES))


def new_key() -> tuple[str, str, bytes]:
    """(id, the whole key as it is shown once, the SHA-256 of its secret as it is stored)."""
    key_id = _random(12)
    return key_id, *new_secret(key_id)


def new_secret(key_id: str) -> tuple[str, bytes]:
    """(the whole key as it is shown once, the SHA-256 of its secret) of a key that has an id."""
    secret = _random(32)
    return f"cw_{key_id}_{secret}{_checksum(key_id, secret)}", hashlib.sha256(secret.encode()).digest()


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _checksum(key_id: str, secret: str) -> str:
    number, digits = zlib.crc32(f"{key_id}_{secret}".encode()), ""
    for _ in range(6):
        number, digit = divmod(number, len(_ALPHABET))
        digits += _ALPHABET[digit]
    return digits


class Authenticator:
    """Tells callers by their key. One object a process; `keep_fresh` runs beside it."""

    def __init__(self, engine: AsyncEngine, *, open_loopback: bool, quotas: Quotas | None = None) -> None:
        self._engine = engine
        self._open_loopback = open_loopback
        self._quotas = quotas
        self._keys: dict[str, _StoredKey] = {}
        # Keys of `_keys` whose secret was found right, by the header that brings them. A dictionary compares only what has the same keyed
        # hash, so how long it takes tells nothing about a secret.
        self._by_header: dict[bytes, _Seen] = {}
        self._miss_budget = float(_MISSES_PER_SECOND)
        self._miss_at = time.monotonic()

    def known(self, headers: Mapping[bytes, bytes], client: Sequence[Any] | None) -> Principal | None:
        """The caller of a request, where that can be told at once; otherwise `authenticate` finds out.

        `headers` has each header once, with names in lower case.
        """
        authorization = headers.get(b"authorization")
        if authorization is None:
            is_open = self._open_loopback and _FORWARDING.isdisjoint(headers) and _is_local(client, headers.get(b"host"))
            return LOCAL if is_open else None
        seen = self._by_header.get(authorization)
        if seen is None or (seen.until is not _FOREVER and seen.until <= datetime.now(UTC)):
            return None
        return seen.principal

    async def authenticate(self, scope: AsgiScope, *scopes: str) -> Principal:
        """The caller of this ASGI request, who holds `scopes`.

        Waits for the database only when a well-formed key is not known yet. Raises Unauthorized, Forbidden, Unavailable.
        """
        authorization = forwarded = host = None
        for name, value in scope["headers"]:
            if name == b"authorization":
                if authorization is not None:
                    raise Unauthorized("the Authorization header is there twice")
                authorization = value
            elif name == b"host":
                host = value
            elif name in _FORWARDING:
                forwarded = value
        if authorization is None:
            # A proxy on this machine makes every caller look local, and a web page can reach us under a name of its own.
            if self._open_loopback and forwarded is None and _is_local(scope.get("client"), host):
                return LOCAL
            raise Unauthorized("send the key as 'Authorization: Bearer cw_...'")
        principal = await self._identify(authorization)
        principal.require(*scopes)
        return principal

    async def _identify(self, authorization: bytes) -> Principal:
        scheme, _, token = authorization.decode("latin-1").partition(" ")
        match = _KEY.fullmatch(token.strip()) if scheme.lower() == "bearer" else None
        if match is None or not hmac.compare_digest(_checksum(match[1], match[2]), match[3]):
            raise Unauthorized("this is not a key of this service")
        digest = hashlib.sha256(match[2].encode()).digest()
        known = self._keys.get(match[1]) or await self._look_up(match[1])
        until = None if known is None else known.until(digest)
        if known is None or until is None:
            raise Unauthorized("the key is not known or was revoked")
        if until <= datetime.now(UTC):
            raise Unauthorized("the key has expired")
        # In this one spelling, so that there are at most as many as secrets; and only what was not revoked while we waited.
        if known is self._keys.get(match[1]) and authorization == b"Bearer " + match[0].encode():
            self._by_header[authorization] = _Seen(known.principal, digest, until)
        return known.principal

    async def _look_up(self, key_id: str) -> _StoredKey | None:
        """A key made a moment ago, perhaps by another process. Rationed: made-up keys with a good checksum must not become a flood of queries."""
        now = time.monotonic()
        self._miss_budget = min(_MISSES_PER_SECOND, self._miss_budget + (now - self._miss_at) * _MISSES_PER_SECOND)
        self._miss_at = now
        if self._miss_budget < 1:
            raise Unavailable("too many unknown keys at once")
        self._miss_budget -= 1
        found = await self._read(key_id)
        self._keys.update(found)
        return found.get(key_id)

    async def refresh(self) -> None:
        """Reads all valid keys anew. Raises Unavailable."""
        self._keys = await self._read(None)
        self._by_header = {
            header: _Seen(fresh.principal, seen.digest, until)
            for header, seen in self._by_header.items()
            if (fresh := self._keys.get(seen.principal.id)) is not None and (until := fresh.until(seen.digest)) is not None
        }
        if self._quotas is not None:
            self._quotas.keep(self._keys)

    async def keep_fresh(self, *, note_failure: NoteFailure) -> None:
        """Runs until cancelled: `refresh` each second. While the database is away the keys last read stay valid."""
        while True:
            try:
                await self.refresh()
            except Unavailable as error:
                note_failure("keys", error)
            await asyncio.sleep(REFRESH_SECONDS)

    async def _read(self, key_id: str | None) -> dict[str, _StoredKey]:
        query = select(
            api_keys.c.id,
            api_keys.c.secret_sha256,
            api_keys.c.previous_sha256,
            api_keys.c.previous_until,
            api_keys.c.scopes,
            api_keys.c.expires_at,
            api_keys.c.requests_per_second,
            api_keys.c.burst,
            api_keys.c.concurrent,
        ).where(api_keys.c.revoked_at.is_(None))
        if key_id is not None:
            query = query.where(api_keys.c.id == key_id)
        async with transaction(self._engine) as connection:
            rows = (await connection.execute(query)).all()
        return {row.id: self._stored(row) for row in rows}

    def _stored(self, row: Any) -> _StoredKey:
        until = row.expires_at or _FOREVER
        secrets_until = [(row.secret_sha256, until)]
        if row.previous_sha256 is not None:
            secrets_until.append((row.previous_sha256, min(until, row.previous_until)))
        limits = Limits(row.requests_per_second, row.burst, row.concurrent)
        quota = None if self._quotas is None else self._quotas.of(row.id, limits)
        return _StoredKey(Principal(row.id, frozenset(row.scopes), quota), tuple(secrets_until))


def _is_local(client: Sequence[Any] | None, host: bytes | None) -> bool:
    return client is not None and _is_loopback(client[0]) and _is_own_name(host)


@lru_cache(maxsize=64)
def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _is_own_name(host: bytes | None) -> bool:
    name = (
        (host or b"").decode("latin-1").rsplit(":", 1)[0] if not (host or b"").endswith(b"]") else (host or b"").decode("latin-1")
    )
    return name in ("localhost", "127.0.0.1", "[::1]")
