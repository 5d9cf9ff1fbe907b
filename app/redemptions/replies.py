"""What is told about a hold."""

from datetime import UTC, datetime

import msgspec

from app.redemptions.protocol import Hold

_encode = msgspec.json.Encoder().encode


def format_instant(at_ms: int) -> str:
    """RFC 3339 in UTC with milliseconds."""
    whole_s, milli = divmod(at_ms, 1000)
    return f"{datetime.fromtimestamp(whole_s, UTC):%Y-%m-%dT%H:%M:%S}.{milli:03d}Z"


def held_reply(hold: Hold, left: tuple[int, ...]) -> bytes:
    """The reply to who took a hold; `left` is what was left of each meter of its draws then."""
    draws = [
        {"meter": draw.meter, "amount": draw.amount, "left": at_meter} for draw, at_meter in zip(hold.draws, left, strict=True)
    ]
    return _encode(
        {
            "id": str(hold.id),
            "quote": str(hold.quote_id),
            "order": hold.order,
            "state": "held",
            "expires_at": format_instant(hold.expires_ms),
            "draws": draws,
        }
    )


def changed_reply(hold: Hold, changed_ms: int) -> bytes:
    """The reply to who confirmed or released a hold, the same each time."""
    return _encode(
        {
            "id": str(hold.id),
            "quote": str(hold.quote_id),
            "order": hold.order,
            "state": hold.state,
            "at": format_instant(changed_ms),
        }
    )
