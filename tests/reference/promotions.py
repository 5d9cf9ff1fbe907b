"""Steps 5 and 6: promotions in their sequence, each at its turn."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from tests.reference.allocation import allocate_within
from tests.reference.beyond import Multiplied, Shipping, contest_shipping, fund, gift_of, is_eligible, take_shipping
from tests.reference.codes import coupon_of, promotion_of_each_code
from tests.reference.conditions import Turn, facts_of, looks_at_running_order, named_attributes
from tests.reference.guardrails import Bound
from tests.reference.lines import Line
from tests.reference.rewards import Across, Each, Unreached, benefit_of, falls_short, reward_of
from tests.reference.sets import touches
from tests.reference.shop import Body, Request, Shop, names_currency
from tests.reference.times import is_active

LEVELS = ("line", "order", "shipping")


@dataclass(frozen=True)
class Given:
    """The codes of a request: which names which promotion, and the entries of those that name none."""

    naming: Mapping[str, tuple[int, str]]  # promotion -> (index of the code, code)
    redundant: Sequence[tuple[int, Body]]
    invalid: Sequence[tuple[int, Body]]
    used_up: Sequence[tuple[int, Body]] = ()


@dataclass
class Outcome:
    """What the promotions left beside the lines themselves."""

    adjustments: list[Body] = field(default_factory=list)
    not_applied: list[Body] = field(default_factory=list)
    next_benefit: list[Body] = field(default_factory=list)
    applied: list[str] = field(default_factory=list)
    applied_to_order: list[str] = field(default_factory=list)
    gifts: list[Body] = field(default_factory=list)
    multiplied: list[Multiplied] = field(default_factory=list)
    shipping: Shipping = field(default_factory=lambda: Shipping(None))
    took: list[tuple[str, Line]] = field(default_factory=list)  # what took something of which line, in sequence
    short: dict[str, list[str]] = field(default_factory=dict)  # who took of what those measure that fall short
    sequence: list[str] = field(default_factory=list)  # all candidates
    told: dict[str, tuple[int, int, int]] = field(default_factory=dict)  # where each candidate stands among what is told

    def sort(self) -> None:
        """Put what is told into its order."""
        for entries in (self.not_applied, self.next_benefit):
            entries.sort(key=lambda entry: self.told[entry["rule"]])


def codes_given(shop: Shop, request: Request) -> Given:
    """Look up the codes of a request."""
    promotion_of = promotion_of_each_code(shop.each("coupons"))
    naming: dict[str, tuple[int, str]] = {}
    redundant: list[tuple[int, Body]] = []
    invalid: list[tuple[int, Body]] = []
    used_up: list[tuple[int, Body]] = []
    for index, code in enumerate(request.codes):
        if code in request.codes[:index]:
            continue  # the same code twice is one code
        rule = promotion_of.get(code)
        if rule is None or not _is_on(shop, request, rule):
            invalid.append((index, {"code": code, "reason": "code_invalid"}))
        elif spent := [each["limit"] for each in request.limited if _is_spent(shop, each, code)]:
            said = {"reason": "limit_reached", "limit": spent[0], "left": 0}
            used_up.append((index, {"rule": rule, "code": code, **said}))
        elif rule in naming:
            redundant.append((index, {"rule": rule, "code": code, "reason": "code_redundant"}))
        else:
            naming[rule] = (index, code)
    return Given(naming, redundant, invalid, used_up)


def _is_spent(shop: Shop, counter: Body, code: str) -> bool:
    """Say whether a counter is of the coupon of a code, or of that code alone, and has nothing left."""
    if not counter["limit"].startswith("coupon_") or counter["left"] != 0:
        return False
    if counter["limit"] == "coupon_uses_per_code":
        return bool(counter["code"] == code)
    return bool(coupon_of(shop.each("coupons"), code) == counter["rule"])


def _is_on(shop: Shop, request: Request, rule: str) -> bool:
    promotion = shop.each("promotions").get(rule)
    return (
        promotion is not None
        and names_currency(promotion, request.currency)
        and is_active(promotion.get("schedule"), request.at_us, shop.published_at_us, shop.named_days("promotions", rule))
    )


@dataclass(frozen=True)
class Candidate:
    """A promotion that may apply, and where."""

    rule: str
    number: int  # in the sequence
    promotion: Body
    named: Body  # the code that names it
    scope: Sequence[int]  # places of its lines


def candidates_of(shop: Shop, request: Request, lines: Sequence[Line], given: Given) -> list[Candidate]:
    """Return the candidates in their sequence, and what a code names without any line in its scope."""
    exclusive_wins = shop.policy("exclusive_wins") and shop.policy("selection") == "priority"

    def place(rule: str) -> tuple[int, int, bool, int, str]:
        body = shop.each("promotions")[rule]
        follows = exclusive_wins and not body.get("exclusive")
        return LEVELS.index(body["level"]), body.get("lane") or 0, follows, -(body.get("priority") or 0), rule

    found: list[Candidate] = []
    for rule in sorted(shop.each("promotions"), key=place):
        promotion = shop.each("promotions")[rule]
        if not _is_on(shop, request, rule) or (promotion.get("requires_code") and rule not in given.naming):
            continue
        named = {"code": given.naming[rule][1]} if rule in given.naming else {}
        scope = [at for at, line in enumerate(lines) if touches(shop, promotion, line.sku)]
        if scope or named:
            found.append(Candidate(rule, len(found), promotion, named, scope))
    return found


def run_promotions(
    shop: Shop,
    request: Request,
    lines: list[Line],
    given: Given,
    candidates: Sequence[Candidate],
    closed: AbstractSet[tuple[str, int]] = frozenset(),
    barred: Mapping[str, Body] = MappingProxyType({}),
) -> Outcome:
    """Apply the candidates to the lines, in sequence; what they leave to tell is put into its order at the end.

    `closed` has places of lines for which contests have made a promotion not eligible, `barred` what is said of those without a turn.
    """
    outcome = Outcome(shipping=Shipping(request.basket.get("shipping")), sequence=[one.rule for one in candidates])
    facts = facts_of(shop, request)
    has_contested = shop.policy("selection") != "best"
    for one in candidates:
        rule, named, number = one.rule, one.named, one.number
        if one.promotion["level"] == "shipping" and not has_contested:
            has_contested = True
            open_ones = [other for other in candidates if other.rule not in barred]
            contest_shipping(shop, _open_to_shipping(open_ones, lines, facts), outcome.shipping)
        if not one.scope:
            outcome.not_applied.append({"rule": rule, **named, "reason": "no_matching_lines"})
            outcome.told[rule] = 2, given.naming[rule][0], number
            continue
        scope = [lines[place] for place in one.scope]
        outcome.told[rule] = (1, 0, number) if one.promotion["level"] != "line" else (0, one.scope[0], number)
        if rule in barred:
            outcome.not_applied.append({"rule": rule, **named, **barred[rule]})
            continue
        lost = [(rule, place) in closed for place in one.scope]
        why = _take_turn(shop, request, one, Turn(facts, lines, scope), outcome, lost)
        if why is None:
            outcome.applied.append(rule)
        else:
            outcome.not_applied.append({"rule": rule, **named, **why})
    outcome.sort()
    fund(shop, lines, outcome.adjustments, outcome.shipping.adjustments)
    return outcome


def _take_turn(shop: Shop, request: Request, one: Candidate, turn: Turn, outcome: Outcome, lost: Sequence[bool]) -> Body | None:
    """Apply one candidate; return why it did not apply, None where it did."""
    rule, promotion, named = one.rule, one.promotion, one.named
    condition = promotion.get("conditions")
    if condition is not None and not turn.holds(condition):
        is_of_lines = promotion["level"] != "shipping"
        if is_of_lines and Turn(turn.facts, _untouched(turn.order), _untouched(turn.scope)).holds(condition):
            _fall_short(rule, condition, turn, outcome)
        return turn.reason(condition)
    shown = {
        "kind": promotion["kind"],
        "rule": rule,
        "revision": shop.revision("promotions", rule),
        "name": promotion["name"],
        **named,
    }
    if promotion["level"] == "shipping":
        return take_shipping(shop, promotion, shown, turn, outcome.shipping)
    blocks = [_block(shop, promotion, line, outcome, is_lost) for line, is_lost in zip(turn.scope, lost, strict=True)]
    eligible = [line for line, block in zip(turn.scope, blocks, strict=True) if block is None]
    if not eligible:
        return {"reason": blocks[0]}
    if promotion["kind"] in ("gift", "points"):
        return _give(shop, request, promotion, shown, eligible, outcome)
    if falls_short(promotion, turn.scope, _untouched(turn.scope), turn.facts):
        _fall_short(rule, condition, turn, outcome)
    benefit = benefit_of(shop, promotion, turn.scope, eligible, turn.facts)
    if benefit is not None:
        outcome.next_benefit.append({"rule": rule, **benefit})
    reward = reward_of(shop, promotion, turn.scope, eligible, turn.facts)
    if isinstance(reward, Unreached):
        return reward.entry
    if promotion["level"] == "order":
        assert isinstance(reward, Across)
        has_applied = _apply_to_order(shop, promotion, shown, reward, eligible, outcome)
    elif isinstance(reward, Each):
        has_applied = apply_to_each(shop, promotion, shown, reward.rewards, eligible)
    else:
        has_applied = _apply_across(shop, promotion, shown, reward, eligible)
    if has_applied:
        for line, units in zip(eligible, reward.served, strict=bool(reward.served)):
            line.served_units += units
    outcome.took += [(rule, line) for line in eligible if _has_taken(rule, line)]
    return None if has_applied else {"reason": "nothing_to_discount"}


def _open_to_shipping(candidates: Sequence[Candidate], lines: Sequence[Line], facts: Body) -> list[str]:
    """Return the shipping promotions whose condition holds, now that all others are done, and that have an eligible line."""
    found = []
    for one in candidates:
        turn = Turn(facts, lines, [lines[place] for place in one.scope])
        if one.promotion["level"] == "shipping" and one.scope and is_eligible(one.promotion, turn):
            condition = one.promotion.get("conditions")
            found += [one.rule] if condition is None or turn.holds(condition) else []
    return found


def _has_taken(rule: str, line: Line) -> bool:
    return any(each["rule"] == rule and each["kind"] != "guardrail" for each in line.adjustments)


def _untouched(lines: Sequence[Line]) -> list[Line]:
    return [replace(line, running=line.subtotal) for line in lines]


def _fall_short(rule: str, condition: Body | None, turn: Turn, outcome: Outcome) -> None:
    """Note who has taken something of the lines that a promotion measures."""
    measured = turn.order if looks_at_running_order(condition) else turn.scope
    before = [taker for taker, line in outcome.took if any(line is one for one in measured)]
    outcome.short[rule] = sorted(set(before))


def _give(shop: Shop, request: Request, promotion: Body, shown: Body, eligible: list[Line], outcome: Outcome) -> Body | None:
    """Apply what takes no amount: a gift, or a multiplier of points."""
    if promotion["kind"] == "gift":
        outcome.gifts.append(gift_of(shop, request, promotion["params"], shown))
    elif request.currency in shop.policy("points"):
        outcome.multiplied.append(Multiplied(shown, promotion["params"]["multiplier"], eligible))
    else:
        return {"reason": "points_not_offered"}
    outcome.applied_to_order.append(shown["rule"])
    return None


def _block(shop: Shop, promotion: Body, line: Line, outcome: Outcome, is_lost: bool) -> str | None:
    """Return why a line of the scope is not eligible, None where it is."""
    if promotion.get("not_on_sale") and line.is_on_sale:
        return "on_sale"
    if is_lost:
        return "not_best"
    promotions = shop.each("promotions")
    rivals = outcome.applied_to_order if promotion["level"] == "order" else line.applied
    is_taken = any(promotions[rival].get("exclusive") for rival in [*rivals, *line.applied])
    if is_taken or (promotion.get("exclusive") and rivals):
        return "exclusive_taken"
    group = promotion.get("group")
    if group is not None and any(promotions[rival].get("group") == group for rival in rivals):
        return "group_taken"
    return None


def apply_to_each(shop: Shop, promotion: Body, shown: Body, rewards: list[int], lines: list[Line]) -> bool:
    """Take a reward of each line; return whether any was taken."""
    limited = [min(reward, line.running) for reward, line in zip(rewards, lines, strict=True)]
    cap = promotion["params"].get("cap")
    if cap is not None and sum(limited) > cap:
        own_rooms = [min(reward, line.room(promotion)) for reward, line in zip(limited, lines, strict=True)]
        return _allocate_to_lines(shop, shown, cap, limited, own_rooms, lines)
    for reward, line in zip(limited, lines, strict=True):
        if reward == 0:
            continue
        given_back = max(0, reward - line.room(promotion))
        line.adjustments.append({**shown, "amount": -reward})
        if given_back:
            line.adjustments.append(_give_back(shop, line.bound_for(promotion), given_back))
        line.running -= reward - given_back
        line.applied.append(shown["rule"])
    return any(limited)


def _apply_across(shop: Shop, promotion: Body, shown: Body, reward: Across, lines: list[Line]) -> bool:
    rooms = [line.room(promotion) for line in lines]
    return _allocate_to_lines(shop, shown, _limited(promotion, reward.amount, lines), reward.weights, rooms, lines)


def _limited(promotion: Body, amount: int, lines: list[Line]) -> int:
    cap = promotion["params"].get("cap")
    amount = min(amount, sum(line.running for line in lines))
    return amount if cap is None else min(amount, cap)


def _allocate_to_lines(shop: Shop, shown: Body, amount: int, weights: list[int], rooms: list[int], lines: list[Line]) -> bool:
    taken, _ = allocate_within(amount, weights, rooms, shop.policy("remainder"), shop.policy("rounding"))
    for share, line in zip(taken, lines, strict=True):
        if share:
            line.adjustments.append({**shown, "amount": -share})
            line.running -= share
            line.applied.append(shown["rule"])
    return any(taken)


def _apply_to_order(shop: Shop, promotion: Body, shown: Body, reward: Across, lines: list[Line], outcome: Outcome) -> bool:
    amount = _limited(promotion, reward.amount, lines)
    if amount == 0:
        return False
    rooms = [line.room(promotion) for line in lines]
    taken, fixed = allocate_within(amount, reward.weights, rooms, shop.policy("remainder"), shop.policy("rounding"))
    outcome.adjustments.append({**shown, "amount": -amount})
    dropped = amount - sum(taken)
    if dropped:
        # A line without a bound can be fixed too, at nothing left to take; only a bound can have dropped an amount.
        bound = next(line.bounds.paid for i, line in enumerate(lines) if i in fixed and line.bounds.paid is not None)
        outcome.adjustments.append(_give_back(shop, bound, dropped))
    for share, line in zip(taken, lines, strict=True):
        if share:
            line.adjustments.append({**shown, "amount": -share, "level": "order"})
            line.running -= share
    outcome.applied_to_order.append(shown["rule"])
    return True


def _give_back(shop: Shop, bound: Bound | None, amount: int) -> Body:
    assert bound is not None
    revision = shop.revision("guardrails", bound.rule)
    return {
        "kind": "guardrail",
        "rule": bound.rule,
        "revision": revision,
        "name": bound.name,
        "amount": amount,
        "bound": bound.name,
    }


def personal_inputs(shop: Shop, lines: Sequence[Line], outcome: Outcome) -> list[str]:
    """Return the sorted names of the personal attributes that the prices rest on."""
    named: set[str] = set()
    for rule in outcome.applied:
        promotion = shop.each("promotions")[rule]
        named |= named_attributes(promotion.get("conditions")) | {promotion["params"].get("by") or ""}
    personal = {name for name in named if name.startswith("customer.")}
    for name, body in shop.each("attributes").items():
        if body.get("personal") and f"attributes.{name}" in named:
            personal.add(f"attributes.{name}")
    if any(line.entry.names_groups for line in lines):
        personal.add("customer.segments")
    return sorted(personal)
