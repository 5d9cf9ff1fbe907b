"""A crowd of connections that ask a service, from one thread: prepared requests, raw sockets, one request under way on each.

Lean, because on two cores it runs beside what it measures: a reply costs it some microseconds, a request that finds no connection free nothing.
"""

import select
import socket
import time
from collections import deque
from collections.abc import Sequence
from random import Random
from typing import Final, NamedTuple

import numpy as np

_CHUNK: Final = 1 << 18
_PATIENCE_S: Final = 0.002
_GRACE_S: Final = 8.0


class Asked(NamedTuple):
    """A prepared request and what the figures call it."""

    kind: str
    octets: bytes


class Answer(NamedTuple):
    """One reply: of which kind, its status, how long after it was meant to be sent, when that was, and whether it says when to come again."""

    kind: str
    status: int
    latency_s: float
    due_s: float
    says_when: bool


class Run(NamedTuple):
    """What came of a run; `crowded_out` found every connection busy and was not sent, `lost` was sent and its connection closed.

    `busy_share` is how much of its core this side used: near 1 it measured itself.
    """

    seconds: float
    offered: int
    crowded_out: int
    lost: int
    answers: list[Answer]
    busy_share: float


class _Connection:
    __slots__ = ("asked", "buffer", "due_s", "missing", "says_when", "socket", "status")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.asked: Asked | None = None
        self.due_s = 0.0
        self.status = 0
        self.says_when = False
        self.missing = 0  # bytes of the reply that are to come, once its head is there
        self.buffer = b""

    def read(self) -> bool | None:
        """Whether the reply is whole now; None when the other side has closed."""
        try:
            data = self.socket.recv(_CHUNK)
        except BlockingIOError:
            return False
        except ConnectionError:
            return None
        if not data:
            return None
        if self.missing:
            self.missing -= len(data)
            return self.missing == 0
        data = self.buffer + data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self.buffer = data
            return False
        self.buffer = b""
        head = data[: end + 2].lower()
        at = head.find(b"content-length:")
        self.status = int(data[9:12])
        self.says_when = b"\r\nretry-after:" in head
        self.missing = end + 4 + int(data[at + 15 : data.find(b"\r", at)]) - len(data)
        return self.missing == 0


class Crowd:
    """So many connections to a port of this machine. A connection that is closed is opened again."""

    def __init__(self, port: int, connections: int) -> None:
        self._port = port
        self._epoll = select.epoll()
        self._by_fd: dict[int, _Connection] = {}
        self._idle: deque[_Connection] = deque()
        self._lost = 0
        for _ in range(connections):
            self._open()

    def close(self) -> None:
        """Drop everything."""
        for connection in self._by_fd.values():
            connection.socket.close()
        self._epoll.close()

    def greet(self, asked: Asked) -> None:
        """Have each connection answered once, so that all of them are inside before anything is measured."""
        now_s = time.perf_counter()
        for _ in range(len(self._idle)):
            self._send(asked, now_s)
        self._finish([], now_s)

    def saturate(self, requests: Sequence[Asked], *, seconds: float) -> Run:
        """A closed loop: every connection asks again as soon as it is answered."""
        answers: list[Answer] = []
        sent = 0
        began_s, used_s = time.perf_counter(), time.process_time()
        until_s = began_s + seconds
        while (now_s := time.perf_counter()) < until_s:
            while self._idle:
                self._send(requests[sent % len(requests)], now_s)
                sent += 1
            answers += self._collect(_PATIENCE_S, began_s)
        busy_share = (time.process_time() - used_s) / seconds
        self._finish(answers, began_s)
        within = [one for one in answers if one.due_s + one.latency_s <= seconds]
        return Run(seconds, sent, 0, self._take_lost(), within, busy_share)

    def offer(self, requests: Sequence[Asked], *, per_second: float, seconds: float, seed: int) -> Run:
        """An open loop: requests come at their own random times, whatever the service does; who finds no connection free is gone."""
        gaps_s = np.random.default_rng(seed).exponential(1 / per_second, int(per_second * seconds))
        due_s = np.cumsum(gaps_s)
        pick = Random(seed).randrange
        answers: list[Answer] = []
        number = crowded_out = 0
        began_s, used_s = time.perf_counter(), time.process_time()
        while number < len(due_s):
            due = int(np.searchsorted(due_s, time.perf_counter() - began_s, side="right"))
            sendable = min(due - number, len(self._idle))
            for at_s in due_s[number : number + sendable].tolist():
                self._send(requests[pick(len(requests))], began_s + at_s)
            crowded_out += due - number - sendable
            number = due
            answers += self._collect(_PATIENCE_S, began_s)
        elapsed_s = time.perf_counter() - began_s
        busy_share = (time.process_time() - used_s) / elapsed_s
        self._finish(answers, began_s)
        return Run(elapsed_s, len(due_s), crowded_out, self._take_lost(), answers, busy_share)

    def _open(self) -> None:
        connection = _Connection(self._port)
        self._by_fd[connection.socket.fileno()] = connection
        self._epoll.register(connection.socket, select.EPOLLIN)
        self._idle.append(connection)

    def _send(self, asked: Asked, due_s: float) -> None:
        connection = self._idle.popleft()
        connection.asked, connection.due_s = asked, due_s
        try:
            n = connection.socket.send(asked.octets)
        except ConnectionError:
            self._lose(connection)
            return
        assert n == len(asked.octets), "a request fits into the buffer of an idle connection"

    def _collect(self, patience_s: float, began_s: float) -> list[Answer]:
        found = []
        for fd, _ in self._epoll.poll(patience_s, 512):
            connection = self._by_fd[fd]
            is_whole = connection.read()
            if is_whole is None:
                self._lose(connection)
            elif is_whole and connection.asked is not None:
                latency_s = time.perf_counter() - connection.due_s
                due_s = connection.due_s - began_s
                found.append(Answer(connection.asked.kind, connection.status, latency_s, due_s, connection.says_when))
                connection.asked = None
                self._idle.append(connection)
        return found

    def _lose(self, connection: _Connection) -> None:
        self._lost += connection.asked is not None
        del self._by_fd[connection.socket.fileno()]
        if connection.asked is None and connection in self._idle:
            self._idle.remove(connection)
        connection.socket.close()
        self._open()

    def _take_lost(self) -> int:
        lost, self._lost = self._lost, 0
        return lost

    def _finish(self, answers: list[Answer], began_s: float) -> None:
        until_s = time.perf_counter() + _GRACE_S
        while len(self._idle) < len(self._by_fd) and time.perf_counter() < until_s:
            answers += self._collect(_PATIENCE_S, began_s)
