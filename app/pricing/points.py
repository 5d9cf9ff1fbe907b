"""Step 10: points that pay for lines, and points that what is paid earns. Source: SEMANTICS.md, Points."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from app.pricing.allocation import Remainder, allocate
from app.pricing.groups import Groups
from app.pricing.money import AMOUNT_MINOR_MAX, E4, INT64_MAX, PPM, Int64s, Rounding, mul_div, parse_decimal, parse_percent_ppm

WORTH_MINOR_MAX: Final = 100_000
EARN_MAX: Final = 1_000
FACTOR_MAX: Final = 1_000
POINTS_MAX: Final = 1_000_000_000

assert POINTS_MAX * WORTH_MINOR_MAX * E4 < INT64_MAX
assert AMOUNT_MINOR_MAX * PPM < INT64_MAX
assert AMOUNT_MINOR_MAX * FACTOR_MAX * E4 < INT64_MAX  # what all lines of an order pay, weighed


class Program(NamedTuple):
    """What a point is worth, how much points may pay, and what is earned."""

    worth_e4: int
    max_ppm: int = PPM
    max_minor: int = AMOUNT_MINOR_MAX
    earn_ppm: int = 0  # millionths of a point for a minor unit


type Programs = tuple[tuple[str, Program], ...]  # by currency

_NO_PROGRAM: Final = Program(worth_e4=1, max_ppm=0)


def read_programs(setting: Mapping[str, Mapping[str, Any]] | None) -> Programs:
    """Read the policy's setting: a program for each of some currencies."""
    return tuple(
        (
            currency,
            Program(
                parse_decimal(body["worth"], 4),
                PPM if body.get("max_percent") is None else parse_percent_ppm(body["max_percent"]),
                AMOUNT_MINOR_MAX if body.get("max_amount") is None else body["max_amount"],
                parse_decimal(body.get("earn") or "0", 6),
            ),
        )
        for currency, body in sorted((setting or {}).items())
    )


class ProgramColumns(NamedTuple):
    """The programs of baskets (n_baskets,); one without redeems nothing and earns nothing."""

    worth_e4: Int64s
    max_ppm: Int64s
    max_minor: Int64s
    earn_ppm: Int64s


def programs_of(programs: Programs, currencies: Sequence[str]) -> ProgramColumns:
    """The programs of baskets in these currencies (n_baskets,)."""
    by_currency = dict(programs)
    rows = [by_currency.get(currency, _NO_PROGRAM) for currency in currencies]
    return ProgramColumns._make(np.array(rows, np.int64).reshape(-1, 4).T)


def redeem(program: ProgramColumns, asked: Int64s, total_minor: Int64s) -> tuple[Int64s, Int64s]:
    """The points that are taken of those asked for (n_baskets,), and the amount that they pay of the lines' totals."""
    share, _ = mul_div(total_minor, program.max_ppm, PPM)
    most = np.minimum(share, program.max_minor)
    points = np.minimum(asked, most * E4 // program.worth_e4)
    amount: Int64s = points * program.worth_e4 // E4
    return -(-amount * E4 // program.worth_e4), amount


def earn(program: ProgramColumns, weighed_e4: Int64s) -> Int64s:
    """The points that are earned on what is paid times its factors (n_baskets,)."""
    points, _ = mul_div(weighed_e4, program.earn_ppm, E4 * PPM)
    return points


def multiplied(factor_e4: Int64s, multiplier_e4: Int64s) -> Int64s:
    """Factors (n,) times a multiplier."""
    return np.asarray(np.minimum(factor_e4 * multiplier_e4 // E4, FACTOR_MAX * E4), np.int64)


def weighed_by_line(
    total_minor: Int64s, factor_e4: Int64s, paid_with_points: Int64s, baskets: Groups, *, remainder: Remainder, rounding: Rounding
) -> Int64s:
    """What is paid for the lines (n_lines,) of baskets, each times its factor, summed (n_baskets,)."""
    paid = total_minor - allocate(paid_with_points, total_minor, baskets, remainder=remainder, rounding=rounding)
    return baskets.sum(paid * factor_e4)
