"""What both doors of holds take a request for: the route of router.py, and plain.py."""

from collections.abc import Callable
from typing import Final

from app.redemptions.entries import SignedQuote

ORDER_PATTERN: Final = r"^[^\x00-\x1f\x7f]+$"
type QuoteOfToken = Callable[[str], SignedQuote]
