"""The history of meters: what clients sent and were told, with the holds that are stored, checked against what was promised.

Instants are milliseconds since 1970 by one machine's clock. A hold draws from when it was decided, which is its end less its time to live: the
instant was read under the locks of its meters. So the stored holds alone say what was taken of a meter at any time.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

FOREVER_MS: Final = 1 << 62


class StoredHold(NamedTuple):
    """A row: `ended_ms` is when it was given back or over, FOREVER_MS where it was confirmed."""

    id: str
    quote: str
    order: str
    state: str
    taken_ms: int
    ended_ms: int
    draws: tuple[tuple[str, int], ...]


class Sent(NamedTuple):
    """One request that was sent and answered: `status` and `body` are what was told."""

    kind: str  # hold, confirm, release
    quote: str
    order: str
    hold: str | None
    draws: tuple[tuple[str, int], ...]
    key: str | None  # with one, `sent_ms` is when it was sent first
    sent_ms: int
    told_ms: int
    status: int
    body: bytes
    said: str


class Course:
    """What was taken of a meter over time. Within a millisecond nobody knows what came first."""

    def __init__(self, steps: Iterable[tuple[int, int]]) -> None:
        taken: dict[int, int] = {}
        given: dict[int, int] = {}
        for at_ms, amount in steps:
            of = taken if amount > 0 else given
            of[at_ms] = of.get(at_ms, 0) + amount
        self._at_ms = sorted(taken.keys() | given.keys())
        # After each step, the first being nothing at all; and at most during it.
        self._after = [0]
        self._during = [0]
        for at_ms in self._at_ms:
            self._during.append(self._after[-1] + taken.get(at_ms, 0))
            self._after.append(self._during[-1] + given.get(at_ms, 0))

    @property
    def most(self) -> int:
        """The most that was certainly taken at any time."""
        return max(self._after)

    def most_between(self, first_ms: int, last_ms: int) -> int:
        """The most that may have been taken at any time of an interval, both ends included."""
        first = bisect_left(self._at_ms, first_ms)
        last = bisect_right(self._at_ms, last_ms)
        return max(self._after[first], *self._during[first + 1 : last + 1], 0)


class Findings(NamedTuple):
    """What contradicts the promises, one sentence each."""

    above_cap: list[str]
    false_refusals: list[str]
    different_replies: list[str]
    not_stored: list[str]

    @property
    def is_kept(self) -> bool:
        return not any(self)

    def __str__(self) -> str:
        return (
            f"{len(self.above_cap)} above a cap, {len(self.false_refusals)} refused falsely,"
            f" {len(self.different_replies)} told differently, {len(self.not_stored)} not stored"
        )


def courses_of(holds: Sequence[StoredHold]) -> dict[str, Course]:
    """What was taken of each meter, by the stored holds."""
    steps: dict[str, list[tuple[int, int]]] = {}
    for hold in holds:
        for meter, amount in hold.draws:
            steps.setdefault(meter, []).extend(((hold.taken_ms, amount), (hold.ended_ms, -amount)))
    return {meter: Course(of_meter) for meter, of_meter in steps.items()}


def check(sent: Sequence[Sent], holds: Sequence[StoredHold], caps: dict[str, int]) -> Findings:
    """Hold the promises against a history."""
    courses = courses_of(holds)
    stored = {hold.id: hold for hold in holds}
    above = [
        f"{meter} has {caps[meter]}, and {course.most} were taken by the stored holds"
        for meter, course in courses.items()
        if course.most > caps[meter]
    ]
    above += [
        f"{meter} has {caps[meter]}, and {course.most} were acknowledged at once"
        for meter, course in _acknowledged(sent, stored).items()
        if course.most > caps[meter]
    ]
    return Findings(above, _false_refusals(sent, courses, caps), _different_replies(sent), _not_stored(sent, stored))


def _acknowledged(sent: Sequence[Sent], stored: dict[str, StoredHold]) -> dict[str, Course]:
    """What clients had for certain: from when they were told until they asked to give it back, or its time was over unless it was confirmed."""
    since: dict[str, int] = {}
    until: dict[str, int] = {}
    draws: dict[str, tuple[tuple[str, int], ...]] = {}
    for event in sent:
        if event.hold is None:
            continue
        if event.kind == "hold" and event.status == 201:
            since[event.hold] = min(since.get(event.hold, FOREVER_MS), event.told_ms)
            draws[event.hold] = event.draws
        elif event.kind == "release":
            until[event.hold] = min(until.get(event.hold, FOREVER_MS), event.sent_ms)
    steps: dict[str, list[tuple[int, int]]] = {}
    for hold_id, since_ms in since.items():
        hold = stored.get(hold_id)
        until_ms = min(until.get(hold_id, FOREVER_MS), FOREVER_MS if hold is None else hold.ended_ms)
        if until_ms > since_ms:
            for meter, amount in draws[hold_id]:
                steps.setdefault(meter, []).extend(((since_ms, amount), (until_ms, -amount)))
    return {meter: Course(of_meter) for meter, of_meter in steps.items()}


def _false_refusals(sent: Sequence[Sent], courses: dict[str, Course], caps: dict[str, int]) -> list[str]:
    """Refusals during which there was no instant with too little left."""
    found = []
    for event in sent:
        if event.said != "limit_reached":
            continue
        if not any(
            courses[meter].most_between(event.sent_ms, event.told_ms) + amount > caps[meter]
            for meter, amount in event.draws
            if meter in courses
        ):
            found.append(
                f"{event.order} was refused between {event.sent_ms} and {event.told_ms}, and enough was left all the time"
            )
    return found


def _different_replies(sent: Sequence[Sent]) -> list[str]:
    """Holds, confirms and releases that were told in different bytes, and keys, refusals included."""
    found = []
    told: dict[tuple[str, str], bytes] = {}
    for event in sent:
        names = [] if event.key is None else [("key", event.key)]
        if event.status in (200, 201) and event.hold is not None:
            names.append((event.kind, event.hold))
        for name in names:
            first = told.setdefault(name, event.body)
            if first != event.body:
                found.append(f"{' '.join(name)} was told {first!r}, then {event.body!r}")
    return found


def _not_stored(sent: Sequence[Sent], stored: dict[str, StoredHold]) -> list[str]:
    """What was acknowledged and is not there."""
    states = {"confirm": "used", "release": "released"}
    found = []
    for event in sent:
        if event.status not in (200, 201) or event.hold is None:
            continue
        hold = stored.get(event.hold)
        if hold is None or (hold.quote, hold.order) != (event.quote, event.order):
            found.append(f"{event.kind} of {event.hold} was acknowledged, and {hold} is stored")
        elif event.kind in states and hold.state != states[event.kind]:
            found.append(f"{event.kind} of {event.hold} was acknowledged, and it is {hold.state}")
    return found
