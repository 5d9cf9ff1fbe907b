"""Tokens that are not ours, or not any more: every way that a real one is usually bent."""

import base64
import hmac
import json
from collections.abc import Iterator
from typing import Any


def base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def claims_of(token: str) -> dict[str, Any]:
    """What a token says, whoever signed it."""
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return claims


def signed(header: dict[str, Any], claims: dict[str, Any], secret: str, algorithm: str = "sha256") -> str:
    """A token of this header and these claims."""
    body = ".".join(base64url(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
    return f"{body}.{base64url(hmac.digest(secret.encode(), body.encode(), algorithm))}"


def forgeries(token: str, kid: str, other_kid: str, other_secret: str) -> Iterator[tuple[str, str]]:
    """(what was done, the token after it) for a real token that the key `kid` signed. Nobody who verifies may accept one of them.

    `other_kid` and `other_secret` are of a key that the verifier does not have.
    """
    head, payload, signature = token.split(".")
    claims = claims_of(token)
    header = {"alg": "HS256", "kid": kid, "typ": "JWT"}
    none = base64url(json.dumps({"alg": "none", "typ": "JWT"}).encode())
    yield "no algorithm", f"{none}.{payload}."
    yield "no algorithm, old signature", f"{none}.{payload}.{signature}"
    yield "no algorithm, our kid", f"{base64url(json.dumps({**header, 'alg': 'none'}).encode())}.{payload}."
    yield "another algorithm", signed({**header, "alg": "HS512"}, claims, other_secret, "sha512")
    yield "another kid, its secret", signed({**header, "kid": other_kid}, claims, other_secret)
    yield "our kid, another secret", signed(header, claims, other_secret)
    yield "an empty secret", signed(header, claims, "")
    yield "the kid as the secret", signed(header, claims, kid)
    for name, value in (
        ("tot", 1),
        ("exp", claims["exp"] + 10_000_000),
        ("cur", "JPY"),
        ("iss", "other"),
        ("ord", "A" * 43),
        ("jti", "x"),
    ):
        yield f"another {name}", f"{head}.{base64url(json.dumps({**claims, name: value}).encode())}.{signature}"
    yield "truncated", token[:-1]
    yield "without signature", f"{head}.{payload}."
    yield "two parts", f"{head}.{payload}"
    yield "four parts", f"{token}.{signature}"
    yield "one character more", token + "A"
    yield "padded", token + "="
    yield "a space before", " " + token
    yield "a line end behind", token + "\n"
    yield "the signature of another spelling", f"{head}.{payload}.{signature[:-1]}{_next(signature[-1])}"
    yield "oversized", f"{head}.{'A' * 1_000_000}.{signature}"
    yield "nothing", ""
    yield "dots", ".."
    yield "not ASCII", token[:-1] + "é"


def _next(character: str) -> str:
    """The next of the alphabet: of the last character of a SHA-256 only four bits count, so it often decodes to the same bytes."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return alphabet[alphabet.index(character) ^ 1]
