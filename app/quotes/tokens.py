"""Signed quotes: a compact JWS (RFC 7515) with HS256 that a checkout verifies by itself and hands back."""

import hashlib
import hmac
from binascii import a2b_base64, b2a_base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

_ALGORITHM: Final = "HS256"
_SECRET_BYTES_MIN: Final = 32
_LEEWAY_S: Final = 120
# Far more than any token of ours has: a customer's id is the one part whose length is not ours.
_TOKEN_CHARACTERS_MAX: Final = 4_096
_URLSAFE: Final = bytes.maketrans(b"+/", b"-_")
_STANDARD: Final = bytes.maketrans(b"-_", b"+/")


class TokenError(Exception):
    """The token is not one of ours, was changed, or has expired. The message says which."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A named secret of at least 32 bytes."""

    kid: str
    secret: bytes

    def __post_init__(self) -> None:
        if len(self.secret) < _SECRET_BYTES_MIN:
            raise ValueError(f"the signing key {self.kid!r} has fewer than {_SECRET_BYTES_MIN} bytes")


class Claims(msgspec.Struct, frozen=True):
    """What a token says: the quote `jti` by price book `ver` costs `tot` minor units of `cur` until `exp`.

    `ord` is the SHA-256, base64url, of the reply's bytes from `"currency"` up to the comma before `"token"`.
    """

    iss: str
    jti: str
    ver: int
    cur: str
    tot: int
    exp: int
    iat: int
    ord: str
    cus: str | None = None


class KeyRing:
    """Signs with the newest key and verifies with all of them; `keys` run from the newest to the oldest, and may be replaced while it is used."""

    def __init__(self, keys: Sequence[SigningKey], *, issuer: str) -> None:
        self._issuer = issuer
        self._payload_start = '{"iss":' + msgspec.json.encode(issuer).decode() + ',"jti":"'
        self.replace(keys)

    @property
    def kids(self) -> list[str]:
        """The names of the keys, that of the signing one first."""
        return [key.kid for key in self._keys]

    def replace(self, keys: Sequence[SigningKey]) -> None:
        """Use these from now on. Raises ValueError, and then nothing has changed."""
        if not keys:
            raise ValueError("a key ring needs at least one signing key")
        if len({key.kid for key in keys}) != len(keys):
            raise ValueError("two signing keys have the same kid")
        self._keys = tuple(keys)
        # hmac copies a prepared state cheaper than it hashes the key's block again for each token.
        self._macs = {_header_of(key): hmac.new(key.secret, digestmod=hashlib.sha256) for key in keys}
        header = _header_of(keys[0])
        self._header = header + b"."
        self._newest = self._macs[header]

    def sign(
        self,
        *,
        quote_id: str,
        version: int,
        currency: str,
        total_minor: int,
        issued_ms: int,
        expires_ms: int,
        customer_id: str | None,
        body: bytes,
    ) -> bytes:
        """Make the token of a quote whose reply has the members `body`.

        NumericDates are whole seconds; `exp` is rounded up, so that a token never dies before the quote's `expires_at`.
        """
        order = _base64url(hashlib.sha256(body).digest()).decode()
        customer = "" if customer_id is None else ',"cus":' + msgspec.json.encode(customer_id).decode()
        payload = (
            f'{self._payload_start}{quote_id}","ver":{version},"cur":"{currency}","tot":{total_minor},"exp":{-(-expires_ms // 1000)},'
            f'"iat":{issued_ms // 1000}{customer},"ord":"{order}"}}'
        )
        signed = self._header + _base64url(payload.encode())
        mac = self._newest.copy()
        mac.update(signed)
        return signed + b"." + _base64url(mac.digest())

    def verify(self, token: str, *, now_s: int, leeway_s: int = _LEEWAY_S) -> Claims:
        """Read a token that one of our keys signed and that has not expired, `leeway_s` allowed for clocks that differ.

        Only what `sign` writes is read: a header that is another by a single byte, be it another algorithm or none, names no key of ours.
        Raises TokenError.
        """
        if len(token) > _TOKEN_CHARACTERS_MAX or not token.isascii():
            raise TokenError("the token is not one of ours")
        signed, _, given = token.encode().rpartition(b".")
        header, _, payload = signed.partition(b".")
        prepared = self._macs.get(header)
        if prepared is None:
            raise TokenError("the token is of no key of ours")
        mac = prepared.copy()
        mac.update(signed)
        if not hmac.compare_digest(_base64url(mac.digest()), given):
            raise TokenError("the token was changed")
        # Whoever can sign is one of us, so what is wrong from here on is a mistake of ours, or of somebody who shares the key.
        try:
            claims = msgspec.json.decode(a2b_base64(payload.translate(_STANDARD) + b"=="), type=Claims)
        except (ValueError, msgspec.DecodeError) as problem:
            raise TokenError("the token's claims cannot be read") from problem
        if claims.iss != self._issuer:
            raise TokenError("the token is of another issuer")
        if now_s >= claims.exp + leeway_s:
            raise TokenError("the token has expired")
        if claims.iat > now_s + leeway_s:
            raise TokenError("the token is from the future")
        return claims


def _header_of(key: SigningKey) -> bytes:
    return _base64url(msgspec.json.encode({"alg": _ALGORITHM, "kid": key.kid, "typ": "JWT"}))


def _base64url(octets: bytes) -> bytes:
    return b2a_base64(octets, newline=False).translate(_URLSAFE, b"=")
