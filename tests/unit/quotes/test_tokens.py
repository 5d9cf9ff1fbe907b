import base64
import contextlib
import hashlib
import hmac

import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from app.quotes.tokens import KeyRing, SigningKey, TokenError
from tests.forged import forgeries

NEW, OLD = SigningKey("2026-11", b"n" * 32), SigningKey("2026-10", b"o" * 40)
BODY = b'"currency":"USD","lines":[]'
NOW_S = 1_764_000_000


def sign(ring: KeyRing, *, customer_id: str | None = "c-17") -> str:
    return ring.sign(
        quote_id="0197c0de-0000-7000-8000-00000000abcd",
        version=42,
        currency="USD",
        total_minor=2838,
        issued_ms=NOW_S * 1000 + 7,
        expires_ms=(NOW_S + 900) * 1000 + 7,
        customer_id=customer_id,
        body=BODY,
    ).decode()


def test_joserfc_verifies_what_we_sign() -> None:
    token = sign(KeyRing([NEW, OLD], issuer="shop"))

    decoded = jwt.decode(token, OctKey.import_key(NEW.secret), algorithms=["HS256"])

    assert decoded.header == {"alg": "HS256", "kid": "2026-11", "typ": "JWT"}
    assert decoded.claims == {
        "iss": "shop",
        "jti": "0197c0de-0000-7000-8000-00000000abcd",
        "ver": 42,
        "cur": "USD",
        "tot": 2838,
        "exp": NOW_S + 901,  # 900.007 s rounded up
        "iat": NOW_S,
        "cus": "c-17",
        "ord": base64.urlsafe_b64encode(hashlib.sha256(BODY).digest()).rstrip(b"=").decode(),
    }


@pytest.mark.parametrize("customer_id", ['"', "\\", "Zoë 👟", "</script>"])
def test_odd_customers_are_signed_as_they_are(customer_id: str) -> None:
    ring = KeyRing([NEW], issuer='a "shop"')

    claims = ring.verify(sign(ring, customer_id=customer_id), now_s=NOW_S)

    assert claims.cus == customer_id
    assert claims.iss == 'a "shop"'


def test_no_customer_no_claim() -> None:
    ring = KeyRing([NEW], issuer="shop")

    assert ring.verify(sign(ring, customer_id=None), now_s=NOW_S).cus is None


def test_after_a_rotation_old_tokens_hold_until_their_key_is_dropped() -> None:
    token = sign(KeyRing([OLD], issuer="shop"))

    assert KeyRing([NEW, OLD], issuer="shop").verify(token, now_s=NOW_S).tot == 2838
    with pytest.raises(TokenError):
        KeyRing([NEW], issuer="shop").verify(token, now_s=NOW_S)


def test_honoured_until_it_expires_by_clocks_that_differ_and_no_longer() -> None:
    ring = KeyRing([NEW], issuer="shop")
    token = sign(ring)

    assert ring.verify(token, now_s=NOW_S - 90).tot == 2838
    assert ring.verify(token, now_s=NOW_S + 900 + 90).tot == 2838
    with pytest.raises(TokenError, match="expired"):
        ring.verify(token, now_s=NOW_S + 901 + 120)
    with pytest.raises(TokenError, match="future"):
        ring.verify(token, now_s=NOW_S - 121)


def test_another_issuer_is_refused() -> None:
    with pytest.raises(TokenError, match="issuer"):
        KeyRing([NEW], issuer="shop").verify(sign(KeyRing([NEW], issuer="other")), now_s=NOW_S)


def _forged(header: dict[str, str], secret: bytes) -> str:
    claims = {"iss": "shop", "jti": "x", "ver": 1, "cur": "USD", "tot": 1, "exp": NOW_S + 900, "iat": NOW_S, "ord": ""}
    signed = b".".join(base64.urlsafe_b64encode(msgspec.json.encode(part)).rstrip(b"=") for part in (header, claims))
    return (signed + b"." + base64.urlsafe_b64encode(hmac.digest(secret, signed, "sha256")).rstrip(b"=")).decode()


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b.c",
        "ä",
        _forged({"alg": "HS256", "kid": "2026-11"}, b"x" * 32),
        _forged({"alg": "HS256", "kid": "unknown"}, NEW.secret),
        _forged({"alg": "none", "kid": "2026-11"}, NEW.secret),
        _forged({"alg": "HS512", "kid": "2026-11"}, NEW.secret),
        sign(KeyRing([NEW], issuer="shop"))[:-2],
        sign(KeyRing([NEW], issuer="shop")) + "A",
    ],
)
def test_forged_and_broken_tokens_are_refused(token: str) -> None:
    with pytest.raises(TokenError):
        KeyRing([NEW, OLD], issuer="shop").verify(token, now_s=NOW_S)


def test_every_changed_character_of_the_payload_is_noticed() -> None:
    ring = KeyRing([NEW], issuer="shop")
    header, payload, mac = sign(ring).split(".")

    for position in range(len(payload)):
        other = "A" if payload[position] != "A" else "B"
        with pytest.raises(TokenError):
            ring.verify(f"{header}.{payload[:position]}{other}{payload[position + 1 :]}.{mac}", now_s=NOW_S)


def test_short_secrets_and_doubled_names_are_refused() -> None:
    with pytest.raises(ValueError, match="fewer than 32"):
        SigningKey("k", b"short")
    with pytest.raises(ValueError, match="same kid"):
        KeyRing([NEW, NEW], issuer="shop")
    with pytest.raises(ValueError, match="at least one"):
        KeyRing([], issuer="shop")


def test_nothing_that_is_forged_is_read() -> None:
    ring = KeyRing([NEW, OLD], issuer="shop")
    token = sign(ring)
    assert ring.verify(token, now_s=NOW_S).tot == 2838

    accepted = []
    for name, forged in forgeries(token, NEW.kid, "2027-01", "x" * 32):
        with contextlib.suppress(TokenError):
            ring.verify(forged, now_s=NOW_S)
            accepted.append(name)

    assert accepted == []


def test_keys_that_cannot_be_used_change_nothing() -> None:
    ring = KeyRing([NEW], issuer="shop")
    token = sign(ring)

    for keys in ([], [OLD, OLD]):
        with pytest.raises(ValueError, match="key"):
            ring.replace(keys)

    assert ring.kids == [NEW.kid]
    assert ring.verify(token, now_s=NOW_S).tot == 2838


def test_each_key_says_its_own_name() -> None:
    ring = KeyRing([OLD], issuer="shop")
    old = sign(ring)
    ring.replace([NEW, OLD])
    new = sign(ring)

    assert jwt.decode(old, OctKey.import_key(OLD.secret), algorithms=["HS256"]).header["kid"] == OLD.kid
    assert jwt.decode(new, OctKey.import_key(NEW.secret), algorithms=["HS256"]).header["kid"] == NEW.kid
    assert ring.verify(old, now_s=NOW_S) == ring.verify(new, now_s=NOW_S)
