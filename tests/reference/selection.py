"""Which of competing promotions take part: every set of a line's contestants, every combination of rivals, one after the other."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from tests.reference.conditions import Turn, facts_of, looks_at_running
from tests.reference.lines import Line
from tests.reference.promotions import Candidate, Given, Outcome, apply_to_each, candidates_of, run_promotions
from tests.reference.rewards import Each, reward_of
from tests.reference.shop import Body, Request, Shop

CONTESTANTS_MAX = 12
RIVALS_MAX = 12
WORK_MAX = 8_192

Set = frozenset[str]


@dataclass
class Run:
    """One combination that was tried: who took part, and what came of it."""

    left_out: Set
    lines: list[Line]
    outcome: Outcome
    is_bounded: bool

    @property
    def total(self) -> int:
        worth: int = sum(gift["worth"] for gift in self.outcome.gifts)
        return sum(line.running for line in self.lines) - worth

    def rank(self) -> tuple[int, int, int, list[str], int, list[str]]:
        """Return what the better of two runs has less of."""
        applied = sorted(set(self.outcome.applied) - set(self.outcome.shipping.applied))
        n_given = len(self.outcome.gifts) + len(self.outcome.multiplied)
        return self.total, -n_given, len(applied), applied, len(self.left_out), sorted(self.left_out)


def select(shop: Shop, request: Request, lines: list[Line], given: Given, barred: Mapping[str, Body]) -> tuple[Outcome, str]:
    """Run the promotions that take part, and change the lines; return what they leave besides, and the reply's `selection`."""
    search = Search(shop, request, lines, given, barred)
    is_best = shop.policy("selection") == "best"
    run = search.best() if is_best else search.run(frozenset(), has_contests=False)
    run.outcome.multiplied = [
        replace(
            each, lines=[line for line, chosen in zip(lines, run.lines, strict=True) if any(chosen is one for one in each.lines)]
        )
        for each in run.outcome.multiplied
    ]
    for line, chosen in zip(lines, run.lines, strict=True):
        line.running, line.adjustments, line.applied = chosen.running, chosen.adjustments, chosen.applied
    return run.outcome, "bounded" if run.is_bounded else "exact"


class Search:
    """The candidates of one basket, and ways to run them."""

    def __init__(self, shop: Shop, request: Request, lines: list[Line], given: Given, barred: Mapping[str, Body]) -> None:
        self.barred = barred
        self.shop, self.request, self.lines, self.given = shop, request, lines, given
        self.facts = facts_of(shop, request)
        self.candidates = candidates_of(shop, request, lines, given)
        of_lines = [one for one in self.candidates if one.scope and one.promotion["level"] != "shipping"]
        self.live = [one for one in of_lines if one.rule not in barred and self._may_hold(one)]
        self.open = {
            one.rule: {at for at in one.scope if not (one.promotion.get("not_on_sale") and lines[at].is_on_sale)}
            for one in self.live
        }

    def _may_hold(self, one: Candidate) -> bool:
        condition = one.promotion.get("conditions")
        turn = Turn(self.facts, self.lines, [self.lines[at] for at in one.scope])
        return looks_at_running(condition) or turn.holds(condition)

    def run(self, left_out: Set, *, has_contests: bool = True) -> Run:
        """Run all candidates but some."""
        lines = [fresh(line) for line in self.lines]
        closed: set[tuple[str, int]] = set()
        is_bounded = False
        for place in range(len(lines)) if has_contests else ():
            lost, is_too_much = self.lost(place, left_out)
            closed |= {(rule, place) for rule in lost}
            is_bounded = is_bounded or is_too_much
        taking_part = [one for one in self.candidates if one.rule not in left_out]
        outcome = run_promotions(self.shop, self.request, lines, self.given, taking_part, closed, self.barred)
        return Run(left_out, lines, outcome, is_bounded)

    # Contests

    def lost(self, place: int, left_out: Set) -> tuple[set[str], bool]:
        """Return the contestants of a line that are not in its winning set, and whether there were too many."""
        here = [one for one in self.live if is_single(one) and place in self.open[one.rule] and one.rule not in left_out]
        here = [one for one in here if self._run_on_line(place, [one])[1]]
        contestants = [one for one in here if any(exclude(one, other) for other in here)]
        apart = [one for one in here if one not in contestants]
        contestants, too_many = contestants[:CONTESTANTS_MAX], contestants[CONTESTANTS_MAX:]
        tried = []
        for chosen in maximal_sets(contestants):
            taking_part = sorted([*chosen, *apart], key=lambda one: one.number)
            amount, took = self._run_on_line(place, taking_part)
            tried.append((amount, len(took), sorted(took), sorted(one.rule for one in chosen)))
        if not contestants:
            return set(), bool(too_many)
        return {one.rule for one in contestants} - set(min(tried)[3]), bool(too_many)

    def _run_on_line(self, place: int, chosen: Sequence[Candidate]) -> tuple[int, list[str]]:
        """Run promotions on one line by itself; return what it costs then, and what took something."""
        line = fresh(self.lines[place])
        took = []
        for one in chosen:
            scope = [self.lines[at] for at in one.scope]
            reward = reward_of(self.shop, one.promotion, scope, [line], self.facts)
            if isinstance(reward, Each) and apply_to_each(self.shop, one.promotion, {"rule": one.rule}, reward.rewards, [line]):
                took.append(one.rule)
        return line.running, took

    # Rivals

    def rivals(self, first: Run) -> tuple[list[Candidate], set[str]]:
        """Return the rivals in their sequence, and those that are rivals only because order promotions exclude each other."""
        free: set[str] = set()
        by_order: set[str] = set()
        live = [one for one in self.live if self.open[one.rule]]
        for one, other in combinations(live, 2):
            shares = bool(self.open[one.rule] & self.open[other.rule])
            levels = one.promotion["level"], other.promotion["level"]
            if levels == ("line", "line") and not (is_single(one) and is_single(other)) and exclude(one, other) and shares:
                free |= {one.rule, other.rule}
            if levels == ("line", "order") and one.promotion.get("exclusive") and shares:
                free |= {one.rule, other.rule}
            if uses_units(one) and uses_units(other) and shares:
                free |= {one.rule, other.rule}
            if levels == ("order", "order") and exclude(one, other):
                by_order |= {one.rule, other.rule}
        for rule, before in first.outcome.short.items():
            free |= {rule, *before} & {one.rule for one in live}
        return [one for one in live if one.rule in free | by_order], by_order - free

    def exclude_wholly(self, one: Candidate, other: Candidate) -> bool:
        """Say whether only one of two rivals can take part."""
        if not exclude(one, other):
            return False
        if one.promotion["level"] == "order":
            return True
        return not is_single(one) and not is_single(other) and self.open[one.rule] == self.open[other.rule]

    def combinations_of(self, rivals: Sequence[Candidate], by_order: set[str]) -> list[Set]:
        """Return what each combination of some rivals leaves out."""
        found = []
        for size in range(len(rivals) + 1):
            for taking_part in combinations(rivals, size):
                missing = [one for one in rivals if one not in taking_part]
                if any(self.exclude_wholly(one, other) for one, other in combinations(taking_part, 2)):
                    continue
                if all(
                    one.rule not in by_order or any(self.exclude_wholly(one, other) for other in taking_part) for one in missing
                ):
                    found.append(frozenset(one.rule for one in missing))
        return found

    # Search

    def best(self) -> Run:
        """Try every combination of rivals, and once everything by its sequence."""
        first = self.run(frozenset())
        rivals, by_order = self.rivals(first)
        searched = rivals[:RIVALS_MAX]
        left_out = self.combinations_of(searched, by_order)
        while len(left_out) * len(self.lines) > WORK_MAX:
            searched = searched[:-1]
            left_out = self.combinations_of(searched, by_order)
        runs = sorted([self.run(each) for each in left_out], key=Run.rank)
        winner = runs[0]
        by_sequence = self.run(frozenset(), has_contests=False)
        if by_sequence.total < winner.total:
            winner = by_sequence
        for rule in sorted(winner.left_out):
            self._tell(rule, next(run for run in runs if rule not in run.left_out), winner)
        winner.is_bounded = first.is_bounded or len(searched) < len(rivals) or winner.outcome.shipping.is_bounded
        return winner

    def _tell(self, rule: str, run: Run, winner: Run) -> None:
        """Tell why a rival that was left out did not apply."""
        one = next(one for one in self.candidates if one.rule == rule)
        entries: list[Body] = [entry for entry in run.outcome.not_applied if entry["rule"] == rule]
        winner.outcome.not_applied += entries or [{"rule": rule, **one.named, "reason": "not_best"}]
        if entries:
            winner.outcome.next_benefit += [entry for entry in run.outcome.next_benefit if entry["rule"] == rule]
        winner.outcome.told[rule] = run.outcome.told[rule]
        winner.outcome.sort()


def fresh(line: Line) -> Line:
    """Return the line as it was before promotions."""
    return replace(line, running=line.subtotal, adjustments=[], applied=[], served_units=0)


def exclude(one: Candidate, other: Candidate) -> bool:
    """Say whether two promotions of one level exclude each other."""
    if one.rule == other.rule or one.promotion["level"] != other.promotion["level"]:
        return False
    group = one.promotion.get("group")
    shares = group is not None and group == other.promotion.get("group")
    return shares or bool(one.promotion.get("exclusive") or other.promotion.get("exclusive"))


def uses_units(one: Candidate) -> bool:
    """Say whether units that serve its sets serve no other's."""
    return one.promotion["kind"] in ("buy_x_get_y", "bundle")


def is_single(one: Candidate) -> bool:
    """Say whether what a line promotion takes of a line feels no other line at its turn."""
    kind, params = one.promotion["kind"], one.promotion["params"]
    if one.promotion["level"] != "line" or looks_at_running(one.promotion.get("conditions")):
        return False
    if (params.get("units") or {}).get("per") == "order":
        return False
    if kind == "tiered":
        return params["by"] != "spend" and all(step.get("amount") is None for step in params["steps"])
    if kind in ("percent_off", "amount_off"):
        is_across = (params.get("per") or {"percent_off": "line", "amount_off": "across"}[kind]) == "across"
        return params.get("cap") is None and not is_across
    return bool(kind == "fixed_price")


def maximal_sets(contestants: Sequence[Candidate]) -> Iterable[Sequence[Candidate]]:
    """Return every set of which no two exclude each other and to which no further one could be added."""
    for size in range(len(contestants) + 1):
        for chosen in combinations(contestants, size):
            fits = not any(exclude(one, other) for one, other in combinations(chosen, 2))
            rest = [one for one in contestants if one not in chosen]
            if fits and all(any(exclude(one, other) for other in chosen) for one in rest):
                yield chosen
