"""The shapes that several resources share: scopes, schedules and conditions."""

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, WithJsonSchema

from app.calendars.festivals import FESTIVALS
from app.resources.fields import (
    AttributeName,
    Body,
    CategoryPath,
    ClockTime,
    DaysAround,
    Duration,
    LocalTime,
    Name,
    RecurrenceRule,
    Sku,
    TimeZone,
)

CONDITION_DEPTH_MAX: Final = 8
CONDITION_NODES_MAX: Final = 100
_Values = Annotated[list[Name], Field(min_length=1, max_length=1000)]


class ScopeFields(Body):
    """Which products: several fields must all match (of `exclude` any), several values of one field any. A category has what lies below it."""

    skus: Annotated[list[Sku], Field(max_length=100_000)] = []
    categories: Annotated[list[CategoryPath], Field(max_length=1000)] = []
    brands: Annotated[list[Name], Field(max_length=1000)] = []
    tags: Annotated[list[Name], Field(max_length=1000)] = []
    attributes: Annotated[dict[AttributeName, _Values], Field(max_length=100)] = {}


class Scope(Body):
    """The products that a rule may touch; an empty include is every product."""

    include: ScopeFields = ScopeFields()
    exclude: ScopeFields = ScopeFields()


class Weekly(Body):
    """Some hours of some days of the week, in local time; they may cross midnight."""

    days: Annotated[list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]], Field(min_length=1, max_length=7)]
    start: ClockTime
    end: ClockTime


class Recurrence(Body):
    """A recurrence of RFC 5545 on the wall clock: the occurrences of the rule, each for the duration."""

    rule: RecurrenceRule
    start: LocalTime
    duration: Duration


class Holidays(Body):
    """Public holidays of a country or a part of it, all of them or those named (in English or as they are called there)."""

    country: Annotated[str, Field(pattern="^[A-Z]{2}$", description="ISO 3166, as US.")]
    subdivision: Annotated[str | None, Field(min_length=1, max_length=40, description="A part of the country, as CA.")] = None
    names: Annotated[list[Name], Field(max_length=50)] = []
    days_before: DaysAround = 0
    days_after: DaysAround = 0


class Festival(Body):
    """A festival, mostly of a lunar calendar; where it lasts for several days, its first one."""

    name: Literal[tuple(FESTIVALS)]  # type: ignore[valid-type]
    days_before: DaysAround = 0
    days_after: DaysAround = 0


class Schedule(Body):
    """When a rule holds: from (inclusive) to (exclusive) in local time, and in it, if given, one pattern."""

    from_: Annotated[LocalTime | None, Field(alias="from")] = None
    to: LocalTime | None = None
    timezone: TimeZone
    weekly: Weekly | None = None
    rrule: Recurrence | None = None
    holidays: Holidays | None = None
    festival: Festival | None = None


def _value(value: Any) -> Any:
    """A text, an integer, a boolean, or a list of texts and integers."""
    if isinstance(value, list):
        if len(value) > 1000:
            raise ValueError("at most 1000 values")
        if not all(_is_scalar(member) and not isinstance(member, bool) for member in value):
            raise ValueError("a list holds texts or integers")
    elif not _is_scalar(value):
        raise ValueError("a text, an integer, a boolean, or a list of texts or integers; decimals are texts")
    return value


def _is_scalar(value: Any) -> bool:
    if isinstance(value, str):
        return 1 <= len(value) <= 200
    return isinstance(value, int) and abs(value) < 2**63


_SCALAR_SCHEMA: Final[dict[str, Any]] = {
    "anyOf": [{"type": "string", "minLength": 1, "maxLength": 200}, {"type": "integer"}, {"type": "boolean"}]
}
ConditionValue = Annotated[
    Any,
    AfterValidator(_value),
    WithJsonSchema(
        {
            "anyOf": [
                *_SCALAR_SCHEMA["anyOf"],
                {
                    "type": "array",
                    "maxItems": 1000,
                    "items": {"anyOf": [{"type": "string", "minLength": 1, "maxLength": 200}, {"type": "integer"}]},
                },
            ],
            "title": "Value",
        }
    ),
]


class Comparison(Body):
    """One comparison, for example `order.subtotal >= 5000`."""

    attribute: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?$", max_length=80)]
    op: Literal["==", "!=", "<", "<=", ">", ">=", "in", "not_in", "contains", "contains_any", "contains_none"]
    value: ConditionValue
    basis: Literal["running", "before"] | None = None


class All(Body):
    """Holds when each part holds; also when there is none."""

    all: "Annotated[list[Condition], Field(max_length=50)]"


class AnyOf(Body):
    """Holds when one of the parts holds."""

    any: "Annotated[list[Condition], Field(max_length=50)]"


class Not(Body):
    """Holds when its part does not."""

    not_: "Annotated[Condition, Field(alias='not')]"


def _form(condition: Any) -> str:
    """Which of the four forms it is. The names are put in brackets, so that none is mistaken for a member of the body."""
    for name in ("all", "any", "not"):
        if isinstance(condition, dict) and name in condition:
            return f"({name})"
    match condition:
        case All():
            return "(all)"
        case AnyOf():
            return "(any)"
        case Not():
            return "(not)"
        case _:
            return "(comparison)"


Condition = Annotated[
    Annotated[All, Tag("(all)")]
    | Annotated[AnyOf, Tag("(any)")]
    | Annotated[Not, Tag("(not)")]
    | Annotated[Comparison, Tag("(comparison)")],
    Discriminator(_form),
]
All.model_rebuild()
AnyOf.model_rebuild()
Not.model_rebuild()


def bounded_condition(condition: Any) -> Any:
    """Refuse trees that are deeper or larger than anybody writes."""
    nodes = 0
    level = [] if condition is None else [condition]
    for depth in range(CONDITION_DEPTH_MAX + 1):
        nodes += len(level)
        if depth == CONDITION_DEPTH_MAX and level:
            raise ValueError(f"nested deeper than {CONDITION_DEPTH_MAX}")
        if nodes > CONDITION_NODES_MAX:
            raise ValueError(f"more than {CONDITION_NODES_MAX} parts")
        level = [part for node in level for part in _parts(node)]
    return condition


def _parts(node: Any) -> list[Any]:
    match node:
        case All():
            return list(node.all)
        case AnyOf():
            return list(node.any)
        case Not():
            return [node.not_]
        case _:
            return []


Conditions = Annotated[Condition | None, AfterValidator(bounded_condition)]
