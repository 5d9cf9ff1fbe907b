"""The promotions of a book, in the order in which they run."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from app.pricing.conditions import ConditionError, ConditionTable, Vocabulary, pack_conditions, read_tree
from app.pricing.decode import decode_params
from app.pricing.money import Bools, Int64s
from app.pricing.rewards import Kind
from app.pricing.schedule import Intervals, ScheduleTable, compile_schedule, pack_schedules
from app.pricing.scope import Assortment, ScopeIndex, compile_scope, index_scopes

ANY_CURRENCY: Final = -1
NO_GROUP: Final = -1


class Promotions(NamedTuple):
    """Promotions by row; the row is the place in the sequence: line promotions first, then by lane, priority and id."""

    id: tuple[str, ...]
    name: tuple[str, ...]
    revision: tuple[int, ...]
    personal_inputs: tuple[tuple[str, ...], ...]  # what an applied promotion has looked at
    reward_inputs: tuple[tuple[str, ...], ...]  # what of it the reward itself asks for
    row_of_code: dict[str, int]
    n_line_level: int
    n_groups: int
    currency_row: Int64s  # (n_promotions,) or ANY_CURRENCY
    group: Int64s  # or NO_GROUP
    is_exclusive: Bools
    not_on_sale: Bools
    requires_code: Bools
    is_personal: Bools  # looks at personal data
    is_contextual: Bools  # its condition looks at no amount or quantity of the order or of a scope
    is_local: Bools  # what it takes of a line depends on the context and that line alone
    needs_order: Bools  # feels the whole order: an order promotion, or a condition on the order's amounts
    kind: Int64s
    kind_row: Int64s
    kinds: tuple[str, ...]
    packed: tuple[Any, ...]  # by kind
    scopes: ScopeIndex
    schedule: ScheduleTable
    conditions: ConditionTable


class PromotionProblem(NamedTuple):
    """What is wrong with one promotion or coupon."""

    resource: str
    id: str
    path: str
    message: str


def compile_promotions(
    bodies: Mapping[str, tuple[Mapping[str, Any], int]],
    coupons: Mapping[str, Mapping[str, Any]],
    *,
    kinds: Mapping[str, Kind],
    assortment: Assortment,
    vocabulary: Vocabulary,
    currency_rows: Mapping[str, int],
    exclusive_wins: bool,
    published_at_us: int,
) -> tuple[Promotions, list[PromotionProblem]]:
    """Compile promotions (id -> body and revision) and the coupons that unlock them; what is wrong leaves a problem."""
    problems: list[PromotionProblem] = []

    def place(name: str) -> tuple[Any, ...]:
        body, _ = bodies[name]
        lane, is_exclusive = body.get("lane") or 0, bool(body.get("exclusive"))
        return (
            _level(body, kinds) == "order",
            lane,
            not is_exclusive if exclusive_wins else False,
            -(body.get("priority") or 0),
            name,
        )

    known = [name for name, (body, _) in bodies.items() if body["kind"] in kinds]
    problems += [PromotionProblem("promotions", name, "kind", "unknown kind") for name in bodies if name not in set(known)]
    ids = sorted(known, key=place)
    row_of_id = {name: row for row, name in enumerate(ids)}
    ordered = [bodies[name][0] for name in ids]

    kind_names = tuple(sorted({body["kind"] for body in ordered}))
    params_of_kind: list[list[Any]] = [[] for _ in kind_names]
    kind_row, trees, schedules, personal, by_reward = [], [], [], [], []
    is_contextual, is_local, needs_order = [], [], []
    for name, body in zip(ids, ordered, strict=True):
        kind = kinds[body["kind"]]
        params, found = _read_params(kind, body, name)
        problems += found
        bucket = params_of_kind[kind_names.index(body["kind"])]
        kind_row.append(len(bucket))
        bucket.append(params)
        tree, schedule, found = _read_when(name, body, vocabulary, published_at_us)
        problems += found
        trees.append(tree)
        schedules.append(schedule)
        looked_at = {slot_name for slot_name in _attributes(body.get("conditions")) if _is_personal(slot_name, vocabulary)}
        by_reward.append(kind.personal_inputs(params) if params is not None else ())
        named = set(_attributes(body.get("conditions")))
        needs_order.append(_level(body, kinds) == "order" or any(one.startswith("order.") for one in named))
        is_contextual.append(not any(one.startswith(("order.", "scope.")) for one in named))
        is_local.append(is_contextual[-1] and not needs_order[-1] and params is not None and kind.is_local(params))
        personal.append(tuple(sorted(looked_at | set(by_reward[-1]))))
    if problems:
        return empty_promotions(assortment), problems

    groups = {name: number for number, name in enumerate(sorted({body["group"] for body in ordered if body.get("group")}))}
    row_of_code, found = _codes(coupons, row_of_id)
    requires_code = np.array([bool(body.get("requires_code")) for body in ordered], np.bool_)
    scopes = [compile_scope(body.get("scope"), assortment) for body in ordered]
    promotions = Promotions(
        tuple(ids),
        tuple(body["name"] for body in ordered),
        tuple(bodies[name][1] for name in ids),
        tuple(personal),
        tuple(by_reward),
        row_of_code,
        sum(_level(body, kinds) == "line" for body in ordered),
        len(groups),
        np.array([currency_rows[body["currency"]] if body.get("currency") else ANY_CURRENCY for body in ordered], np.int64),
        np.array([groups[body["group"]] if body.get("group") else NO_GROUP for body in ordered], np.int64),
        np.array([bool(body.get("exclusive")) for body in ordered], np.bool_),
        np.array([bool(body.get("not_on_sale")) for body in ordered], np.bool_),
        requires_code,
        np.array([bool(names) for names in personal], np.bool_),
        np.array(is_contextual, np.bool_),
        np.array(is_local, np.bool_),
        np.array(needs_order, np.bool_),
        np.array([kind_names.index(body["kind"]) for body in ordered], np.int64),
        np.array(kind_row, np.int64),
        kind_names,
        tuple(kinds[name].pack(params) for name, params in zip(kind_names, params_of_kind, strict=True)),
        index_scopes(scopes, len(assortment.row_of_sku), is_listed=(~requires_code).tolist()),
        pack_schedules(schedules),
        pack_conditions(trees),
    )
    return promotions, found


def empty_promotions(assortment: Assortment) -> Promotions:
    """No promotion at all."""
    none, no_flags = np.zeros(0, np.int64), np.zeros(0, np.bool_)
    return Promotions(
        (), (), (), (), (), {}, 0, 0, none, none, no_flags, no_flags, no_flags, no_flags, no_flags, no_flags, no_flags, none, none, (), (),
        index_scopes([], len(assortment.row_of_sku)), pack_schedules([]), pack_conditions([]),
    )  # fmt: skip


def _level(body: Mapping[str, Any], kinds: Mapping[str, Kind]) -> str:
    return str(body.get("level") or kinds[body["kind"]].LEVELS[0])


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
    name: str, body: Mapping[str, Any], vocabulary: Vocabulary, published_at_us: int
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
            intervals = compile_schedule(body["schedule"], published_at_us=published_at_us)
        except ValueError as error:
            found.append(PromotionProblem("promotions", name, "schedule", str(error)))
    amounts = {"order.subtotal", "scope.subtotal", "customer.spend"}
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


def _codes(
    coupons: Mapping[str, Mapping[str, Any]], row_of_id: Mapping[str, int]
) -> tuple[dict[str, int], list[PromotionProblem]]:
    row_of_code: dict[str, int] = {}
    problems: list[PromotionProblem] = []
    owner: dict[str, str] = {}
    for name in sorted(coupons):
        row = row_of_id.get(coupons[name]["promotion"])
        if row is None:
            problems.append(PromotionProblem("coupons", name, "promotion", "there is no such promotion"))
            continue
        for number, code in enumerate(coupons[name]["codes"]):
            if owner.setdefault(code, name) != name:
                problems.append(
                    PromotionProblem("coupons", name, f"codes[{number}]", f"the code belongs to coupon {owner[code]}")
                )
            row_of_code[code] = row
    return row_of_code, problems
