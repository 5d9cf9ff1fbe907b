"""Pricing strategies, one request model for each kind in the registry, and the endings they choose from."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Field, create_model

from app.errors import FieldError
from app.pricing.decode import decode_params
from app.pricing.strategies import STRATEGIES as KINDS
from app.resources.fields import Amount, Body, Currency, Id
from app.resources.params_model import params_model
from app.resources.resource import Resource
from app.resources.shapes import Scope


class StrategyBase(Body):
    """A price that is calculated, in place of the list price."""

    scope: Scope
    currency: Currency
    endings: Annotated[Id | None, Field(description="The endings its price is rounded to.")] = None


def _member(kind: str) -> type[Body]:
    name = f"{kind.title().replace('_', '')}Strategy"
    kind_type: Any = Literal[kind]
    return create_model(
        name,
        __base__=StrategyBase,
        __doc__=KINDS[kind].Params.__doc__,
        kind=(kind_type, ...),
        params=(params_model(KINDS[kind].Params, f"{name}Params"), ...),
    )


def _check(body: Mapping[str, Any]) -> list[FieldError]:
    kind = KINDS[body["kind"]]
    return [
        FieldError(f"params.{path}", "invalid", message)
        for path, message in kind.check(decode_params(kind.Params, body["params"]))
    ]


class Band(Body):
    """The endings of prices up to `up_to`, inclusive; the last band is open (null)."""

    up_to: Amount | None
    endings: Annotated[list[Annotated[str, Field(pattern=r"^[0-9]{1,9}$")]], Field(min_length=1, max_length=100)]


class Endings(Body):
    """The digits that prices of a currency shall end in."""

    currency: Currency
    bands: Annotated[list[Band], Field(min_length=1, max_length=100)]
    direction: Literal["nearest", "down", "up", "profit"] = "nearest"


def _check_endings(body: Mapping[str, Any]) -> list[FieldError]:
    problems: list[FieldError] = []
    bands = body["bands"]
    reached = -1
    for number, band in enumerate(bands):
        path = f"bands[{number}].up_to"
        if band["up_to"] is None:
            if number != len(bands) - 1:
                problems.append(FieldError(path, "open", "only the last band is open"))
        elif band["up_to"] <= reached:
            problems.append(FieldError(path, "not_rising", "the bounds of bands must rise"))
        else:
            reached = band["up_to"]
    return problems


STRATEGIES: Final = Resource("strategies", "Strategy", tuple(_member(kind) for kind in KINDS), "catalog", check=_check)
ENDINGS: Final = Resource("endings", "Endings", (Endings,), "catalog", check=_check_endings)
