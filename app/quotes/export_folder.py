"""The folder that days of decisions are exported to: which days are in it whole, and that one process at a time writes there."""

import contextlib
import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

FILE: Final = "decisions.parquet"
MANIFEST: Final = "manifest.json"
# What is priced before midnight is stored a moment after it, and clocks of processes differ. A day that was exported is never looked at again.
_SETTLES_IN: Final = timedelta(minutes=10)
_LOCK: Final = ".lock"
# Customers are in it: whoever may not read the database and is not of the folder's group may not read it here.
_UMASK: Final = 0o027
# Readers of datasets leave out what begins with a dot.
_DRAFT: Final = ".day="


class ExportFailed(Exception):
    """A day could not be written whole; nothing of it was kept."""


class NotWhole(Exception):
    """A day is in the folder and is not what an export leaves there."""


class ExportUnderWay(Exception):
    """Another process exports to the folder."""


class DayExport(NamedTuple):
    """What a day's manifest says."""

    day: str
    rows: int
    octets: int
    sha256: str


def last_whole_day(now: datetime) -> date:
    """The newest UTC day that nothing is added to any more, when `now` is in UTC.

    >>> from datetime import UTC
    >>> str(last_whole_day(datetime(2026, 3, 5, 0, 9, tzinfo=UTC))), str(last_whole_day(datetime(2026, 3, 5, 0, 10, tzinfo=UTC)))
    ('2026-03-03', '2026-03-04')
    """
    return (now - _SETTLES_IN).date() - timedelta(days=1)


def days_between(first: date, last: date) -> list[date]:
    """The days from `first` to `last`, both inclusive."""
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def find_day(folder: Path, day: date) -> DayExport | None:
    """What was exported of a day, or None when it is not there. Raises NotWhole, OSError."""
    place = _place_of(folder, day)
    if not place.exists():
        return None
    try:
        found = DayExport(**json.loads((place / MANIFEST).read_text("utf-8")))
        octets = (place / FILE).stat().st_size
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError) as error:
        raise NotWhole(f"{place} is no whole day: {error}") from error
    if found.day != day.isoformat():
        raise NotWhole(f"{place} is another day: {found.day}")
    if found.octets != octets:
        raise NotWhole(f"{place} is no whole day: {FILE} has {octets} bytes, and had {found.octets} when it was written")
    return found


@contextlib.contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Keeps other exports out of the folder, and removes what one that was killed left in it. Raises ExportUnderWay, OSError."""
    with _for_the_group():
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / _LOCK).open("w") as lock:
            try:
                # The system lets go of it when the process ends, however it ends.
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ExportUnderWay(f"another export writes to {folder}") from None
            for abandoned in folder.glob(f"{_DRAFT}*"):
                shutil.rmtree(abandoned)
            yield


@contextlib.contextmanager
def _for_the_group() -> Iterator[None]:
    """What is made within it, this process and its group may read, and nobody else."""
    before = os.umask(_UMASK)
    try:
        yield
    finally:
        os.umask(before)


@contextlib.contextmanager
def draft_of(folder: Path, day: date) -> Iterator[Path]:
    """A folder to write a day into, which becomes the day's own when the block ends, and is removed when that raises."""
    # The process's number would not do: in a container it is always the same one.
    draft = folder / f"{_DRAFT}{day.isoformat()}.{secrets.token_hex(4)}"
    draft.mkdir()
    try:
        yield draft
        for path in (*draft.iterdir(), draft):
            _sync(path)
        draft.rename(_place_of(folder, day))
        _sync(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def _place_of(folder: Path, day: date) -> Path:
    return folder / f"day={day.isoformat()}"


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
