"""A world from one seed: pods, clients, a network that delays, repeats and loses, a database whose connections break, and clocks that are off."""

import contextlib
import random
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Final
from uuid import UUID

from asyncpg.pgproto import pgproto

from app.redemptions.protocol import Draw, Grant, Meter, Part
from tests.simulation.database import SOLD_MILLI, Database, Entry, Quote, Reply, Request, Steps, Transaction, Writes
from tests.simulation.laws import Laws, Violation
from tests.simulation.pods import ConnectionLost, Pod

_START_MS: Final = 10_000_000
_QUOTE_TTLS_MS: Final = (60_000, 600_000, 3_600_000)
_SKEW_MS: Final = 90_000
_METERS: Final = ("budget", "customer", "points", "uses")
# Steps of turmoil, then as many as it takes until everybody has an answer.
_TURMOIL_STEPS: Final = 130
_STEPS_MAX: Final = 3000
_WANTS_MAX: Final = 5

# The order of ids is not the order in which they are made.
_IDS: Final[list[UUID]] = [pgproto.UUID(random.Random(number).randbytes(16)) for number in range(512)]


class Task:
    """A generator that is on its way, and whose it is."""

    __slots__ = ("lane", "pod", "steps", "waits_for")

    def __init__(self, steps: Steps[None], pod: Pod | None, lane: int) -> None:
        self.steps = steps
        self.pod = pod
        self.lane = lane
        self.waits_for: Hashable | None = None


class Client:
    """Wants one thing after another for one order and sends each until it is told."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.order = f"o-{number}"
        self.request: Request | None = None
        self.sends_left = 0
        self.wants = 0


class World:
    """Runs one seed. Raises Violation when a law is broken, with the trace in `trace`."""

    def __init__(
        self, seed: int, make_pod: Callable[[Database, Laws, "World", int], Pod] = Pod, *, is_traced: bool = False
    ) -> None:
        self._random = random.Random(seed)
        self.trace: list[str] | None = [] if is_traced else None
        self.step = 0
        self._is_calm = False
        self._ids = 0
        below = self._below
        self.database = database = Database(_START_MS)
        self._caps = caps = [{name: below(6) + 1 for name in ("budget", "customer", "uses")} for _ in range(4)]
        balance = below(4)
        for name in _METERS:
            database.meters[name] = Meter(name, 0, -1, 0, 0, 0)
        database.meters["points"] = Meter("points", balance, 0, balance, 0, 0)
        self.laws = Laws(database, caps, balance)
        self._version = 1
        self._pods = [make_pod(database, self.laws, self, below(2 * _SKEW_MS) - _SKEW_MS) for _ in range(below(3) + 1)]
        self._quotes = [self._make_quote() for _ in range(4)]
        self._clients = [Client(number) for number in range(below(3) + 2)]
        self._network: list[tuple[Request, int]] = []
        self._tasks: list[Task] = []
        self.told: Counter[str] = Counter()
        self._filled = 0

    def _below(self, n: int) -> int:
        return int(self._random.random() * n)

    def make_id(self) -> UUID:
        """An id that nobody else makes."""
        self._ids += 1
        return _IDS[self._ids]

    def _make_quote(self) -> Quote:
        below = self._below
        names = [name for name in _METERS if self._random.random() < 0.55]
        takes = [(name, below(3) + 1) for name in names]
        draws = []
        for version in range(4):
            of_version = []
            for name, amount in takes:
                parts: tuple[Part, ...] = ()
                if name == "budget":
                    parts = (Part("a", amount - amount // 2), Part("b", amount // 2))
                cap = None if name == "points" else self._caps[version][name]
                of_version.append(Draw(name, amount, cap, 0 if cap is None else version, None, parts))
            draws.append(tuple(of_version))
        grants = (Grant("points", 2, None, (Part("a", 2),)),) if self._random.random() < 0.3 else ()
        expires_ms = _START_MS + _QUOTE_TTLS_MS[below(3)]
        return Quote(self.make_id(), expires_ms + below(2 * _SKEW_MS) - _SKEW_MS, expires_ms, draws, grants, SOLD_MILLI)

    def run(self) -> None:
        """Let it happen: turmoil, then calm until everybody has an answer, then what is left is taken to the last unit."""
        chance = self._random.random
        while self.step < _TURMOIL_STEPS:
            self.step += 1
            r = chance()
            if r < 0.7 and self._tasks:
                self._advance(self._tasks[self._below(len(self._tasks))])
            elif r < 0.88 and self._network:
                self._deliver()
            elif r < 0.95:
                self._send(self._clients[self._below(len(self._clients))])
            else:
                self._happen()
        self._is_calm = True
        self._settle()
        self._fill()

    def _settle(self) -> None:
        while self._tasks or self._network or any(client.request is not None for client in self._clients):
            self.step += 1
            if self.step > _STEPS_MAX:
                raise Violation("somebody waits for ever")
            if self._tasks:
                self._advance(self._tasks[self._below(len(self._tasks))])
            elif self._network:
                self._deliver()
            else:
                for client in self._clients:
                    if client.request is not None:
                        self._network.append((client.request, client.number))

    def _happen(self) -> None:
        r = self._random.random()
        if r < 0.3:
            self._pass_time()
        elif r < 0.55:
            self._start(self._pods[0].sweep(), None, 0)
        elif r < 0.75:
            pod = self._pods[self._below(len(self._pods))]
            if pod.version < 3 and self._random.random() < 0.7:
                pod.version += 1
        else:
            self._crash(self._pods[self._below(len(self._pods))])

    def _pass_time(self) -> None:
        """Some time passes, or as much as it takes until a hold is over, but for a millisecond more or less."""
        database = self.database
        ends_ms = [
            hold.expires_ms for hold in database.holds.values() if hold.state == "held" and hold.expires_ms > database.now_ms + 1
        ]
        if ends_ms and self._random.random() < 0.5:
            database.now_ms = min(ends_ms) + self._below(3) - 1
        else:
            database.now_ms += (1_000, 20_000, 100_000)[self._below(3)]
        self._note("the clock is {}", database.now_ms)

    def _crash(self, pod: Pod) -> None:
        """Kill a pod. What it asked of the database it has asked: its locks go at once, or a while later."""
        self._note("pod {} crashes", self._pods.index(pod))
        self._tasks = [task for task in self._tasks if task.pod is not pod]
        pod.asks.clear()
        pod.changes.clear()
        for transaction in pod.transactions:
            if transaction is not None:
                self._abandon(transaction, None)
        pod.transactions = [None, None]

    def _abandon(self, transaction: Transaction, writes: Writes | None) -> None:
        def linger() -> Steps[None]:
            yield None
            yield None
            if writes is not None:
                self._apply(transaction, writes)
            transaction.end()

        # What waits for a row goes at once when its client is gone: here, so that nobody waits for the dead for ever.
        if transaction.waits_for is not None or self._random.random() < 0.5:
            transaction.end()
        else:
            self._start(linger(), None, 0)

    def commit(self, transaction: Transaction, writes: Writes) -> None:
        """Commit and end the transaction. Raises ConnectionLost, whatever became of it."""
        r = 1.0 if self._is_calm else self._random.random()
        if r < 0.05:
            self._note("a connection is lost before its commit")
            transaction.end()
            raise ConnectionLost
        if r < 0.1:
            self._note("a connection is lost, its commit is still under way")
            self._start(self._commit_later(transaction, writes), None, 0)
            raise ConnectionLost
        self._apply(transaction, writes)
        transaction.end()
        if r < 0.18:
            self._note("a connection is lost after its commit")
            raise ConnectionLost

    def _commit_later(self, transaction: Transaction, writes: Writes) -> Steps[None]:
        yield None
        yield None
        self._apply(transaction, writes)
        transaction.end()

    def _apply(self, transaction: Transaction, writes: Writes) -> None:
        if self.trace is not None:
            self._note("committed {}", writes)
        self.laws.check_commit(transaction, writes, self.step)

    def _start(self, steps: Steps[None], pod: Pod | None, lane: int) -> None:
        self._tasks.append(Task(steps, pod, lane))

    def _advance(self, task: Task) -> None:
        locks = self.database.locks
        if task.waits_for is not None and task.waits_for in locks:
            owner = locks[task.waits_for]
            if owner.is_stuck():
                raise Violation("a deadlock")
            return
        try:
            task.waits_for = next(task.steps)
        except StopIteration:
            self._tasks.remove(task)
            if task.pod is not None:
                self._begin(task.pod)

    def _begin(self, pod: Pod) -> None:
        """Have the lanes of a pod that are idle work on what waits."""
        busy = {task.lane for task in self._tasks if task.pod is pod}
        if pod.asks and 0 not in busy:
            self._start(pod.run_holds(), pod, 0)
        if pod.changes and 1 not in busy:
            self._start(pod.run_changes(), pod, 1)

    def _deliver(self) -> None:
        network = self._network
        at = self._below(len(network))
        network[at], network[-1] = network[-1], network[at]
        request, client = network.pop()
        pod = self._pods[self._below(len(self._pods))]
        if self.trace is not None:
            self._note("pod {} gets {} of {} {}", self._pods.index(pod), request.kind, request.order, request.key)
        pod.arrive(request, client)
        self._begin(pod)

    def tell(self, entry: Entry, reply: Reply) -> None:
        """Reply to whoever sent the entry; it may be lost."""
        self.laws.check_told(entry, reply)
        self.told[f"{entry.request.kind} {reply.said}"] += 1
        if self.trace is not None:
            self._note("{} is told {}", entry.request.order, reply)
        client = self._clients[entry.client] if entry.client >= 0 else None
        if client is None:
            self._filled += reply.said == "held"
        elif client.request is entry.request and (self._is_calm or self._random.random() < 0.8):
            client.request = None
            self._choose_next(client, entry.request, reply)
        elif reply.said == "held" and entry.client >= 0 and not self._is_calm and self._random.random() < 0.2:
            # It forgot that it asked for this, and takes it all the same.
            self._network.append((entry.request._replace(kind="confirm", key=None, hold_id=reply.id), entry.client))

    def _send(self, client: Client) -> None:
        if client.request is None:
            if client.wants >= _WANTS_MAX:
                return
            client.wants += 1
            client.sends_left = 4
            client.request = self._hold_request(client)
        if client.sends_left > 0:
            client.sends_left -= 1
            self._network.append((client.request, client.number))
            if self._random.random() < 0.3:
                self._network.append((client.request, client.number))
            if client.request.kind == "hold" and self._random.random() < 0.1:
                self._network.append((self._hold_request(client)._replace(key=None), client.number))

    def _hold_request(self, client: Client) -> Request:
        """For one of two quotes; its neighbours use one of them too."""
        return Request(
            "hold", client.order, self._key(client), self._quotes[(client.number + self._below(2)) % len(self._quotes)]
        )

    def _key(self, client: Client) -> str | None:
        return f"{client.order}/{client.wants}" if self._random.random() < 0.5 else None

    def _choose_next(self, client: Client, request: Request, reply: Reply) -> None:
        """After a hold mostly a confirm or a release, after a confirm mostly returns."""
        if client.wants >= _WANTS_MAX or self._is_calm:
            return
        r = self._random.random()
        hold_id = reply.id if reply.said == "held" else request.hold_id
        following: Request | None = None
        if reply.said == "held" and r < 0.75:
            kind = "confirm" if r < 0.6 else "release"
            order = client.order if r > 0.04 else "o-9"
            client.wants += 1
            following = Request(kind, order, self._key(client), request.quote, hold_id)
        elif reply.said in {"used", "returned"} and r < 0.9:
            client.wants += 1
            line = "a" if r < 0.55 else "b"
            milli = {line: (500, 1000, 3000)[self._below(3)]}
            # A return without a key is a return of its own each time it is sent.
            following = Request("return", client.order, f"{client.order}/{client.wants}", request.quote, hold_id, milli)
        if following is not None:
            client.request = following
            client.sends_left = 4

    def _fill(self) -> None:
        """Once every hold is over, what is left of a meter can be taken to the last unit, and not one more."""
        database = self.database
        database.now_ms += 10_000_000
        name = _METERS[self._below(4)]
        version = 3
        cap = None if name == "points" else self._caps[version][name]
        draw = Draw(name, 1, cap, 0 if cap is None else version)
        used = sum(
            draw.amount for hold in database.holds.values() if hold.state == "used" for draw in hold.draws if draw.meter == name
        )
        given = sum(amount.amount for made in database.returns.values() for amount in made.given if amount.meter == name)
        newest = self.laws.newest_cap(name, {name: version})
        left = max(0, newest - used + given)
        self._filled = 0
        pod = self._pods[0]
        pod.version = version
        for number in range(left + 1):
            far_ms = database.now_ms + _QUOTE_TTLS_MS[0]
            quote = Quote(self.make_id(), far_ms, far_ms, [(draw,)] * 4, (), SOLD_MILLI)
            pod.arrive(Request("hold", f"last-{number}", None, quote), -1)
        self._begin(pod)
        self._settle()
        if self._filled != left:
            raise Violation(f"of {left} that were left of {name} {self._filled} could be taken")

    def _note(self, text: str, *of: object) -> None:
        if self.trace is not None:
            self.trace.append(f"{self.step}: " + text.format(*of))


def run_seed(seed: int, *, told: Counter[str]) -> None:
    """Run one seed and count what clients were told. A violation tells the seed and what happened."""
    world = World(seed)
    try:
        world.run()
    except AssertionError as violation:
        again = World(seed, is_traced=True)
        with contextlib.suppress(AssertionError):
            again.run()
        lines = "\n".join(again.trace or ())
        raise Violation(f"seed {seed}: {violation}\n{lines}\nSIMULATION_SEED={seed} runs it again.") from violation
    told.update(world.told)
