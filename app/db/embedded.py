"""An embedded Postgres: a real server, a child of this process, with its data in a folder of ours.

The same SQL, driver and migrations as in production. It listens on 127.0.0.1 alone, wants a password (scram), and keeps what it
acknowledges (fsync on). One process owns a folder at a time, by a lock on a file in it; others of the same folder can attach.
"""

import contextlib
import fcntl
import json
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from app.db.binaries import Account, Binaries, NoServer, choose_account, find_binaries, first_closed_folder

USER = "centwise"
DATABASE = "centwise"
_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "max_connections": "100",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
    "log_destination": "stderr",
}


class FolderInUse(Exception):
    """Another process owns the server of this folder."""


class EmbeddedPostgres:
    """A server over `data_dir`/postgres. Use it as a context manager, or `start` and `stop` it; `url` is where it is.

    `settings` are server settings on top of ours; they are for tests.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        postgres_bin: Path | None = None,
        port: int | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.cluster = self.data_dir / "postgres"
        self.log = self.data_dir / "postgres.log"
        self.url = ""
        self._postgres_bin = postgres_bin
        self._wanted_port = port
        self._settings = {**_SETTINGS, **(settings or {})}
        self._lock: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        assert self._process is not None, "not started"
        return self._process.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self) -> str:
        """Starts the server, making the cluster and the database on first use; returns the URL.

        Raises NoServer when there is nothing to start or it does not come up, FolderInUse when another process has it running.
        """
        self.data_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._take_lock()
        try:
            account = choose_account(self.cluster)
            if closed := first_closed_folder(self.data_dir, account):
                raise NoServer(
                    f"the server runs as user '{account.name}', because Postgres refuses to run as root, and that user may not enter {closed}."
                    " Set PRICING_DATA_DIR to a folder below open ones, or run as an ordinary user"
                )
            binaries = find_binaries(self._postgres_bin, account, version=self._cluster_version())
            if self._cluster_version() is None:
                self._initdb(binaries, account)
            self._end_orphan()
            port = self._launch(binaries, account)
            password = self._password_file.read_text().strip()
            self.url = f"postgresql://{USER}:{password}@127.0.0.1:{port}/{DATABASE}"
            self._create_database(binaries, port, password)
            self._write_private(self._address_file, json.dumps({"url": self.url, "port": port}))
        except BaseException:
            self.stop()
            raise
        return self.url

    def stop(self) -> None:
        """Stops the server with a fast shutdown, waits for it and reaps it. Does nothing when it is not running."""
        process, self._process = self._process, None
        try:
            if process is not None and process.poll() is None:
                for number, seconds in ((signal.SIGINT, _STOP_SECONDS), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
                    process.send_signal(number)
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(seconds)
                        break
        finally:
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def kill(self) -> None:
        """Kills the postmaster as a crash would, and reaps it; its backends notice and end. For tests of faults."""
        assert self._process is not None, "not started"
        self._process.kill()
        self._process.wait()

    @staticmethod
    def attach(data_dir: Path) -> str | None:
        """The URL of the server that another process runs over `data_dir`, None when nobody does."""
        try:
            lock = os.open(data_dir / "postgres.lock", os.O_RDWR)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with contextlib.suppress(FileNotFoundError):
                return str(json.loads((data_dir / "postgres.json").read_text())["url"])
            return None
        finally:
            os.close(lock)
        return None

    @property
    def _password_file(self) -> Path:
        return self.data_dir / "postgres.password"

    @property
    def _address_file(self) -> Path:
        return self.data_dir / "postgres.json"

    def _take_lock(self) -> None:
        # Python's descriptors are not inherited, so the server does not hold the lock on when we are gone.
        lock = os.open(self.data_dir / "postgres.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise FolderInUse(f"another process runs the Postgres of {self.data_dir}") from None
        self._lock = lock

    def _cluster_version(self) -> int | None:
        try:
            return int((self.cluster / "PG_VERSION").read_text().strip())
        except FileNotFoundError:
            return None

    def _initdb(self, binaries: Binaries, account: Account) -> None:
        # A half-made cluster of an interrupted first start has no PG_VERSION that we would have read; initdb wants an empty folder,
        # so it is made beside and moved into place when it is whole.
        draft = self.data_dir / f"postgres.new-{secrets.token_hex(4)}"
        draft.mkdir(mode=0o700)
        password = secrets.token_urlsafe(24)
        password_file = self.data_dir / f"postgres.initial-{secrets.token_hex(4)}"
        self._write_private(password_file, password + "\n")
        if account.switches:
            os.chown(draft, account.uid, account.gid)
            os.chown(password_file, account.uid, account.gid)
        try:
            done = subprocess.run(
                [
                    *(binaries.path("initdb"), "--pgdata", str(draft), "--username", USER, "--pwfile", str(password_file)),
                    *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--data-checksums"),
                ],
                **_as(account),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=_START_SECONDS * 2,
            )
        finally:
            password_file.unlink()
        if done.returncode != 0:
            raise NoServer(f"initdb failed:\n{done.stdout[-2000:]}")
        self._write_private(self._password_file, password + "\n")
        draft.rename(self.cluster)

    def _end_orphan(self) -> None:
        """Ends a server over this cluster whose parent is gone (we hold the folder's lock, so it is nobody's), and clears a stale pid file."""
        pid_file = self.cluster / "postmaster.pid"
        try:
            pid = int(pid_file.read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return
        if not self._is_our_server(pid):
            # The number may belong to a zombie or to a stranger by now, either of which would keep the server from starting.
            pid_file.unlink(missing_ok=True)
            return
        deadline = time.monotonic() + _STOP_SECONDS
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)
        while self._is_our_server(pid):
            if time.monotonic() > deadline:
                raise NoServer(f"a Postgres with process id {pid} holds {self.cluster} and does not stop")
            time.sleep(0.05)

    def _is_our_server(self, pid: int) -> bool:
        process = Path(f"/proc/{pid}")
        if Path("/proc/self").exists():
            try:
                state = (process / "stat").read_text().rpartition(")")[2].split()[0]
                return state != "Z" and os.path.samefile(process / "cwd", self.cluster)
            except (FileNotFoundError, ProcessLookupError):
                return False
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return True

    def _launch(self, binaries: Binaries, account: Account) -> int:
        """Starts the postmaster and waits until it is ready; returns its port."""
        deadline = time.monotonic() + _START_SECONDS
        while True:
            port = self._choose_port()
            options = [
                part for name, value in {**self._settings, "port": str(port)}.items() for part in ("-c", f"{name}={value}")
            ]
            offset = self.log.stat().st_size if self.log.exists() else 0
            with self.log.open("ab") as log:
                # A session of its own: Ctrl-C in the terminal goes to us, and we stop it after our own last commit.
                self._process = subprocess.Popen(
                    [binaries.path("postgres"), "-D", str(self.cluster), *options],
                    **_as(account),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            if self._becomes_ready(deadline):
                return port
            said = self.log.read_bytes()[offset:].decode(errors="replace")
            self._process.wait()
            # Backends of a killed server may need a moment to let go of its memory, and a port may be taken between choice and use.
            passing = "pre-existing shared memory block" in said or ("could not bind" in said and self._wanted_port is None)
            if not passing or time.monotonic() > deadline:
                raise NoServer(f"the server did not start:\n{said[-2000:]}")
            self._address_file.unlink(missing_ok=True)
            time.sleep(0.2)

    def _becomes_ready(self, deadline: float) -> bool:
        assert self._process is not None
        pid_file = self.cluster / "postmaster.pid"
        while self._process.poll() is None:
            with contextlib.suppress(FileNotFoundError):
                lines = pid_file.read_text().split("\n")
                if len(lines) >= 8 and lines[0] == str(self._process.pid) and lines[7].strip() == "ready":
                    return True
            if time.monotonic() > deadline:
                self._process.send_signal(signal.SIGQUIT)
                return False
            time.sleep(0.02)
        return False

    def _choose_port(self) -> int:
        """The configured port, or the one of the last time if it is free, or any free one."""
        if self._wanted_port is not None:
            return self._wanted_port
        last = 0
        with contextlib.suppress(FileNotFoundError, ValueError, KeyError):
            last = int(json.loads(self._address_file.read_text())["port"])
        for port in (last, 0):
            with socket.socket() as probe, contextlib.suppress(OSError):
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
        raise NoServer("no free port on 127.0.0.1")

    def _create_database(self, binaries: Binaries, port: int, password: str) -> None:
        environment = {**_ENVIRONMENT, "PGPASSWORD": password}
        common = ["--host", "127.0.0.1", "--port", str(port), "--username", USER]
        query = f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'"  # noqa: S608 - a constant of ours
        found = self._run([binaries.path("psql"), *common, "--no-psqlrc", "-Atc", query, "postgres"], environment)
        if found.strip() != "1":
            self._run([binaries.path("createdb"), *common, DATABASE], environment)

    @staticmethod
    def _run(command: list[str], environment: dict[str, str]) -> str:
        done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, timeout=_START_SECONDS)
        if done.returncode != 0:
            raise NoServer(f"{Path(command[0]).name} failed: {done.stderr.strip()[-1000:]}")
        return done.stdout

    @staticmethod
    def _write_private(path: Path, content: str) -> None:
        """Writes a file that only we can read, whole or not at all."""
        draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(content)
        draft.replace(path)


_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def _as(account: Account) -> dict[str, Any]:
    """The arguments of subprocess that run a program as `account`, with none of our environment."""
    switch: dict[str, Any] = {"user": account.uid, "group": account.gid, "extra_groups": []} if account.switches else {}
    return {"env": _ENVIRONMENT, "cwd": "/", "umask": 0o077, **switch}
