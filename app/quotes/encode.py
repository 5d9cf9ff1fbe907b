"""Priced baskets as the bytes of their replies."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from app.pricing.basket import Basket
from app.pricing.book import PriceBook
from app.pricing.explain import explain
from app.pricing.quote import Priced

_ENCODER = msgspec.json.Encoder()


class EncodedQuote(NamedTuple):
    """One reply without what depends on its id, its instant and its signature."""

    errors: tuple[tuple[str, str, str], ...]  # (path, code, message); they refuse the request unless it accepts a part
    body: bytes  # JSON members without braces, from "currency" to "disclosures"
    subtotal_minor: int
    discount_minor: int
    total_minor: int  # shipping included
    discount_by_kind: tuple[tuple[str, int], ...]


def encode_quotes(book: PriceBook, baskets: Sequence[Basket], priced: Priced, *, partial: Sequence[bool]) -> list[EncodedQuote]:
    """Encode a batch. A request that accepts a part is refused only for what is not a line's own fault."""
    replies = []
    for explained, is_partial in zip(explain(book, baskets, priced), partial, strict=True):
        errors = explained.request_errors if is_partial else explained.line_errors + explained.request_errors
        # Codes are judged on what could be priced, so they are worth a word only when the rest of the request stands.
        errors = errors or explained.code_errors
        body = b"" if errors else _ENCODER.encode(explained.members)[1:-1]
        replies.append(
            EncodedQuote(
                errors,
                body,
                explained.subtotal_minor,
                explained.discount_minor,
                explained.total_minor,
                explained.discount_by_kind,
            )
        )
    return replies
