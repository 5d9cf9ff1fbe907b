"""The field types of the control plane's bodies: text that is what it says, with its pattern in OpenAPI."""

import re
import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema

from app.pricing.currencies import CURRENCIES
from app.pricing.money import AMOUNT_MINOR_MAX, parse_decimal, parse_quantity_milli, parse_unit_price_e4
from app.pricing.recurrence import TEXT_MAX as RULE_TEXT_MAX
from app.pricing.recurrence import parse_rule
from app.pricing.schedule import LATEST_S, parse_duration
from app.web.instants import INSTANT_PATTERN

ID_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._:~@+-]{0,127}$"
UNIT_PRICE_PATTERN: Final = r"^(0|[1-9][0-9]{0,10})(\.[0-9]{1,4})?$"
PERCENT_PATTERN: Final = r"^(0|[1-9][0-9]{0,2})(\.[0-9]{1,4})?$"
QUANTITY_PATTERN: Final = r"^(0|[1-9][0-9]{0,6})(\.[0-9]{1,3})?$"
LOCAL_TIME_PATTERN: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?$"
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


class Body(BaseModel):
    """What every request model is: strict in its types, refusing what it does not know."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )


def _currency(code: str) -> str:
    if code not in CURRENCIES:
        raise ValueError("not a currency of ISO 4217")
    return code


def _unit_price(text: str) -> str:
    parse_unit_price_e4(text)
    return text


def _percent_off(text: str) -> str:
    if parse_decimal(text, 4) > 100 * 10**4:
        raise ValueError("a percentage lies between 0 and 100")
    return text


def _quantity(quantity: Any) -> Any:
    if not isinstance(quantity, int | str) or isinstance(quantity, bool):
        raise ValueError("an integer, or a decimal string with up to 3 decimals")
    parse_quantity_milli(quantity)
    return quantity


def _plain(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("control characters are not allowed")
    if text != text.strip():
        raise ValueError("begins or ends with white space")
    return text


def normalise_instant(text: str) -> str:
    """RFC 3339 in UTC to the second. Raises ValueError."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("not a date and time that exists") from None
    if not 0 <= instant.timestamp() <= LATEST_S:
        raise ValueError("the time lies outside the years 1970 to 2242")
    return instant.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def _local_time(text: str) -> str:
    try:
        return datetime.fromisoformat(text).isoformat()
    except ValueError:
        raise ValueError("not a date and time that exists") from None


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("not a time zone of the IANA database") from None
    return name


def _recurrence_rule(text: str) -> str:
    parse_rule(text)
    return text


def _duration(text: str) -> str:
    parse_duration(text)
    return text


def normalise_code(text: str) -> str:
    """A coupon code as it is looked up: NFKC, trimmed, upper case."""
    return unicodedata.normalize("NFKC", text).strip().upper()


def _code(text: str) -> str:
    code = normalise_code(text)
    if not 1 <= len(code) <= 64:
        raise ValueError("a code has 1 to 64 characters")
    return _plain(code)


def _demand_index(text: str) -> str:
    if not 0 < parse_decimal(text, 4) <= 1000 * 10**4:
        raise ValueError("above 0 and at most 1000")
    return text


Id = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
Sku = Id
# Names of brands, tags, groups, channels: short printable text.
Name = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_plain)]
CategoryPath = Annotated[
    str, StringConstraints(pattern=r"^[^/\x00-\x1f|]+(/[^/\x00-\x1f|]+)*$", max_length=500), AfterValidator(_plain)
]
AttributeName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$"), AfterValidator(_currency)]
UnitPrice = Annotated[str, StringConstraints(pattern=UNIT_PRICE_PATTERN), AfterValidator(_unit_price)]
Percent = Annotated[str, StringConstraints(pattern=PERCENT_PATTERN), AfterValidator(_percent_off)]
Quantity = Annotated[
    Any,
    AfterValidator(_quantity),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer", "minimum": 1, "maximum": 1_000_000}, {"type": "string", "pattern": QUANTITY_PATTERN}],
            "title": "Quantity",
        }
    ),
]
DemandIndex = Annotated[str, StringConstraints(pattern=r"^(0|[1-9][0-9]{0,3})(\.[0-9]{1,4})?$"), AfterValidator(_demand_index)]
Amount = Annotated[int, Field(ge=0, le=AMOUNT_MINOR_MAX)]
PositiveAmount = Annotated[int, Field(ge=1, le=AMOUNT_MINOR_MAX)]
Count = Annotated[int, Field(ge=1, le=10**9)]
Order = Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]
Instant = Annotated[str, StringConstraints(pattern=INSTANT_PATTERN), AfterValidator(normalise_instant)]
LocalTime = Annotated[str, StringConstraints(pattern=LOCAL_TIME_PATTERN), AfterValidator(_local_time)]
ClockTime = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
TimeZone = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(_time_zone)]
RecurrenceRule = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Z]+=[^;=]+(;[A-Z]+=[^;=]+)*$", max_length=RULE_TEXT_MAX),
    AfterValidator(_recurrence_rule),
]
Duration = Annotated[
    str,
    StringConstraints(pattern=r"^P([0-9]{1,2}W)?([0-9]{1,3}D)?(T([0-9]{1,4}H)?([0-9]{1,5}M)?)?$", max_length=20),
    AfterValidator(_duration),
]
DaysAround = Annotated[int, Field(ge=0, le=60)]
Code = Annotated[str, StringConstraints(min_length=1, max_length=128), AfterValidator(_code)]
