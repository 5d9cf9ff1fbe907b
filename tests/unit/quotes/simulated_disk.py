"""A disk that forgets what was not synced, takes no more when it is full, and fails when it is told to."""

import errno
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Self


class Crashed(Exception):
    """The machine stopped before this call."""


@dataclass
class _File:
    durable: bytes = b""
    current: bytes = b""


@dataclass
class SimulatedDisk:
    """The calls of app.quotes.spool_log.Disk. `steps_left` calls are carried out before a crash; None is no crash."""

    random: Random
    names_now: dict[Path, _File] = field(default_factory=dict)
    names_durable: dict[Path, _File] = field(default_factory=dict)
    steps_left: int | None = None
    room_octets: int | None = None
    sync_failure_rate: float = 0.0
    steps: int = 0
    _open: dict[int, tuple[Path, _File]] = field(default_factory=dict)

    def after_crash(self) -> Self:
        """What is found when the machine is back: what was synced, and any part of the rest, torn or filled with zeros."""
        random = self.random
        # Each change of a name that was not synced has happened or has not.
        names = {
            path: file
            for path in self.names_now.keys() | self.names_durable.keys()
            if (file := random.choice((self.names_now.get(path), self.names_durable.get(path)))) is not None
        }
        files = {}
        for path, file in names.items():
            kept = file.durable
            if file.current.startswith(kept):
                rest = file.current[len(kept) :]
                part = rest[: random.randint(0, len(rest))]
                kept += part + bytes(random.choice((0, random.randint(0, len(rest) - len(part)))))
            else:
                kept = random.choice((kept, file.current))
            files[path] = _File(kept, kept)
        return type(self)(random, dict(files), dict(files))

    def create(self, path: Path) -> int:
        self._step()
        if path in self.names_now:
            raise FileExistsError(errno.EEXIST, "there already", str(path))
        self.names_now[path] = _File()
        return self._opened(path)

    def append(self, path: Path) -> int:
        self._step()
        self.names_now.setdefault(path, _File())
        return self._opened(path)

    def write(self, descriptor: int, octets: bytes) -> None:
        self._step()
        file = self._open[descriptor][1]
        room = len(octets) if self.room_octets is None else min(len(octets), self.room_octets - self._taken())
        file.current += octets[: max(0, room)]
        if room < len(octets):
            raise OSError(errno.ENOSPC, "no space left")

    def sync(self, descriptor: int) -> None:
        self._step()
        if self.random.random() < self.sync_failure_rate:
            raise OSError(errno.EIO, "input/output error")
        file = self._open[descriptor][1]
        file.durable = file.current

    def truncate(self, descriptor: int, size: int) -> None:
        self._step()
        file = self._open[descriptor][1]
        file.current = file.current[:size]

    def close(self, descriptor: int) -> None:
        self._step()
        del self._open[descriptor]

    def sync_folder(self, folder: Path) -> None:
        self._step()
        self.names_durable = dict(self.names_now)

    def read(self, path: Path, start: int = 0, octets: int = -1) -> bytes:
        content = self.names_now[path].current
        return content[start:] if octets < 0 else content[start : start + octets]

    def names(self, folder: Path) -> list[str]:
        return [path.name for path in self.names_now]

    def rename(self, path: Path, to: Path) -> None:
        self._step()
        self.names_now[to] = self.names_now.pop(path)

    def remove(self, path: Path) -> None:
        self._step()
        del self.names_now[path]

    def _opened(self, path: Path) -> int:
        descriptor = self.steps + 3
        self._open[descriptor] = (path, self.names_now[path])
        return descriptor

    def _taken(self) -> int:
        return sum(len(file.current) for file in self.names_now.values())

    def _step(self) -> None:
        if self.steps_left is not None and self.steps >= self.steps_left:
            raise Crashed
        self.steps += 1


class ForgetfulDisk(SimulatedDisk):
    """A planted defect: a disk whose sync is left out."""

    def sync(self, descriptor: int) -> None:
        self._step()


class NamelessDisk(SimulatedDisk):
    """A planted defect: files are synced, and the folder that names them is not."""

    def sync_folder(self, folder: Path) -> None:
        self._step()
