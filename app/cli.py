"""The command line: serve, demo, worker, migrate, keys, replay, import. `python -m app --help` lists them."""

import argparse
import asyncio
import contextlib
import json
import math
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final

import structlog
import uvicorn

from app.client import ApiProblem
from app.db.binaries import NoServer
from app.db.durable import WrongSchema, check_database
from app.db.embedded import EmbeddedPostgres, FolderInUse
from app.db.engine import Database, DatabaseUnreachable, NotDurable
from app.db.migrate import upgrade
from app.demo.load import load_sample_shop, tryout
from app.errors import Problem
from app.main import Service, create_app, open_tracing
from app.quotes.export_folder import ExportFailed, ExportUnderWay, NotWhole, days_between, find_day, last_whole_day, writing_to
from app.quotes.replay import ReplayReport
from app.redemptions.upkeep import Drift, find_drift
from app.settings import Settings, SettingsError
from app.web.auth import OVERLAP_SECONDS, SCOPES
from app.web.connections import bounded_protocol
from app.web.logs import configure_logs
from app.web.server import Door, LeavingServer

if TYPE_CHECKING:
    from app.tracing import Tracing

_SHOWN: Final = 20
_EXPORT_DAYS_MAX: Final = 3660
# What ends a command with a line that says why.
_TOLD: Final = (
    *(SettingsError, NoServer, FolderInUse, NotDurable, WrongSchema, DatabaseUnreachable, Problem, OSError),
    *(ExportFailed, ExportUnderWay),
)
_log = structlog.get_logger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    parsed = _parser().parse_args(arguments)
    # The default would end us at once and leave the embedded server running.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        settings = Settings.from_environment()
        configure_logs(level=settings.log_level, style=settings.log_format)
        return int(parsed.run(settings, parsed))
    except _TOLD as error:
        print(f"centwise: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        # A service that is asked to end has done what it was to do, however far its start had come; another command has not.
        return 0 if parsed.run in (serve, work) else 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m app", description="Centwise, a pricing service. Settings come from PRICING_* variables."
    )
    commands = parser.add_subparsers(required=True, metavar="command")

    serve_command = commands.add_parser("serve", help="serve; without PRICING_DATABASE_URL on an embedded Postgres")
    serve_command.set_defaults(run=serve)

    demo_command = commands.add_parser("demo", help="migrate, serve, and load a sample shop the first time")
    demo_command.set_defaults(run=demo)

    worker_command = commands.add_parser("worker", help="run the long jobs beside serving processes: drift of meters, upkeep")
    worker_command.set_defaults(run=work)

    migrate_command = commands.add_parser("migrate", help="bring the database to the newest schema")
    migrate_command.set_defaults(run=migrate)

    _add_keys(commands.add_parser("keys", help="make an API key and print it once; list, rotate and revoke keys"))

    meters_command = commands.add_parser("meters", help="compare all meters with what holds and returns add up to")
    meters_command.set_defaults(run=meters)

    replay_command = commands.add_parser("replay", help="recompute stored decisions and compare them to the byte")
    replay_command.add_argument("--last", type=int, default=1000, help="how many, from the newest back")
    replay_command.set_defaults(run=replay)

    export_command = commands.add_parser("export-decisions", help="write stored decisions as Parquet; needs the extra export")
    export_command.add_argument("--from", dest="first", type=date.fromisoformat, help="the first UTC day")
    export_command.add_argument("--to", dest="last", type=date.fromisoformat, help="the last UTC day, inclusive")
    export_command.add_argument("--days", type=int, help="the last so many UTC days, instead of --from and --to: for a schedule")
    export_command.add_argument("--out", type=Path, required=True, help="folder; days that are in it are left out")
    export_command.set_defaults(run=export_decisions, parser=export_command)

    import_command = commands.add_parser("import", help="load a reconstructed shop into a running service")
    import_command.add_argument("what", choices=["completejourney"], help="a grocer's year; needs the extra of the same name")
    import_command.add_argument("--url", help="of the service; without it the one that these settings would serve")
    import_command.add_argument(
        "--key", help="with the scopes read and write; none is needed where the service is open on loopback"
    )
    import_command.set_defaults(run=import_shop)
    return parser


def _add_keys(command: argparse.ArgumentParser) -> None:
    def limits(of: argparse.ArgumentParser) -> None:
        of.add_argument("--name")
        of.add_argument("--scopes", help=f"comma list of {', '.join(SCOPES)}")
        of.add_argument("--days", type=int, help="days until it expires; without it never")
        of.add_argument("--requests-per-second", type=int, help="in each process; without it the service's default")
        of.add_argument("--burst", type=int, help="how many of them may come at once")
        of.add_argument("--concurrent", type=int, help="how many may be under way at a time, in each process")

    # Making one is what the bare command does.
    limits(command)
    command.set_defaults(run=keys, act="make", parser=command)
    acts = command.add_subparsers(metavar="act")
    make = acts.add_parser("make", help="make a key and print it once", argument_default=argparse.SUPPRESS)
    limits(make)
    acts.add_parser("list", help="list all keys, without their secrets").set_defaults(act="list")
    revoke = acts.add_parser("revoke", help="revoke a key; running processes refuse it within two seconds")
    revoke.add_argument("id")
    revoke.set_defaults(act="revoke")
    rotate = acts.add_parser("rotate", help="give a key a new secret and print it once")
    rotate.add_argument("id")
    rotate.add_argument("--overlap-seconds", type=int, default=OVERLAP_SECONDS, help="how long the old secret stays valid")
    rotate.set_defaults(act="rotate")


@contextlib.contextmanager
def open_database(settings: Settings) -> Iterator[Database]:
    """The configured database; or the embedded one, started and migrated here, or attached to where another process runs it."""
    with contextlib.ExitStack() as stack:
        if settings.database_url is not None:
            url = settings.database_url.get_secret_value()
        elif attached := EmbeddedPostgres.attach(settings.data_dir):
            url = attached
        else:
            server = EmbeddedPostgres(settings.data_dir, postgres_bin=settings.postgres_bin, port=settings.embedded_port)
            url = stack.enter_context(server).url
        database = Database(url, settings.connect_seconds, settings.statement_seconds, settings.pool_size)
        if settings.database_url is None:
            asyncio.run(upgrade(database))
        yield database


def serve(settings: Settings, _: argparse.Namespace) -> int:
    """Serves until interrupted."""
    with contextlib.closing(bind(settings.host, settings.port)) as listener, open_database(settings) as database:
        return run(_make_checked_server(settings, database), listener)


def demo(settings: Settings, _: argparse.Namespace) -> int:
    """Serves with a sample shop: the whole product on this machine, for looking around."""
    with contextlib.closing(bind(settings.host, settings.port)) as listener, open_database(settings) as database:
        asyncio.run(upgrade(database))
        port = listener.getsockname()[1]
        server = _make_checked_server(settings, database)
        said = {"is_open": settings.open_loopback}
        visitor = threading.Thread(target=_welcome, args=(server, f"http://{settings.host}:{port}"), kwargs=said, daemon=True)
        visitor.start()
        return run(server, listener)


def work(settings: Settings, _: argparse.Namespace) -> int:
    """Runs the long jobs until interrupted."""
    # A framework that a serving process does not start with.
    from app.worker import Worker, create_worker_app  # noqa: PLC0415

    with contextlib.closing(bind(settings.host, settings.port)) as listener, open_database(settings) as database:
        # It acknowledges nothing to anybody, so it may work on a server that may lose commits.
        with contextlib.suppress(DatabaseUnreachable):
            asyncio.run(check_database(database, statement_s=settings.flush_seconds, is_strict=False))
        worker = Worker(
            database,
            retention_days=settings.decision_retention_days,
            hold_retention_days=settings.hold_retention_days,
            tracing=open_tracing() if settings.tracing else None,
        )
        config = uvicorn.Config(
            create_worker_app(worker),
            loop="uvloop",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=settings.shutdown_seconds,
        )
        return run(uvicorn.Server(config), listener)


def migrate(settings: Settings, _: argparse.Namespace) -> int:
    """Brings the database to the newest schema."""
    with open_database(settings) as database:
        asyncio.run(upgrade(database))
    print("The schema is current.")
    return 0


def keys(settings: Settings, arguments: argparse.Namespace) -> int:
    """Makes, lists, rotates or revokes keys and prints what came of it as JSON."""
    # Models and routes of the API, which every other start does without.
    from app.web.key_commands import key_act, run_act  # noqa: PLC0415

    act = key_act(arguments)
    with open_database(settings) as database:
        for shown in asyncio.run(run_act(database, act)):
            print(json.dumps(shown.model_dump(mode="json"), indent=2))
    return 0


def meters(settings: Settings, _: argparse.Namespace) -> int:
    """Compares every meter with the holds and returns; status 1 when one differs."""

    async def compare(database: Database) -> list[Drift]:
        connection = await database.connect(statement_seconds=0)
        try:
            return await find_drift(connection)
        finally:
            await connection.close()

    with open_database(settings) as database:
        adrift = asyncio.run(compare(database))
    for one in adrift:
        print(f"{one.meter}: held {one.held}, its holds {one.held_by_holds}; used {one.used}, its holds {one.used_by_holds}")
    print(f"{len(adrift)} meters differ from their holds" if adrift else "every meter is what its holds add up to")
    return 1 if adrift else 0


def replay(settings: Settings, arguments: argparse.Namespace) -> int:
    """Recomputes the newest decisions from their versions; status 1 when one differs or its version is gone."""

    def progress(report: ReplayReport) -> None:
        print(f"{report.decision_count} decisions, {len(report.differences)} differ", file=sys.stderr)

    async def run_replay(database: Database) -> ReplayReport:
        service = Service(settings, database)
        try:
            return await service.replay.replay_last(arguments.last, note=progress)
        finally:
            await service.engine.dispose()

    with open_database(settings) as database:
        began = time.perf_counter()
        report = asyncio.run(run_replay(database))
        seconds = time.perf_counter() - began
    for decision, difference in report.differences[:_SHOWN]:
        print(f"{decision} differs at {difference.path}: stored {difference.stored!r}, recomputed {difference.recomputed!r}")
    for version, count in sorted(report.missing_versions.items()):
        print(f"{count} decisions of version {version} cannot be replayed: the version is not stored")
    outcome = "all equal" if report.is_equal else f"{len(report.differences)} differ"
    print(f"{report.decision_count} decisions, {report.line_count} lines, {outcome}, {seconds:.1f} s")
    return 0 if report.is_equal else 1


def export_decisions(settings: Settings, arguments: argparse.Namespace) -> int:
    """Writes the days that are not there yet, each whole or not at all; status 2 when one that is wanted is not there in the end."""
    days = _days_to_export(arguments)
    folder: Path = arguments.out
    try:
        # Only this command needs it.
        from app.quotes.export import export_day  # noqa: PLC0415
    except ModuleNotFoundError as error:
        print(f"centwise: {error.name} is missing; install the extra: export", file=sys.stderr)
        return 2

    async def export(database: Database) -> int:
        tracing = open_tracing() if settings.tracing else None
        try:
            return await export_days(database, tracing)
        finally:
            if tracing is not None:
                await tracing.stop()

    async def export_days(database: Database, tracing: "Tracing | None") -> int:
        spoilt = 0
        connection = await database.connect(application="centwise export", statement_seconds=0)
        try:
            for day in days:
                try:
                    found = find_day(folder, day)
                except NotWhole as error:
                    # The days after it do not suffer for it. What it was is for somebody to find out, so it is not written over.
                    print(f"centwise: {error}; move it away to have it exported anew", file=sys.stderr, flush=True)
                    spoilt += 1
                    continue
                if found is not None:
                    print(f"{day}: is there, {found.rows} decisions", flush=True)
                elif (done := await export_day(connection, day, folder, tracing)) is not None:
                    print(f"{day}: {done.rows} decisions, {done.octets} bytes", flush=True)
                else:
                    print(f"{day}: is not kept in the database", flush=True)
        finally:
            connection.terminate()
        return 2 if spoilt else 0

    with open_database(settings) as database, writing_to(folder):
        return asyncio.run(export(database))


def _days_to_export(arguments: argparse.Namespace) -> list[date]:
    """What the command line asks for, oldest first. Ends the process with a usage message for what it cannot mean."""
    whole, named = last_whole_day(datetime.now(UTC)), (arguments.first, arguments.last)
    if arguments.days is not None:
        if named != (None, None):
            arguments.parser.error("--days stands instead of --from and --to")
        if not 1 <= arguments.days <= _EXPORT_DAYS_MAX:
            arguments.parser.error(f"--days has to be from 1 to {_EXPORT_DAYS_MAX}")
        return days_between(whole - timedelta(days=arguments.days - 1), whole)
    if None in named:
        arguments.parser.error("give --from and --to, or --days")
    if not arguments.first <= arguments.last <= whole:
        arguments.parser.error(f"--to has to be a day that is over, {whole} at the latest, and not before --from")
    return days_between(arguments.first, arguments.last)


def import_shop(settings: Settings, arguments: argparse.Namespace) -> int:
    """Loads the Complete Journey's shop."""
    # Only this command needs it, and what it imports would make every other start slower.
    from app.completejourney.load import AnotherShop, import_completejourney  # noqa: PLC0415
    from app.completejourney.tables import DataMissing  # noqa: PLC0415

    url = arguments.url or f"http://{settings.host}:{settings.port}"
    try:
        import_completejourney(url, arguments.key)
    except (DataMissing, AnotherShop, ApiProblem) as error:
        print(f"centwise: {error}", file=sys.stderr)
        return 2
    return 0


def bind(host: str, port: int) -> socket.socket:
    """A bound socket, so that a port in use is told before anything else starts."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OSError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return listener


def _make_checked_server(settings: Settings, database: Database) -> uvicorn.Server:
    """The server over a database that keeps what it acknowledges and has our schema. Raises NotDurable, WrongSchema."""
    # A server whose start fails says so in a stack of its own calls; here it is one line. A database that is away is no failure.
    with contextlib.suppress(DatabaseUnreachable):
        asyncio.run(check_database(database, statement_s=settings.flush_seconds, is_strict=settings.durability != "relaxed"))
    if settings.open_loopback:
        _log.warning("open on loopback: callers on this machine need no key", setting="PRICING_OPEN_LOOPBACK")
    return make_server(settings, create_app(settings, database=database))


def make_server(settings: Settings, app: Door) -> uvicorn.Server:
    """uvicorn as we run it: uvloop and httptools within bounds, no access log, no headers that nobody needs."""
    return LeavingServer(
        uvicorn.Config(
            app,
            loop="uvloop",
            http=bounded_protocol(head_s=settings.read_seconds, write_stall_s=settings.write_seconds, direct=app, gate=app.gate),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=max(1, math.floor(settings.shutdown_seconds - settings.drain_seconds)),
            backlog=2048,
        ),
        gate=app.gate,
        drain_s=settings.drain_seconds,
    )


def run(server: uvicorn.Server, listener: socket.socket) -> int:
    """Serves until SIGINT or SIGTERM, which are the ordinary way to end; returns the exit status."""
    # uvicorn raises the signal again when it is done, which is how the caller's clean-up comes to run.
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    return 0 if server.started else 3


def _interrupt(_: int, frame: FrameType | None) -> None:
    """SIGTERM ends a command as an interrupt from the keyboard does."""
    interrupt = signal.getsignal(signal.SIGINT)
    if not callable(interrupt):
        # Ignored, as of a job that a script put into the background.
        raise KeyboardInterrupt
    # While a loop runs it is asyncio's, which cancels what runs there. An exception in the midst of the loop, or of a driver, might go nowhere.
    interrupt(signal.SIGINT, frame)


def _welcome(server: uvicorn.Server, address: str, *, is_open: bool) -> None:
    """Loads the sample shop once the server answers, and says what to try."""
    while not server.started:
        if server.should_exit:
            return
        threading.Event().wait(0.05)
    try:
        load_sample_shop(address)
    except (ApiProblem, OSError) as error:
        # The service goes on; without the shop it is merely empty. Where it is being stopped, that is the reason and no news.
        if not server.should_exit:
            print(f"centwise: the sample shop could not be loaded: {error}", file=sys.stderr, flush=True)
        return
    print(f"\nCentwise is at {address}, its documentation at {address}/docs")
    if is_open:
        print("It is open: programs on this machine need no key. Anybody else does.")
    print(f"Try:\n\n{tryout(address)}\n", flush=True)
