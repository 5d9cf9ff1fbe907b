"""Why a promotion or a code did not apply: the closed list."""

from enum import IntEnum
from typing import Final


class Reason(IntEnum):
    """One reason a candidate has; its wire name is the lower-case name."""

    APPLIED = 0
    MIN_SPEND_NOT_MET = 1
    MIN_QUANTITY_NOT_MET = 2
    ATTRIBUTE_MISSING = 3
    CONDITION_NOT_MET = 4
    ON_SALE = 5
    EXCLUSIVE_TAKEN = 6
    GROUP_TAKEN = 7
    TIER_NOT_REACHED = 8
    NOTHING_TO_DISCOUNT = 9
    NO_MATCHING_LINES = 10
    CODE_REDUNDANT = 11
    CODE_INVALID = 12
    NO_SHIPPING = 13
    POINTS_NOT_OFFERED = 14
    NOT_BEST = 15
    LIMIT_REACHED = 16


class Unit(IntEnum):
    """The unit of a figure beside a reason."""

    NONE = 0
    MINOR = 1
    MILLI = 2
    COUNT = 3


WIRE_NAMES: Final = tuple(reason.name.lower() for reason in Reason)
