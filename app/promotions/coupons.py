"""Coupons: the codes that unlock a promotion, listed or generated."""

import secrets
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, StringConstraints

from app.errors import FieldError
from app.pricing.code_table import generated_by
from app.pricing.generated_codes import COUNT_MAX
from app.resources.fields import Body, Code, Count, Id, plain_code
from app.resources.resource import Earlier, Resource

_SEED_BYTES: Final = 16
_PREFIX_CHARACTERS: Final = 32


def _prefix(text: str) -> str:
    prefix = plain_code(text)
    if len(prefix) > _PREFIX_CHARACTERS:  # which normalising makes of fewer
        raise ValueError(f"a prefix has at most {_PREFIX_CHARACTERS} characters")
    return prefix


class Generate(Body):
    """Unique codes, so many in all: the prefix and 18 letters and digits. The same ones when it is sent again; with a higher count those and more."""

    count: Annotated[int, Field(ge=1, le=COUNT_MAX, description="How many codes there are, not how many to add.")]
    prefix: Annotated[
        str,
        StringConstraints(max_length=_PREFIX_CHARACTERS),
        AfterValidator(_prefix),
        Field(description="What each code begins with; another prefix makes other codes."),
    ] = ""
    seed: Annotated[
        str | None,
        StringConstraints(pattern=f"^[0-9a-f]{{{2 * _SEED_BYTES}}}$"),
        Field(description="What the codes are made of. Leave it out: the one there is stays, or a new one is drawn."),
    ] = None


class CouponLimits(Body):
    """How often codes may be used. A hold takes a use; it is refused where none is left."""

    uses: Annotated[Count | None, Field(description="Orders with any of the codes.")] = None
    uses_per_customer: Annotated[Count | None, Field(description="Orders of a customer; needs a `customer.id`.")] = None
    uses_per_code: Annotated[
        Count | None, Field(description="Orders with the same code; 1 of generated codes where it is left out.")
    ] = None


def _none_if_empty(limits: CouponLimits | None) -> CouponLimits | None:
    return None if limits == CouponLimits() else limits


class Coupon(Body):
    """Codes of a promotion, listed or generated. They are trimmed, NFKC-normalised and upper-cased; a code belongs to one coupon."""

    promotion: Id
    codes: Annotated[list[Code], Field(max_length=10_000)] = []
    generate: Generate | None = None
    limits: Annotated[CouponLimits | None, AfterValidator(_none_if_empty)] = None


def _check(body: Mapping[str, Any]) -> list[FieldError]:
    if not body["codes"] and not body["generate"]:
        return [FieldError("codes", "missing", "give codes, or generate")]
    if body["codes"] and body["generate"]:
        return [FieldError("generate", "one_of", "give either codes or generate")]
    twice = {code for code, count in Counter(body["codes"]).items() if count > 1}
    return [
        FieldError(f"codes[{number}]", "duplicate", "the same code stands here twice")
        for number, code in enumerate(body["codes"])
        if code in twice and code in body["codes"][:number]
    ]


async def _complete(body: Mapping[str, Any], earlier: Earlier) -> Mapping[str, Any]:
    """Codes stay what they are as long as their seed does."""
    made = body["generate"]
    if made is None or made["seed"] is not None:
        return body
    before = (await earlier() or {}).get("generate") or {}
    return {**body, "generate": {**made, "seed": before.get("seed") or secrets.token_hex(_SEED_BYTES)}}


def page_of_codes(body: Mapping[str, Any], after: int, limit: int) -> list[str]:
    """Up to `limit` codes of a coupon's body, beginning with number `after`."""
    generated = generated_by(body)
    if generated is None:
        return list(body["codes"][after : after + limit])
    return [generated.code(number) for number in range(after, min(after + limit, generated.n_codes))]


COUPONS = Resource("coupons", "Coupon", (Coupon,), "promotions", check=_check, complete=_complete)
