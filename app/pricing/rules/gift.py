"""Gifts: SKUs that the customer gets, or may choose from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.pricing.money import Int64s, parse_decimal
from app.pricing.params import Bounds, DecimalText, ParamProblem, Sku
from app.pricing.rewards import Level, Reward, Turn

KIND: Final = "gift"
LEVELS: Final[tuple[Level, ...]] = ("order",)
_SKUS_MAX: Final = 100
ALL_OF_THEM: Final = 0


@dataclass(frozen=True, slots=True)
class Params:
    """`quantity` of each of the `skus`, or of as many of them as `choose` says, which the customer chooses."""

    skus: tuple[Sku, ...]
    choose: Annotated[int, Bounds(1, _SKUS_MAX)] | None = None
    quantity: Annotated[int, Bounds(1, 1_000_000)] | Annotated[str, DecimalText(3, "0.001", "1000000")] = 1


def check(params: Params, level: Level) -> list[ParamProblem]:
    """Some SKUs, each once, and at least as many as are chosen."""
    problems: list[ParamProblem] = []
    if not 1 <= len(params.skus) <= _SKUS_MAX:
        problems.append(("skus", f"between 1 and {_SKUS_MAX} SKUs"))
    for number, sku in enumerate(params.skus):
        if sku in params.skus[:number]:
            problems.append((f"skus[{number}]", "the same SKU stands here twice"))
    if params.choose is not None and params.choose > len(params.skus):
        problems.append(("choose", "there are not so many SKUs"))
    return problems


def holds_amounts(params: Params) -> bool:
    """A gift is no money."""
    return False


class Skus(NamedTuple):
    """SKUs in ASCII; `first` (n_rows + 1,) delimits those of a row."""

    first: Int64s
    sku: NDArray[np.bytes_]


class Packed(NamedTuple):
    """Parameters by row."""

    choose: Int64s  # ALL_OF_THEM where none are chosen
    quantity_milli: Int64s
    skus: Skus


def pack(params: Sequence[Params]) -> Packed:
    """Lay out the parameters."""
    first = np.zeros(len(params) + 1, np.int64)
    np.cumsum([len(one.skus) for one in params], out=first[1:])
    return Packed(
        np.array([one.choose or ALL_OF_THEM for one in params], np.int64),
        np.array([parse_decimal(str(one.quantity), 3) for one in params], np.int64),
        Skus(first, np.array([sku.encode() for one in params for sku in one.skus], "S128")),
    )


def reward(packed: Packed, turn: Turn) -> Reward:
    """It applies and takes nothing of the order."""
    return Reward(is_given=np.ones(turn.row.size, np.bool_))
