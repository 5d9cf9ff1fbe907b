"""Coupons: the codes that unlock a promotion."""

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from app.errors import FieldError
from app.resources.fields import Body, Code, Id
from app.resources.not_available import not_available
from app.resources.resource import Resource


class Coupon(Body):
    """Codes of a promotion. They are trimmed, NFKC-normalised and upper-cased; a code belongs to one coupon."""

    promotion: Id
    codes: Annotated[list[Code], Field(min_length=1, max_length=10_000)]
    generate: Annotated[None, not_available()] = Field(None, exclude=True)


def _check(body: Mapping[str, Any]) -> list[FieldError]:
    twice = {code for code, count in Counter(body["codes"]).items() if count > 1}
    return [
        FieldError(f"codes[{number}]", "duplicate", "the same code stands here twice")
        for number, code in enumerate(body["codes"])
        if code in twice and code in body["codes"][:number]
    ]


COUPONS = Resource("coupons", "Coupon", (Coupon,), "promotions", check=_check)
