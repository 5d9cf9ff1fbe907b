"""The file of signing keys: read again when it changes, so that keys are rotated without a restart.

What a mounted secret looks like when it is swapped is a link that points elsewhere, so what is watched is what the path leads to. A file that cannot
be used changes nothing: tokens are signed and verified with the keys there were.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import structlog

from app.errors import NoteFailure
from app.quotes.tokens import KeyRing, SigningKey

LOOK_EVERY_S: Final = 1.0
_TASK: Final = "signing keys"
_log = structlog.get_logger(__name__)

type ReadKeys = Callable[[], Sequence[tuple[str, bytes]]]


class KeyFile:
    """Keeps a key ring at what a file says. `read` parses the whole file and raises OSError or ValueError."""

    def __init__(self, path: Path, ring: KeyRing, *, read: ReadKeys, note_failure: NoteFailure) -> None:
        self._path = path
        self._ring = ring
        self._read = read
        self._note_failure = note_failure
        self._seen: tuple[int, ...] | None = None

    async def follow(self) -> None:
        """Runs until cancelled: looks each second."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Put the file's keys into the ring if it has changed and can be used; else say why not, as long as it cannot."""
        try:
            found = await asyncio.to_thread(self._read_changed)
            if found is None:
                return
            seen, keys = found
            before = self._ring.kids
            self._ring.replace(keys)
        except (OSError, ValueError) as error:
            self._note_failure(_TASK, error)
            return
        self._seen = seen
        if self._ring.kids != before:
            _log.info("signing keys changed", kids=self._ring.kids, before=before)

    def _read_changed(self) -> tuple[tuple[int, ...], list[SigningKey]] | None:
        seen = self._mark()
        if seen == self._seen:
            return None
        keys = [SigningKey(kid, secret) for kid, secret in self._read()]
        if self._mark() != seen:
            raise ValueError("the file of signing keys changed while it was read")
        return seen, keys

    def _mark(self) -> tuple[int, ...]:
        found = os.stat(self._path)
        return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size
