"""A kind of promotion: what its module in `rules/` says, and what is so of every kind whose module says nothing of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from types import ModuleType
from typing import Any

from app.pricing.params import ParamProblem
from app.pricing.rewards import FindScope, Level, Reward, Turn
from app.pricing.scope import Reach, Scope


def _no_problem(params: Any, level: Level) -> list[ParamProblem]:
    return []


def _no(params: Any) -> bool:
    return False


def _its_scope(params: Any, scope: Scope, find: FindScope) -> Reach:
    return Reach(scope)


def _nothing_personal(params: Any) -> tuple[str, ...]:
    return ()


def _no_steps(packed: Any, step: int, needed: int, times: int) -> Mapping[str, Any]:
    raise AssertionError("the kind offers no steps")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of promotion. What has no default every module must say; the others are safe for a kind that is none of these things."""

    KIND: str
    Params: Any  # a dataclass of the parameters, with their bounds
    LEVELS: tuple[Level, ...]  # the first is the default
    module: ModuleType

    # Whether a parameter is money, so that the promotion must name its currency.
    holds_amounts: Callable[[Any], bool]
    # Lay out the parameters of all promotions of the kind as arrays.
    pack: Callable[[Sequence[Any]], Any]
    # What each application wants to take; by line it is asked once, before the turns.
    reward: Callable[[Any, Turn], Reward]

    # Find what no single field's bounds can tell.
    check: Callable[[Any, Level], list[ParamProblem]] = _no_problem
    # Whether what a line-level promotion takes of a line depends on no other line.
    is_local: Callable[[Any], bool] = _no
    # Whether what it takes of a line is known before the promotions take their turns, but for the running amount of that line. A
    # quantity or a figure of the customer is known before, a running spend is not; an amount across lines or a cap ties lines together.
    is_by_line: Callable[[Any], bool] = _no
    # Whether the step that it gives is reached by running amounts.
    measures_running: Callable[[Any], bool] = _no
    # Whether units of lines serve its sets, and no other set after that.
    uses_units: Callable[[Any], bool] = _no
    # What the promotion may touch, given its own scope, and the further scopes that its parameters name: the last compiles them.
    reach: Callable[[Any, Scope, FindScope], Reach] = _its_scope
    # The personal attributes that the reward itself looks at.
    personal_inputs: Callable[[Any], tuple[str, ...]] = _nothing_personal
    # Tell what a next step (of packed parameters, by its number) offers, so many times, and what it needs.
    next_benefit: Callable[[Any, int, int, int], Mapping[str, Any]] = _no_steps


def kind_of(module: ModuleType) -> Kind:
    """The kind that a module defines. Raises TypeError where it does not say what every kind must."""
    said = vars(module)
    return Kind(**{one.name: said[one.name] for one in fields(Kind) if one.name in said}, module=module)
