"""The local log of decisions while the database is away: numbered files of checked records, synced before anybody is answered.

A file is a magic line and records: a marker, the payload's length, its BLAKE2b, the payload. A file is written by the process that made
it and by no other, and never again once it is sealed; what a crash leaves behind is read, not continued. Nothing here waits for a
database; see app.quotes.spool for what does.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import struct
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import msgspec
from asyncpg.pgproto.pgproto import UUID

from app.quotes.decision import Decision

MAGIC: Final = b"centwise-spool-1\n"
# Not to be found in UTF-8, which is what payloads are mostly made of.
_MARKER: Final = b"\xc3CW\xc3"
_HEAD: Final = struct.Struct("<4sI16s")
_DIGEST_OCTETS: Final = 16
# A drain reads a whole file, and decoding it should not be felt.
_FILE_OCTETS: Final = 4 << 20
_NAME: Final = re.compile(r"(\d{8})\.log")
_ASIDE: Final = "aside.log"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class SpoolFull(Exception):
    """What waits has reached its bound."""


class Disk(Protocol):
    """The calls that the log makes, each of them one that a crash may come before or after. Every one may raise OSError."""

    def create(self, path: Path) -> int: ...

    def append(self, path: Path) -> int: ...

    def write(self, descriptor: int, octets: bytes) -> None: ...

    def sync(self, descriptor: int) -> None: ...

    def truncate(self, descriptor: int, size: int) -> None: ...

    def close(self, descriptor: int) -> None: ...

    def sync_folder(self, folder: Path) -> None: ...

    def read(self, path: Path, start: int = 0, octets: int = -1) -> bytes: ...

    def names(self, folder: Path) -> list[str]: ...

    def rename(self, path: Path, to: Path) -> None: ...

    def remove(self, path: Path) -> None: ...


class PosixDisk:
    """The operating system's."""

    def create(self, path: Path) -> int:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)

    def append(self, path: Path) -> int:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, descriptor: int, octets: bytes) -> None:
        if os.write(descriptor, octets) != len(octets):
            raise OSError(errno.ENOSPC, "the disk took a part of it only")

    def sync(self, descriptor: int) -> None:
        os.fsync(descriptor)

    def truncate(self, descriptor: int, size: int) -> None:
        os.ftruncate(descriptor, size)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)

    def sync_folder(self, folder: Path) -> None:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def read(self, path: Path, start: int = 0, octets: int = -1) -> bytes:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(octets)

    def names(self, folder: Path) -> list[str]:
        return [path.name for path in folder.iterdir()]

    def rename(self, path: Path, to: Path) -> None:
        path.replace(to)

    def remove(self, path: Path) -> None:
        path.unlink()


class Scanned(NamedTuple):
    """What a file holds: records with where they begin, and how many bytes at the end, or between records, are none."""

    records: list[tuple[int, bytes]]
    torn_octets: int
    damaged_octets: int


class _Row(msgspec.Struct, array_like=True, frozen=True):
    issued_us: int
    id: bytes
    version: int
    currency: str
    channel: str | None
    customer: str | None
    codes: list[str]
    subtotal_minor: int
    discount_minor: int
    total_minor: int
    line_count: int
    source: str
    request: bytes
    reply: bytes


_rows: Final = msgspec.msgpack.Decoder(_Row)


def record_of(decision: Decision) -> bytes:
    """A decision as a record."""
    issued_us = (decision.issued_at - _EPOCH) // _MICROSECOND
    payload = msgspec.msgpack.encode((issued_us, decision.id.bytes, *decision[2:]))
    return _HEAD.pack(_MARKER, len(payload), hashlib.blake2b(payload, digest_size=_DIGEST_OCTETS).digest()) + payload


def decision_of(payload: bytes) -> Decision:
    """The decision of a record."""
    row = _rows.decode(payload)
    issued_at = _EPOCH + row.issued_us * _MICROSECOND
    return Decision(issued_at, UUID(row.id), *msgspec.structs.astuple(row)[2:])


def scan(content: bytes) -> Scanned:
    """Read what is whole. A record behind bytes that are none shows that these were damaged, and not cut off by a crash."""
    records: list[tuple[int, bytes]] = []
    at = len(MAGIC) if content.startswith(MAGIC) else 0
    damaged_octets = 0
    while at < len(content):
        payload = _payload_at(content, at)
        if payload is None:
            following = content.find(_MARKER, at + 1)
            while following >= 0 and _payload_at(content, following) is None:
                following = content.find(_MARKER, following + 1)
            if following < 0:
                return Scanned(records, len(content) - at, damaged_octets)
            damaged_octets += following - at
            at = following
            continue
        records.append((at, payload))
        at += _HEAD.size + len(payload)
    return Scanned(records, 0, damaged_octets)


def _payload_at(content: bytes, at: int) -> bytes | None:
    if len(content) - at < _HEAD.size:
        return None
    marker, length, digest = _HEAD.unpack_from(content, at)
    payload = content[at + _HEAD.size : at + _HEAD.size + length]
    if marker != _MARKER or len(payload) != length:
        return None
    return payload if hashlib.blake2b(payload, digest_size=_DIGEST_OCTETS).digest() == digest else None


@dataclass(slots=True)
class SpoolFile:
    """A file of the log: where each decision is in it, by id as (start, octets), and when the first one was issued."""

    path: Path
    octets: int = 0
    spans: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    oldest_us: int | None = None


class SpoolLog:
    """One folder of files, which one process holds at a time. Threads may call it at once."""

    def __init__(self, folder: Path, *, octets_max: int, file_octets: int = _FILE_OCTETS, disk: Disk | None = None) -> None:
        self._folder = folder
        self._octets_max = octets_max
        self._file_octets = file_octets
        self._disk = disk or PosixDisk()
        self._mutex = threading.Lock()
        self._sealed: dict[int, SpoolFile] = {}
        self._active: tuple[int, SpoolFile, int] | None = None  # number, file, descriptor
        self._next = 1
        self._aside: set[bytes] = set()

    def open(self) -> list[str]:
        """Take in what an earlier process left, and tell what is wrong with it. Raises OSError."""
        notes: list[str] = []
        with self._mutex:
            for name in sorted(self._disk.names(self._folder)):
                if name == _ASIDE:
                    aside = scan(self._disk.read(self._folder / name)).records
                    self._aside = {_rows.decode(payload).id for _, payload in aside}
                elif match := _NAME.fullmatch(name):
                    number = int(match[1])
                    self._sealed[number], note = self._read_in(self._folder / name)
                    self._next = number + 1
                    notes += note
        return notes

    def _read_in(self, path: Path) -> tuple[SpoolFile, list[str]]:
        content = self._disk.read(path)
        scanned = scan(content)
        file = SpoolFile(path, len(content))
        for start, payload in scanned.records:
            row = _rows.decode(payload)
            file.spans[row.id] = (start, _HEAD.size + len(payload))
            file.oldest_us = row.issued_us if file.oldest_us is None else file.oldest_us
        notes = []
        if scanned.torn_octets:
            notes.append(f"{path.name}: {scanned.torn_octets} octets at the end are of a batch that was never acknowledged")
        if scanned.damaged_octets:
            notes.append(f"{path.name}: {scanned.damaged_octets} octets between records cannot be read")
        return file, notes

    def append(self, decisions: Sequence[Decision]) -> None:
        """Write and sync. When this returns they are on the disk; raises SpoolFull, OSError, and nothing of them counts then."""
        records = [record_of(decision) for decision in decisions]
        octets = b"".join(records)
        with self._mutex:
            if self._octets() + len(octets) > self._octets_max:
                raise SpoolFull(f"{self._octets()} octets wait already")
            number, file, descriptor = self._active or self._create()
            try:
                self._disk.write(descriptor, octets)
            except OSError:
                # A part of it may be there, and what follows must begin where the last whole record ends.
                self._take_back(number, file, descriptor, is_usable=True)
                raise
            try:
                self._disk.sync(descriptor)
            except OSError:
                # What a failed sync has kept nobody knows, and a second one would not tell: this file is not written to again.
                self._take_back(number, file, descriptor, is_usable=False)
                raise
            start = file.octets
            for decision, record in zip(decisions, records, strict=True):
                file.spans[decision.id.bytes] = (start, len(record))
                start += len(record)
            if file.oldest_us is None and decisions:
                file.oldest_us = (decisions[0].issued_at - _EPOCH) // _MICROSECOND
            file.octets = start
            if start >= self._file_octets:
                self._seal()

    def seal(self) -> list[SpoolFile]:
        """End the file that is being written; gives all that wait to be drained, in order."""
        with self._mutex:
            self._seal()
            return [file for _, file in sorted(self._sealed.items())]

    def decisions(self, file: SpoolFile) -> tuple[list[Decision], bool]:
        """What a sealed file holds, and whether some of it cannot be read."""
        scanned = scan(self._disk.read(file.path))
        return [decision_of(payload) for _, payload in scanned.records], bool(scanned.damaged_octets)

    def remove(self, file: SpoolFile, *, is_damaged: bool) -> None:
        """Forget a drained file; a damaged one is kept under another name."""
        with self._mutex:
            if is_damaged:
                self._disk.rename(file.path, file.path.with_suffix(".damaged"))
            else:
                self._disk.remove(file.path)
            self._sealed = {number: one for number, one in self._sealed.items() if one is not file}

    def set_aside(self, decision: Decision) -> None:
        """Keep a decision that Postgres refuses in a file of its own, which is never drained."""
        with self._mutex:
            if decision.id.bytes in self._aside:
                return  # by a drain that did not come to the end of the file
            descriptor = self._disk.append(self._folder / _ASIDE)
            try:
                self._disk.write(descriptor, record_of(decision))
                self._disk.sync(descriptor)
            finally:
                self._disk.close(descriptor)
            self._disk.sync_folder(self._folder)
            self._aside.add(decision.id.bytes)

    def find(self, quote_id: bytes) -> Decision | None:
        """A decision that waits here."""
        for file in self._files():
            if (span := file.spans.get(quote_id)) is not None:
                payload = _payload_at(self._disk.read(file.path, *span), 0)
                return None if payload is None else decision_of(payload)
        return None

    def close(self) -> None:
        """Write no more."""
        with self._mutex:
            self._seal()

    @property
    def set_aside_count(self) -> int:
        """Decisions that Postgres refuses."""
        return len(self._aside)

    @property
    def waiting(self) -> int:
        """Decisions that wait."""
        return sum(len(file.spans) for file in self._files())

    @property
    def has_files(self) -> bool:
        """Whether there is anything to be drained or tidied away."""
        return bool(self._files())

    @property
    def octets(self) -> int:
        """What the files that wait take."""
        return self._octets()

    @property
    def oldest_us(self) -> int | None:
        """When the first decision that waits was issued, in microseconds of 1970."""
        return min((file.oldest_us for file in self._files() if file.oldest_us is not None), default=None)

    def _files(self) -> list[SpoolFile]:
        active = self._active
        return [*self._sealed.values(), *(() if active is None else (active[1],))]

    def _octets(self) -> int:
        return sum(file.octets for file in self._files())

    def _create(self) -> tuple[int, SpoolFile, int]:
        number = self._next
        self._next += 1
        path = self._folder / f"{number:08}.log"
        descriptor = self._disk.create(path)
        file = SpoolFile(path, len(MAGIC))
        try:
            self._disk.write(descriptor, MAGIC)
            # A file whose name is not on the disk is not there after a crash, however well its bytes were synced.
            self._disk.sync_folder(self._folder)
        except OSError:
            self._take_back(number, file, descriptor, is_usable=False)
            raise
        self._active = (number, file, descriptor)
        return self._active

    def _take_back(self, number: int, file: SpoolFile, descriptor: int, *, is_usable: bool) -> None:
        """Cut off what was not synced; a file that cannot be trusted any more is closed, and goes when there is nothing in it."""
        try:
            self._disk.truncate(descriptor, file.octets)
            is_cut = True
        except OSError:
            is_cut = False
        if is_usable and is_cut:
            return
        self._active = None
        with contextlib.suppress(OSError):
            self._disk.close(descriptor)
        self._sealed[number] = file
        if not file.spans:
            with contextlib.suppress(OSError):
                self._disk.remove(file.path)
                del self._sealed[number]

    def _seal(self) -> None:
        if self._active is not None:
            number, file, descriptor = self._active
            self._active = None
            self._sealed[number] = file
            self._disk.close(descriptor)


class Slot:
    """A folder of the spool that one process holds. It is free again when that process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder
        self._descriptor: int | None = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def take_slot(folder: Path) -> Slot:
    """The first slot below `folder` that nobody holds. Raises OSError."""
    for number in range(1024):
        with contextlib.suppress(BlockingIOError):
            return Slot(folder / str(number))
    raise OSError(errno.EBUSY, "1024 processes hold the spool", str(folder))


def take_abandoned_slot(folder: Path, *, but: Collection[str]) -> Slot | None:
    """A slot that has files and that nobody holds, other than those named; the caller releases it."""
    for path in sorted(folder.iterdir()):
        if path.name.isdecimal() and path.name not in but and any(_NAME.fullmatch(name) for name in os.listdir(path)):
            with contextlib.suppress(BlockingIOError):
                return Slot(path)
    return None
