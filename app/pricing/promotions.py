"""The promotions of a book, in the order in which they run."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from app.pricing.code_table import NO_CODES, CodeTable
from app.pricing.conditions import ConditionError, ConditionTable, Tree, pack_conditions, read_tree
from app.pricing.decode import decode_params
from app.pricing.funding import Funding, pack_funding
from app.pricing.kind import Kind
from app.pricing.money import Bools, Int64s
from app.pricing.parts import Parts, pack_parts
from app.pricing.rewards import Level
from app.pricing.schedule import Intervals, ScheduleError, ScheduleTable, compile_schedule, pack_schedules
from app.pricing.scope import Assortment, Reach, ScopeIndex, compile_scope, index_scopes, only_listed
from app.pricing.vocabulary import Vocabulary

ANY_CURRENCY: Final = -1
NO_GROUP: Final = -1
_LEVELS: Final[dict[Level, int]] = {"line": 0, "order": 1, "shipping": 2}


class Promotions(NamedTuple):
    """Promotions by row; the row is the place in the sequence: line promotions first, then by lane, priority and id."""

    id: tuple[str, ...]
    name: tuple[str, ...]
    revision: tuple[int, ...]
    personal_inputs: tuple[tuple[str, ...], ...]  # what an applied promotion has looked at
    reward_inputs: tuple[tuple[str, ...], ...]  # what of it the reward itself asks for
    codes: CodeTable
    n_line_level: int
    n_order_level: int  # the order promotions follow the line promotions; what is left are the shipping promotions
    groups: tuple[str, ...]  # sorted
    lane: Int64s
    priority: Int64s
    currency_row: Int64s  # (n_promotions,) or ANY_CURRENCY
    group: Int64s  # index into `groups`, or NO_GROUP
    is_exclusive: Bools
    not_on_sale: Bools
    requires_code: Bools
    is_personal: Bools  # looks at personal data
    is_contextual: Bools  # its condition looks at no amount or quantity of the order or of a scope
    is_local: Bools  # what it takes of a line depends on the context and that line alone
    is_by_line: Bools  # of the line promotions: lines of its scope need not take their turns together
    measures_running: Bools  # the step that it gives is reached by running amounts
    needs_order: Bools  # a line promotion with a condition on the order's amounts
    uses_units: Bools  # units of lines serve its sets, and no other's
    kind: Int64s
    kind_row: Int64s
    kinds: tuple[str, ...]
    packed: tuple[Any, ...]  # by kind
    scopes: ScopeIndex  # lists what needs no code
    order_scopes: ScopeIndex  # of these only the order and shipping promotions
    parts: Parts  # of scopes, for the kinds whose parameters name further ones
    schedule: ScheduleTable
    conditions: ConditionTable
    funding: Funding

    @property
    def first_of_shipping(self) -> int:
        """The first row of the shipping promotions."""
        return self.n_line_level + self.n_order_level


class PromotionProblem(NamedTuple):
    """What is wrong with one promotion or coupon."""

    resource: str
    id: str
    path: str
    message: str


class Piece(NamedTuple):
    """What one promotion's document compiles to by itself, given the assortment and the vocabulary."""

    body: Mapping[str, Any]
    revision: int
    level: Level
    params: Any
    tree: Tree
    intervals: Intervals | None
    reach: Reach
    personal_inputs: tuple[str, ...]
    reward_inputs: tuple[str, ...]
    is_contextual: bool
    is_local: bool
    is_by_line: bool
    measures_running: bool
    needs_order: bool
    uses_units: bool


def read_promotion(
    name: str,
    body: Mapping[str, Any],
    revision: int,
    *,
    kinds: Mapping[str, Kind],
    assortment: Assortment,
    vocabulary: Vocabulary,
    published_at_us: int,
    days: Sequence[str] = (),
) -> Piece | list[PromotionProblem]:
    """Compile one promotion, or say what is wrong with it."""
    kind = kinds.get(body["kind"])
    if kind is None:
        return [PromotionProblem("promotions", name, "kind", "unknown kind")]
    params, problems = _read_params(kind, body, name)
    tree, intervals, found = _read_when(name, body, vocabulary, published_at_us, days)
    problems += found
    if problems:
        return problems
    level = level_of(body, kinds)
    named = set(_attributes(body.get("conditions")))
    reward_inputs = kind.personal_inputs(params)
    looked_at = {one for one in named if _is_personal(one, vocabulary)}
    is_contextual = not any(one.startswith(("order.", "scope.")) for one in named)
    needs_order = level == "line" and any(one.startswith("order.") for one in named)
    return Piece(
        body,
        revision,
        level,
        params,
        tree,
        intervals,
        reach_of(kind, params, body, assortment),
        tuple(sorted(looked_at | set(reward_inputs))),
        reward_inputs,
        is_contextual,
        is_contextual and level == "line" and kind.is_local(params),
        level == "line" and kind.is_by_line(params) and not any(node.is_running for node in tree),
        kind.measures_running(params),
        needs_order,
        kind.uses_units(params),
    )


def reach_of(kind: Kind, params: Any, body: Mapping[str, Any], assortment: Assortment) -> Reach:
    """What a promotion of a kind may touch."""
    return kind.reach(params, compile_scope(body.get("scope"), assortment), lambda scope: compile_scope(scope, assortment))


def pack_promotions(
    pieces: Mapping[str, Piece],
    *,
    kinds: Mapping[str, Kind],
    n_skus: int,
    currency_rows: Mapping[str, int],
    exclusive_wins: bool,
) -> Promotions:
    """Lay promotions (by id) out in their sequence. No codes unlock them yet."""
    ids = sorted(pieces, key=lambda name: place_of(name, pieces[name].body, pieces[name].level, exclusive_wins=exclusive_wins))
    ordered = [pieces[name] for name in ids]
    bodies = [piece.body for piece in ordered]
    kind_names = tuple(sorted({body["kind"] for body in bodies}))
    number_of_kind = {name: number for number, name in enumerate(kind_names)}
    params_of_kind: list[list[Any]] = [[] for _ in kind_names]
    kind_row: list[int] = []
    for piece in ordered:
        bucket = params_of_kind[number_of_kind[piece.body["kind"]]]
        kind_row.append(len(bucket))
        bucket.append(piece.params)
    groups = tuple(sorted({body["group"] for body in bodies if body.get("group")}))
    number_of_group = {name: number for number, name in enumerate(groups)}

    def flags(values: Iterable[Any]) -> Bools:
        return np.fromiter(map(bool, values), np.bool_, len(ids))

    def numbers(values: Iterable[int]) -> Int64s:
        return np.fromiter(values, np.int64, len(ids))

    requires_code = flags(body.get("requires_code") for body in bodies)
    is_beyond_lines = flags(piece.level != "line" for piece in ordered)
    scopes = index_scopes([piece.reach.scope for piece in ordered], n_skus, is_listed=~requires_code)
    return Promotions(
        id=tuple(ids),
        name=tuple(body["name"] for body in bodies),
        revision=tuple(piece.revision for piece in ordered),
        personal_inputs=tuple(piece.personal_inputs for piece in ordered),
        reward_inputs=tuple(piece.reward_inputs for piece in ordered),
        codes=NO_CODES,
        n_line_level=len(ids) - int(np.count_nonzero(is_beyond_lines)),
        n_order_level=sum(piece.level == "order" for piece in ordered),
        groups=groups,
        lane=numbers(body.get("lane") or 0 for body in bodies),
        priority=numbers(body.get("priority") or 0 for body in bodies),
        currency_row=numbers(currency_rows[body["currency"]] if body.get("currency") else ANY_CURRENCY for body in bodies),
        group=numbers(number_of_group[body["group"]] if body.get("group") else NO_GROUP for body in bodies),
        is_exclusive=flags(body.get("exclusive") for body in bodies),
        not_on_sale=flags(body.get("not_on_sale") for body in bodies),
        requires_code=requires_code,
        is_personal=flags(piece.personal_inputs for piece in ordered),
        is_contextual=flags(piece.is_contextual for piece in ordered),
        is_local=flags(piece.is_local for piece in ordered),
        is_by_line=flags(piece.is_by_line for piece in ordered),
        measures_running=flags(piece.measures_running for piece in ordered),
        needs_order=flags(piece.needs_order for piece in ordered),
        uses_units=flags(piece.uses_units for piece in ordered),
        kind=numbers(number_of_kind[body["kind"]] for body in bodies),
        kind_row=numbers(kind_row),
        kinds=kind_names,
        packed=tuple(kinds[name].pack(params) for name, params in zip(kind_names, params_of_kind, strict=True)),
        scopes=scopes,
        order_scopes=only_listed(scopes, ~requires_code & is_beyond_lines),
        parts=pack_parts([piece.reach.parts for piece in ordered]),
        schedule=pack_schedules([piece.intervals for piece in ordered]),
        conditions=pack_conditions([piece.tree for piece in ordered]),
        funding=pack_funding([body.get("funding") or () for body in bodies]),
    )


def level_of(body: Mapping[str, Any], kinds: Mapping[str, Kind]) -> Level:
    """The level of a promotion of a known kind."""
    level: Level = body.get("level") or kinds[body["kind"]].LEVELS[0]
    return level


def place_of(name: str, body: Mapping[str, Any], level: Level, *, exclusive_wins: bool) -> tuple[Any, ...]:
    """What the sequence sorts by."""
    yields = exclusive_wins and not body.get("exclusive")
    return (_LEVELS[level], body.get("lane") or 0, yields, -(body.get("priority") or 0), name)


def place_at(promotions: Promotions, row: int, *, exclusive_wins: bool) -> tuple[Any, ...]:
    """The same of a row."""
    yields = exclusive_wins and not promotions.is_exclusive[row]
    return (
        int(row >= promotions.n_line_level) + int(row >= promotions.first_of_shipping),
        int(promotions.lane[row]),
        bool(yields),
        -int(promotions.priority[row]),
        promotions.id[row],
    )


def _read_params(kind: Kind, body: Mapping[str, Any], name: str) -> tuple[Any, list[PromotionProblem]]:
    level = body.get("level") or kind.LEVELS[0]
    if level not in kind.LEVELS:
        return None, [PromotionProblem("promotions", name, "level", f"{kind.KIND} works at level {' or '.join(kind.LEVELS)}")]
    try:
        params = decode_params(kind.Params, body["params"])
    except (KeyError, TypeError, ValueError) as error:
        return None, [PromotionProblem("promotions", name, "params", str(error))]
    found = [PromotionProblem("promotions", name, f"params.{path}", message) for path, message in kind.check(params, level)]
    if not found and kind.holds_amounts(params) and not body.get("currency"):
        found = [PromotionProblem("promotions", name, "currency", "parameters that are money need a currency")]
    return params, found


def _read_when(
    name: str, body: Mapping[str, Any], vocabulary: Vocabulary, published_at_us: int, days: Sequence[str]
) -> tuple[Any, Intervals | None, list[PromotionProblem]]:
    found: list[PromotionProblem] = []
    tree: Any = []
    intervals: Intervals | None = None
    try:
        tree = read_tree(body.get("conditions"), vocabulary)
    except ConditionError as error:
        found.append(PromotionProblem("promotions", name, error.path, str(error)))
    if body.get("schedule"):
        try:
            intervals = compile_schedule(body["schedule"], published_at_us=published_at_us, days=days)
        except ScheduleError as error:
            found.append(PromotionProblem("promotions", name, f"schedule.{error.path}", str(error)))
    amounts = {"order.subtotal", "order.shipping", "scope.subtotal", "customer.spend"}
    if not body.get("currency") and amounts & set(_attributes(body.get("conditions"))):
        found.append(PromotionProblem("promotions", name, "currency", "conditions on amounts need a currency"))
    return tree, intervals, found


def _attributes(tree: Mapping[str, Any] | None) -> list[str]:
    """The names of the attributes that a tree compares."""
    if tree is None:
        return []
    if "attribute" in tree:
        return [tree["attribute"]]
    children: Sequence[Mapping[str, Any]] = [
        *tree.get("all", ()),
        *tree.get("any", ()),
        *([tree["not"]] if "not" in tree else ()),
    ]
    return [name for child in children for name in _attributes(child)]


def _is_personal(name: str, vocabulary: Vocabulary) -> bool:
    attribute = vocabulary.attributes.get(name)
    return attribute is not None and attribute.is_personal
