"""Makes the API's model of a kind's parameters from its dataclass, so that a new kind is written in one place.

The markers of `app.pricing.params` become the same bounds in pydantic, and through it in OpenAPI. A field named `from_` is `from` on the wire.
"""

from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import AfterValidator, Field, StringConstraints, create_model

from app.pricing.decode import wire_name
from app.pricing.money import format_decimal, parse_decimal
from app.pricing.params import Bounds, DecimalText, Identifier, InstantText, LabelText, ScopeShape
from app.resources.fields import Body, Id, Instant, Name
from app.resources.shapes import Scope

_STEPS_MAX: Final = 1000


def params_model(params: type, name: str) -> type[Body]:
    """The request model of a parameters dataclass; nested dataclasses get models named after it."""
    assert is_dataclass(params)
    hints = get_type_hints(params, include_extras=True)
    members: dict[str, Any] = {}
    for field in fields(params):
        annotation = _annotation(hints[field.name], f"{name}{field.name.title().replace('_', '')}")
        if wire_name(field.name) != field.name:
            annotation = Annotated[annotation, Field(alias=wire_name(field.name))]
        assert field.default_factory is MISSING, "parameters have plain defaults"
        # Tuples are lists on the wire.
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        members[field.name] = (annotation, ... if default is MISSING else default)
    return create_model(name, __base__=Body, __doc__=params.__doc__, **members)


def _annotation(hint: Any, name: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        base, *markers = arguments
        for marker in markers:
            match marker:
                case DecimalText():
                    base = _decimal(marker)
                case Bounds():
                    base = Annotated[base, Field(ge=marker.low, le=marker.high)]
                case ScopeShape():
                    base = Scope
                case Identifier():
                    base = Id
                case LabelText():
                    base = Name
                case InstantText():
                    base = Instant
                case _:
                    raise TypeError(f"{name}: {marker!r} is not a marker of app.pricing.params")
        return base
    if origin in (Union, UnionType):
        return Union[tuple(_annotation(argument, name) for argument in arguments)]  # noqa: UP007  made at run time
    if origin is tuple:
        step, ellipsis = arguments
        assert ellipsis is ..., "parameters hold tuples of any length"
        return Annotated[list[_annotation(step, name.removesuffix("s"))], Field(max_length=_STEPS_MAX)]  # type: ignore[misc]
    if origin is Literal or hint in (str, int, bool, NoneType):
        return hint
    if is_dataclass(hint):
        assert isinstance(hint, type)
        return params_model(hint, name)
    raise TypeError(f"{name}: a parameter cannot be {hint!r}")


def _decimal(bounds: DecimalText) -> Any:
    low, high = parse_decimal(bounds.low, bounds.places), parse_decimal(bounds.high, bounds.places)

    def check(text: str) -> str:
        if not low <= parse_decimal(text, bounds.places) <= high:
            raise ValueError(f"must lie between {format_decimal(low, bounds.places)} and {format_decimal(high, bounds.places)}")
        return text

    sign = "-?" if low < 0 else ""
    digits = len(str(max(abs(low), abs(high)) // 10**bounds.places))
    fraction = rf"(\.[0-9]{{1,{bounds.places}}})?" if bounds.places else ""
    pattern = rf"^{sign}(0|[1-9][0-9]{{0,{digits - 1}}}){fraction}$"
    return Annotated[str, StringConstraints(pattern=pattern), AfterValidator(check)]
