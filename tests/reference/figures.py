"""Numbers of the reference: exact integers in small units, one rounding, and decimals as they are shown."""

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Final

AMOUNT_MAX_MINOR = 900_000_000_000
UNIT_MAX_E4 = 10_000_000_000 * 10_000


@dataclass
class Roundings:
    """How often a fraction was rounded, and how often it was a half: a comparison that meets no ties proves nothing about them."""

    fractions: int = 0
    ties: int = 0


ROUNDINGS: Final = Roundings()


@cache
def _scaled(text: str, places: int) -> int:
    scaled = Fraction(text) * int(10**places)
    if scaled.denominator != 1:
        raise ValueError(f"{text!r} has more than {places} decimals")
    return scaled.numerator


def parse_unit_e4(text: str | int) -> int:
    """Return a unit price given in minor units as ten-thousandths of one."""
    return _scaled(str(text), 4)


def parse_quantity_milli(text: str | int) -> int:
    """Return a quantity as thousandths."""
    return _scaled(str(text), 3)


def parse_rate_ppm(text: str | int) -> int:
    """Return a rate given in percent as parts per million: one percent is 10 000 of them."""
    return _scaled(str(text), 4)


def _show(scaled: int, places: int) -> str:
    sign = "-" if scaled < 0 else ""
    whole, part = divmod(abs(scaled), 10**places)
    digits = str(part).zfill(places).rstrip("0")
    return f"{sign}{whole}.{digits}" if digits else f"{sign}{whole}"


def show_unit(unit_e4: int) -> str:
    """Show a unit price without trailing zeros: 8000 is "0.8"."""
    return _show(unit_e4, 4)


def show_quantity(quantity_milli: int) -> str:
    """Show a quantity without trailing zeros: 350 is "0.35"."""
    return _show(quantity_milli, 3)


def show_percent(rate_ppm: int) -> str:
    """Show a rate as percent without trailing zeros: 125000 is "12.5"."""
    return _show(rate_ppm, 4)


def rounded(exact: Fraction | int, rounding: str) -> int:
    """Round to an integer; `half_up`, `half_even`, `half_down` say where a half goes, on the absolute value."""
    exact = Fraction(exact)
    whole, rest = divmod(abs(exact), 1)
    half = Fraction(1, 2)
    up = rest > half
    ROUNDINGS.fractions += rest != 0
    if rest == half:
        ROUNDINGS.ties += 1
        if rounding == "half_up":
            up = True
        elif rounding == "half_down":
            up = False
        elif rounding == "half_even":
            up = whole % 2 == 1
        else:
            raise ValueError(f"unknown rounding {rounding!r}")
    size = whole + 1 if up else whole
    return size if exact >= 0 else -size


def ceiling_of(exact: Fraction) -> int:
    """Return the least integer at or above."""
    return -((-exact.numerator) // exact.denominator)


def floor_of(exact: Fraction) -> int:
    """Return the greatest integer at or below."""
    return exact.numerator // exact.denominator


def amount_of(unit_e4: int, quantity_milli: int) -> Fraction:
    """Return unit price times quantity in minor units, exactly."""
    return Fraction(unit_e4 * quantity_milli, 10_000_000)


def unit_of(amount: Fraction | int, quantity_milli: int) -> Fraction:
    """Return amount over quantity in ten-thousandths of a minor unit, exactly."""
    return Fraction(amount) * 10_000_000 / quantity_milli
