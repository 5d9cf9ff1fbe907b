"""Worked examples through the reference and the engine: both must say the same, and it is what the example says."""

from typing import Any

from tests.reference.agreement import compiled, difference, engine_replies, reference_reply
from tests.reference.builders import AT, PUBLISHED_AT_US, Resources
from tests.reference.shop import Body
from tests.reference.times import instant_us


def both(lines: list[tuple[str, int | str]], resources: Resources, *, at: str = AT, **sent: Any) -> Body:
    """Price lines of (SKU, quantity) by both, as `builders.quote` does by the reference alone."""
    documents: dict[str, Any] = {name: {"default": body} if name == "policy" else body for name, body in resources.items()}
    asked = [{"id": str(i), "sku": sku, "quantity": quantity} for i, (sku, quantity) in enumerate(lines, start=1)]
    body, at_us = {"currency": "USD", "lines": asked, **sent}, instant_us(at)
    expected = reference_reply(documents, {}, body, at_us, PUBLISHED_AT_US)
    found = engine_replies(compiled(documents, {}, PUBLISHED_AT_US), [body], [at_us])[0]
    assert (how := difference(found, expected)) is None, how
    return expected
