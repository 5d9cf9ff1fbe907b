"""Why a hold, a confirm, a release or a return is refused: one exception class a problem type."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from app.errors import NotFound, Problem, ValidationFailed
from app.redemptions.protocol import Amount, Reason, Refused


class _State(Problem):
    """The request is fine and the state does not allow it."""

    status = 409


class LimitReached(_State):
    """Too little is left of a limit; `limits` says of which and how much."""

    slug, title = "limit_reached", "A limit is reached"

    def __init__(self, short: Iterable[Amount]) -> None:
        self.short = tuple(short)
        super().__init__(errors=[(one.meter, "limit_reached", f"{one.amount} left") for one in self.short])

    def document(self) -> dict[str, Any]:
        return super().document() | {"limits": [{"meter": one.meter, "left": one.amount} for one in self.short]}


class ReturnsTooMuch(_State):
    """More would come back of a line than was sold and is not back yet."""

    slug, title = "returns_too_much", "More would be returned than was sold"


class QuoteExpired(_State):
    """The quote does not bind any more; ask for a new one."""

    slug, title = "quote_expired", "The quote has expired"


class QuoteHeld(_State):
    """Another order has this quote."""

    slug, title = "quote_held", "Another order has this quote"


class OrderConfirmed(_State):
    """The order is confirmed with another quote."""

    slug, title = "order_confirmed", "The order is confirmed already"


class OtherOrder(_State):
    """The hold is another order's."""

    slug, title = "other_order", "The hold is another order's"


class HoldExpired(_State):
    """Its time was over before it was confirmed, and what it held was given back."""

    slug, title = "hold_expired", "The hold has expired"


class HoldReleased(_State):
    """What it held was given back."""

    slug, title = "hold_released", "The hold was released"


class HoldUsed(_State):
    """It is confirmed; what comes back is a return."""

    slug, title = "hold_used", "The hold is confirmed"


class HoldNotUsed(_State):
    """Only what was confirmed can be returned."""

    slug, title = "hold_not_used", "The hold is not confirmed"


_STATES: Final[Mapping[str, type[_State]]] = {
    kind.slug: kind
    for kind in (QuoteExpired, QuoteHeld, OrderConfirmed, OtherOrder, HoldExpired, HoldReleased, HoldUsed, HoldNotUsed)
}


def problem_of(refused: Refused) -> Problem:
    """What the caller is told."""
    reason: Reason = refused.reason
    match reason:
        case "limit_reached":
            return LimitReached(refused.short)
        case "returns_too_much":
            return ReturnsTooMuch(
                errors=[(f"lines[{line}]", reason, f"{_decimal(milli)} are not back yet") for line, milli in refused.short]
            )
        case "unknown_quote":
            return NotFound("There is no such quote.")
        case "unknown_hold":
            return NotFound("There is no such hold.")
        case "unknown_line":
            return ValidationFailed(
                errors=[(f"lines[{line}]", reason, "the quote has no such line") for line, _ in refused.short]
            )
        case "customer_needed":
            return ValidationFailed(
                "The quote draws on limits of a customer, and its request named none.",
                errors=[(meter, reason, "needs a quote with customer.id") for meter, _ in refused.short],
            )
    return _STATES[reason]()


def _decimal(milli: int) -> str:
    whole, rest = divmod(milli, 1000)
    return f"{whole}.{rest:03d}".rstrip("0") if rest else str(whole)
