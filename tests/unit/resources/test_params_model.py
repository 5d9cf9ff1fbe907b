"""A kind's parameters as a request model: the dataclass is the one place."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from pydantic import ValidationError

from app.pricing.decode import decode_params
from app.pricing.params import Bounds, DecimalText, ScopeBody
from app.pricing.rules import KINDS
from app.pricing.strategies import STRATEGIES
from app.resources.params_model import params_model


@dataclass(frozen=True, slots=True)
class Step:
    """A step."""

    from_: Annotated[int, Bounds(0, 10)] | Annotated[str, DecimalText(3, "0", "10")]
    shift: Annotated[str, DecimalText(2, "-1.5", "99.99")] | None = None


@dataclass(frozen=True, slots=True)
class Params:
    """Parameters."""

    form: Literal["a", "b"]
    steps: tuple[Step, ...]
    best: Step | None = None
    where: ScopeBody | None = None
    whole: Annotated[str, DecimalText(0, "1", "12")] = "1"
    loud: bool = False


MODEL = params_model(Params, "DemoParams")
GOOD: dict[str, Any] = {"form": "a", "steps": [{"from": 1}, {"from": "2.5", "shift": "-1.5"}], "whole": "12", "loud": True}


def test_a_body_becomes_the_dataclass() -> None:
    body = MODEL.model_validate(GOOD).model_dump()

    assert body["steps"] == [{"from": 1, "shift": None}, {"from": "2.5", "shift": "-1.5"}]
    assert decode_params(Params, body) == Params("a", (Step(1), Step("2.5", "-1.5")), whole="12", loud=True)


def test_a_dataclass_and_a_scope_inside_are_read() -> None:
    sent = GOOD | {"best": {"from": 3}, "where": {"include": {"skus": ["A"]}}}
    found = decode_params(Params, MODEL.model_validate(sent).model_dump())

    assert found.best == Step(3)
    assert found.where["include"]["skus"] == ["A"]
    with pytest.raises(ValidationError):
        MODEL.model_validate(GOOD | {"where": {"skus": ["A"]}})


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"form": "c"}, ("form",)),
        ({"steps": [{"from": 11}]}, ("steps", 0, "from")),
        ({"steps": [{"from": 1, "shift": "-1.51"}]}, ("steps", 0, "shift")),
        ({"steps": [{"from": 1, "shift": "100"}]}, ("steps", 0, "shift")),
        ({"steps": [{"from": 1, "extra": 1}]}, ("steps", 0, "extra")),
        ({"whole": "1.0"}, ("whole",)),
        ({"whole": "13"}, ("whole",)),
        ({"loud": 1}, ("loud",)),
    ],
)
def test_the_markers_are_the_bounds(change: dict[str, Any], place: tuple[Any, ...]) -> None:
    with pytest.raises(ValidationError) as refused:
        MODEL.model_validate(GOOD | change)

    assert place in [error["loc"][: len(place)] for error in refused.value.errors()]


def test_openapi_has_the_bounds() -> None:
    schema = MODEL.model_json_schema()
    step = schema["$defs"]["DemoParamsStep"]["properties"]

    assert schema["required"] == ["form", "steps"]
    assert step["from"]["anyOf"][0] == {"maximum": 10, "minimum": 0, "type": "integer"}
    assert step["shift"]["anyOf"][0]["pattern"] == r"^-?(0|[1-9][0-9]{0,1})(\.[0-9]{1,2})?$"


def test_a_type_that_is_no_parameter_is_refused_when_the_model_is_made() -> None:
    @dataclass(frozen=True)
    class Wrong:
        share: float

    with pytest.raises(TypeError, match="cannot be"):
        params_model(Wrong, "Wrong")


@pytest.mark.parametrize("module", [*KINDS.values(), *STRATEGIES.values()], ids=lambda module: module.KIND)
def test_every_kind_has_a_model(module: Any) -> None:
    assert params_model(module.Params, "Any").model_json_schema()["type"] == "object"
