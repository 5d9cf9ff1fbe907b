"""The codes of coupons, each made from its number as the page says, and looked up among all of them."""

from collections.abc import Mapping
from functools import cache
from hashlib import blake2b

from tests.reference.shop import Body, normal_code

LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"


def promotion_of_each_code(coupons: Mapping[str, Body]) -> dict[str, str]:
    """Return every code there is with its promotion; a listed one goes before the same generated, then the first coupon."""
    generated: dict[str, str] = {}
    for _, body in sorted(coupons.items()):
        made = body.get("generate") or {"count": 0}
        for number in range(made["count"]):
            generated.setdefault(generated_code(made["prefix"], made["seed"], number), body["promotion"])
    return generated | {normal_code(code): body["promotion"] for body in coupons.values() for code in body["codes"]}


def coupon_of(coupons: Mapping[str, Body], code: str) -> str | None:
    """Return the coupon that a code belongs to: the one that lists it, or the first that generates it."""
    for is_listed in (True, False):
        for coupon, body in sorted(coupons.items()):
            if bool(body.get("generate")) != is_listed and code in promotion_of_each_code({coupon: body}):
                return coupon
    return None


@cache
def generated_code(prefix: str, seed: str, number: int) -> str:
    """Return the code of a number."""

    def hashed(use: str, content: bytes) -> int:
        key, text = bytes.fromhex(seed), prefix.encode() + bytes(1) + content
        return int.from_bytes(blake2b(text, digest_size=8, key=key, person=use.encode()).digest(), "big")

    proof = hashed("proof", number.to_bytes(4, "big")) % 2**60
    hidden = number ^ (hashed("mask", proof.to_bytes(8, "big")) % 2**20)
    return prefix + _in_letters(hashed("mark", b""), 2) + _in_letters(hidden, 4) + _in_letters(proof, 12)


def _in_letters(value: int, count: int) -> str:
    digits = []
    for _ in range(count):
        value, digit = divmod(value, 32)
        digits.append(LETTERS[digit])
    return "".join(reversed(digits))
