"""Integers of money: units, bounds and their proof, exact division and rounding, text in and out.

| suffix   | unit                                 | bound                      |
|----------|--------------------------------------|----------------------------|
| `_minor` | minor unit of the currency           | 0 ... 9e11                 |
| `_e4`    | 1/10 000 minor unit (a unit price)   | 0 ... 1e14                 |
| `_milli` | 1/1000 of a unit (a quantity)        | 1 ... 1e9                  |
| `_ppm`   | part per million (a rate)            | 0 ... 1e6 (markups 1e8)    |
| `_e7`    | unit price times quantity, exact     | 0 ... 9e18                 |
"""

import re
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

type Int64s = NDArray[np.int64]
type Bools = NDArray[np.bool_]
type Rounding = Literal["half_up", "half_even", "half_down"]

E4: Final = 10_000
MILLI: Final = 1_000
PPM: Final = 1_000_000
E7: Final = E4 * MILLI

AMOUNT_MINOR_MAX: Final = 900_000_000_000
UNIT_E4_MAX: Final = 10_000_000_000 * E4
QUANTITY_MILLI_MAX: Final = 1_000_000 * MILLI
MARKUP_PPM_MAX: Final = 100 * PPM
AMOUNT_E7_MAX: Final = AMOUNT_MINOR_MAX * E7
INT64_MAX: Final = 2**63 - 1

# The proof that int64 holds every product that is formed directly. Products that could be larger go through `mul_div`.
assert AMOUNT_E7_MAX < INT64_MAX
assert AMOUNT_MINOR_MAX * PPM < INT64_MAX
assert UNIT_E4_MAX * E4 < INT64_MAX
assert AMOUNT_MINOR_MAX * E4 * MILLI < INT64_MAX
assert AMOUNT_E7_MAX + QUANTITY_MILLI_MAX // 2 < INT64_MAX

_DECIMAL = re.compile(r"(?P<sign>-?)(?P<whole>0|[1-9][0-9]*)(?:\.(?P<fraction>[0-9]+))?")


def parse_decimal(text: str, places: int) -> int:
    """Read a plain decimal as an integer of 10**-places.

    No exponent, no leading zeros, no plus sign. Raises ValueError when it is not that, or has more places.

    >>> parse_decimal("12.5", 4)
    125000
    """
    if text.isascii() and text.isdigit() and (text[0] != "0" or text == "0"):
        return int(text + "0" * places)
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise ValueError("not a plain decimal number")
    fraction = match["fraction"] or ""
    if len(fraction) > places:
        raise ValueError(f"more than {places} decimals")
    magnitude = int(match["whole"] + fraction.ljust(places, "0"))
    return -magnitude if match["sign"] else magnitude


def parse_unit_price_e4(text: str) -> int:
    """Read a unit price in minor units, up to 4 decimals, 0 to 10^10. Raises ValueError."""
    return _within(parse_decimal(text, 4), 0, UNIT_E4_MAX, "a unit price lies between 0 and 10000000000")


def parse_quantity_milli(quantity: int | str) -> int:
    """Read a quantity, an integer or a decimal string of up to 3 decimals, above 0 and up to 10^6. Raises ValueError."""
    milli = quantity * MILLI if isinstance(quantity, int) else parse_decimal(quantity, 3)
    return _within(milli, 1, QUANTITY_MILLI_MAX, "a quantity is above 0 and at most 1000000")


def parse_percent_ppm(text: str) -> int:
    """Read a rate in percent, up to 4 decimals, 0 to 10 000 %, as parts per million. Raises ValueError."""
    return _within(parse_decimal(text, 4), 0, MARKUP_PPM_MAX, "a rate lies between 0 and 10000 percent")


def _within(number: int, low: int, high: int, message: str) -> int:
    if not low <= number <= high:
        raise ValueError(message)
    return number


def format_decimal(number: int, places: int) -> str:
    """Show an integer of 10**-places as a decimal without trailing zeros.

    >>> format_decimal(12_990_000, 4), format_decimal(8_000, 4), format_decimal(350, 3)
    ('1299', '0.8', '0.35')
    """
    whole, fraction = divmod(abs(number), 10**places)
    sign = "-" if number < 0 else ""
    if fraction == 0:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{fraction:0{places}d}".rstrip("0")


def format_e4(unit_e4: int) -> str:
    """Show a unit price in minor units."""
    if unit_e4 % E4 == 0:
        return str(unit_e4 // E4)
    return format_decimal(unit_e4, 4)


def format_milli(quantity_milli: int) -> str:
    """Show a quantity."""
    if quantity_milli % MILLI == 0:
        return str(quantity_milli // MILLI)
    return format_decimal(quantity_milli, 3)


def mul_div(a: Int64s, b: Int64s | int, c: Int64s | int) -> tuple[Int64s, Int64s]:
    """Divide the exact product a·b by c: floor and remainder, elementwise, also where a·b passes int64.

    Args: a, b >= 0 and c > 0, int64. Returns (quotient, remainder), remainder in [0, c).

    >>> [int(x[0]) for x in mul_div(np.array([900_000_000_000]), np.array([899_999_999_999]), np.array([900_000_000_000]))]
    [899999999999, 0]
    """
    estimate: Int64s = (a.astype(np.float64) * b / c).astype(np.int64)
    # Exact modulo 2^64, as `mul_add_div` says.
    rest: Int64s = a * b - estimate * c
    carry: Int64s = rest // c
    return estimate + carry, rest - carry * c


def mul_add_div(a: Int64s, b: Int64s | int, c: Int64s | int, d: Int64s | int, divisor: Int64s | int) -> tuple[Int64s, Int64s]:
    """Divide the exact a·b + c·d by a divisor: floor and remainder, elementwise.

    The quotient is estimated in float64 and corrected: a·b + c·d − q·divisor taken modulo 2^64 is exact as long as its true value fits in
    int64, which holds while the estimate is off by less than 2^63 / divisor. With a quotient up to 10^16 and a divisor up to 10^14 it is
    off by single units.

    Args: all >= 0, the divisor > 0. Returns (quotient, remainder), remainder in [0, divisor).
    """
    a, b, c, d = (np.asarray(factor, np.int64) for factor in (a, b, c, d))
    by = np.asarray(divisor, np.int64)
    estimate = np.floor((a.astype(np.float64) * b + c.astype(np.float64) * d) / by).astype(np.int64)
    rest = a * b + c * d - estimate * by
    carry = rest // by
    return estimate + carry, rest - carry * by


def round_up_where(quotient: Int64s, remainder: Int64s, divisor: Int64s | int, rounding: Rounding) -> Int64s:
    """Round floor results of non-negative numbers by the policy. Source: SEMANTICS.md, Numbers."""
    other = divisor - remainder
    match rounding:
        case "half_up":
            is_up = remainder >= other
        case "half_down":
            is_up = remainder > other
        case "half_even":
            is_up = (remainder > other) | ((remainder == other) & (quotient & 1 == 1))
    return quotient + is_up


def round_div(numerator: Int64s, divisor: Int64s | int, rounding: Rounding) -> Int64s:
    """Divide non-negative integers and round by the policy. A numerator up to 9e18 and a divisor up to 1e9 leave room for the half.

    >>> [int(round_div(np.array([25]), 10, r)[0]) for r in ("half_up", "half_even", "half_down")]
    [3, 2, 2]
    """
    quotient: Int64s
    match rounding:
        case "half_up":
            quotient = np.floor_divide(numerator + (divisor >> 1), divisor)
        case "half_down":
            quotient = np.floor_divide(numerator + ((divisor - 1) >> 1), divisor)
        case "half_even":
            quotient = numerator // divisor
            return round_up_where(quotient, numerator - quotient * divisor, divisor, rounding)
    return quotient


def round_mul_div(a: Int64s, b: Int64s | int, c: Int64s | int, rounding: Rounding) -> Int64s:
    """Round a·b/c by the policy, the product exact. Arguments as in `mul_div`."""
    if float(a.max(initial=0)) * float(np.max(b, initial=0)) < 2.0**62:
        return round_div(a * b, c, rounding)
    quotient, remainder = mul_div(a, b, c)
    return round_up_where(quotient, remainder, np.asarray(c, np.int64), rounding)


def to_grain(unit_e4: Int64s, grain_e4: int, rounding: Rounding) -> Int64s:
    """Round unit prices to multiples of a grain: 1, or a whole minor unit."""
    return unit_e4 if grain_e4 == 1 else round_div(unit_e4, grain_e4, rounding) * grain_e4


def ceil_div(numerator: Int64s, divisor: int) -> Int64s:
    """Divide and round towards plus infinity."""
    return -(-numerator // divisor)
