"""Charm endings: the price near p whose last digits are wanted."""

from collections.abc import Callable
from fractions import Fraction

from tests.reference.figures import ceiling_of, floor_of
from tests.reference.guardrails import Bounds
from tests.reference.shop import Body

Gain = Callable[[int], Fraction]


def ending_price_e4(endings: Body, price_e4: int, bounds: Bounds, gain: Gain | None) -> int | None:
    """Return the ending chosen for a price, or None where no permitted price has one of the endings."""
    wanted = _band(endings, price_e4)
    lower = _greatest(wanted, price_e4, bounds)
    upper = _least(wanted, price_e4, bounds)
    if lower is None or upper is None:
        return upper if lower is None else lower
    direction = endings.get("direction") or "nearest"
    if direction == "down":
        return lower
    if direction == "up":
        return upper
    if direction == "profit" and gain is not None:
        low, high = gain(lower), gain(upper)
        if abs(low - high) > Fraction(1, 10**9) * max(abs(low), abs(high)):
            return upper if high > low else lower
    return upper if upper - price_e4 < price_e4 - lower else lower


def least_ending_e4(endings: Body, price_e4: int, bounds: Bounds) -> int | None:
    """Return the least permitted ending at or above a price, of its band."""
    return _least(_band(endings, price_e4), price_e4, bounds)


def greatest_ending_e4(endings: Body, price_e4: int, bounds: Bounds) -> int | None:
    """Return the greatest permitted ending at or below a price, of its band."""
    return _greatest(_band(endings, price_e4), price_e4, bounds)


def _band(endings: Body, price_e4: int) -> list[str]:
    for band in endings["bands"]:
        if band["up_to"] is None or price_e4 <= band["up_to"] * 10_000:
            return list(band["endings"])
    return []


def _greatest(wanted: list[str], price_e4: int, bounds: Bounds) -> int | None:
    top_e4 = price_e4 if bounds.ceiling is None else min(price_e4, bounds.ceiling.unit_e4)
    top = floor_of(Fraction(top_e4, 10_000))
    found = [top - (top - int(ending)) % 10 ** len(ending) for ending in wanted]
    return _permitted(max(found), bounds) if found else None


def _least(wanted: list[str], price_e4: int, bounds: Bounds) -> int | None:
    bottom_e4 = price_e4 if bounds.floor is None else max(price_e4, bounds.floor.unit_e4)
    bottom = max(1, ceiling_of(Fraction(bottom_e4, 10_000)))
    found = [bottom + (int(ending) - bottom) % 10 ** len(ending) for ending in wanted]
    return _permitted(min(found), bounds) if found else None


def _permitted(price: int, bounds: Bounds) -> int | None:
    price_e4 = price * 10_000
    return price_e4 if price > 0 and bounds.permits(price_e4) else None
