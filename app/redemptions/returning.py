"""Returns: what is given back, and taken back, when lines of a confirmed order come back in part or wholly. Pure, as the protocol is."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from app.redemptions.protocol import Amount, Decided, Draw, Grant, Hold, Meter, Numbers, Refused, Same


class Returning(NamedTuple):
    """A return that is asked for; `milli` holds thousandths of a unit by line. The pod makes `return_id` before the first try."""

    return_id: UUID
    hold_id: UUID
    milli: Mapping[str, int]


class Sold(NamedTuple):
    """The lines of a used hold, what was returned of them before, in thousandths, and by which returns: read under the hold's lock."""

    milli: Mapping[str, int]
    returned_milli: Mapping[str, int]
    return_ids: Collection[UUID] = ()


class Returned(NamedTuple):
    """A new return: what it gives back, what of the granted it takes back, and what of that is not there any more."""

    return_id: UUID
    hold: Hold
    given: tuple[Amount, ...]
    withdrawn: tuple[Amount, ...]
    missing: tuple[Amount, ...]


type ReturnOutcome = Returned | Same | Refused


def decide_returns(
    asked: Sequence[Returning],
    *,
    holds: Mapping[UUID, Hold],
    sold: Mapping[UUID, Sold],
    meters: Mapping[str, Meter],
) -> Decided[ReturnOutcome]:
    """Give back what was used, in proportion of what is returned.

    What all returns of a line have given back is its part times the share returned, rounded down, so that the returns of a whole line give back
    exactly its part; what is in no part comes back with the last unit of the last line. What was granted is taken back the same way as far as it
    is there; the rest is told and not asked for again.
    """
    decided: Decided[ReturnOutcome] = Decided()
    numbers = Numbers(meters)
    returned: dict[UUID, dict[str, int]] = {}
    done: set[UUID] = set()
    for ask in asked:
        hold = holds.get(ask.hold_id)
        refusal = _refuse_return(hold)
        if hold is None or refusal is not None:
            decided.outcomes.append(refusal or Refused("unknown_hold"))
            continue
        lines = sold[hold.id]
        if ask.return_id in done or ask.return_id in lines.return_ids:
            decided.outcomes.append(Same(hold))
            continue
        before = returned.get(hold.id) or dict(lines.returned_milli)
        unknown = tuple(Amount(line, 0) for line in ask.milli if line not in lines.milli)
        over = tuple(
            Amount(line, lines.milli[line] - before.get(line, 0))
            for line, milli in ask.milli.items()
            if line in lines.milli and milli > lines.milli[line] - before.get(line, 0)
        )
        if unknown or over:
            decided.outcomes.append(Refused("unknown_line", unknown) if unknown else Refused("returns_too_much", over))
            continue
        after = before | {line: before.get(line, 0) + milli for line, milli in ask.milli.items()}
        returned[hold.id] = after
        done.add(ask.return_id)
        decided.outcomes.append(_return(ask.return_id, hold, lines.milli, before, after, numbers))
    decided.meters = numbers.changed()
    return decided


def _refuse_return(hold: Hold | None) -> Refused | None:
    if hold is None:
        return Refused("unknown_hold")
    if hold.state == "released":
        return Refused("hold_expired" if hold.ended == "expired" else "hold_released")
    return None if hold.state == "used" else Refused("hold_not_used")


def _return(
    return_id: UUID, hold: Hold, sold: Mapping[str, int], before: Mapping[str, int], after: Mapping[str, int], numbers: Numbers
) -> Returned:
    given, withdrawn, missing = [], [], []
    for draw in hold.draws:
        amount = _share(draw, sold, after) - _share(draw, sold, before)
        if amount:
            meter = numbers[draw.meter]
            meter.used -= amount
            meter.fit()
            given.append(Amount(draw.meter, amount))
    for grant in hold.grants:
        amount = _share(grant, sold, after) - _share(grant, sold, before)
        meter = numbers[grant.meter]
        there = min(amount, meter.left)
        if there:
            meter.cap_wanted -= there
            meter.fit()
            withdrawn.append(Amount(grant.meter, there))
        if amount > there:
            missing.append(Amount(grant.meter, amount - there))
    return Returned(return_id, hold, tuple(given), tuple(withdrawn), tuple(missing))


def _share(of: Draw | Grant, sold: Mapping[str, int], returned: Mapping[str, int]) -> int:
    """What of a draw or a grant all returns together have moved."""
    if all(returned.get(line, 0) == milli for line, milli in sold.items()):
        return of.amount
    return sum(part.amount * returned.get(part.line, 0) // sold[part.line] for part in of.parts)
