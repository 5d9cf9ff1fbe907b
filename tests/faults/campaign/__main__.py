"""The long form of the promises that hold whatever is killed: rounds of decisions and of holds, as many as fit into the time.

    python -m tests.faults.campaign --minutes 50 --seed 7 --state campaign.json

Interrupted, it goes on from its state. Before the first round four planted defects have to be found by the same rounds. Status 1 when a promise
was broken, which the state remembers, or a defect was not found. With --page the section of that page is written after each round.
"""

import argparse
import asyncio
import contextlib
import functools
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from random import Random, SystemRandom
from typing import Any, Final

from app.db.embedded import EmbeddedPostgres
from app.db.engine import Database
from app.db.migrate import upgrade
from tests.faults.campaign.rounds import Round, decisions_round, holds_round
from tests.faults.campaign.tally import Tally, with_section
from tests.faults.cluster import QUICK_RECOVERY
from tests.faults.fleet import open_shop_at
from tests.faults.forks import start
from tests.faults.hasty import serve_hastily
from tests.faults.holds_house import serve_holds_keyless, serve_holds_unlocked
from tests.faults.page import machine
from tests.processes import free_port

type Run = Callable[..., Coroutine[Any, Any, Round]]

_ROUNDS: Final[dict[str, Run]] = {"decisions": decisions_round, "holds": holds_round}
_PLANTED_ROUNDS: Final = 20
_PLANTED_S: Final = 8.0
_PLANTED: Final[dict[str, tuple[Run, dict[str, str]]]] = {
    "synchronous_commit=off": (functools.partial(decisions_round, durability="relaxed"), {"synchronous_commit": "off"}),
    "answer before the commit": (functools.partial(decisions_round, program=serve_hastily), {}),
    "check-then-act": (functools.partial(holds_round, program=serve_holds_unlocked), {}),
    "no look at the keys of holds": (functools.partial(holds_round, program=serve_holds_keyless), {}),
}


def main() -> int:
    """Run it and print what each round did."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.campaign")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--round", type=float, default=30.0, help="seconds of a round")
    parser.add_argument("--seed", type=int, default=SystemRandom().getrandbits(32))
    parser.add_argument(
        "--calm", type=float, default=1.0, help="how many times rarer anything is killed: more is answered, to fewer kills"
    )
    parser.add_argument("--only", choices=list(_ROUNDS), help="rounds of this kind alone")
    parser.add_argument("--state", type=Path, default=Path("campaign.json"))
    parser.add_argument("--page", type=Path)
    chosen = parser.parse_args()
    tally = Tally.read(chosen.state)
    tally.note(seed=chosen.seed, revision=machine().rpartition("revision ")[2])
    tally.machine = machine().partition(", revision")[0]
    ends_s = time.monotonic() + chosen.minutes * 60
    # A campaign that goes on does not repeat what it has done.
    random = Random(f"{chosen.seed}/{sum(sums['rounds'] for sums in tally.sums.values())}")
    for name, (run, settings) in _PLANTED.items():
        if name not in tally.planted:
            tally.planted[name] = _find(run, settings, random)
            print(f"planted: {name}: {tally.planted[name]}", flush=True)
            tally.write(chosen.state)
    with served({}) as (server, folder):
        while not tally.violation and time.monotonic() < ends_s:
            for kind in [chosen.only] if chosen.only else list(_ROUNDS):
                began_s = time.monotonic()
                done, violation = asyncio.run(_ROUNDS[kind](server, folder, random, chosen.round, calm=chosen.calm))
                tally.sums[kind] += done
                tally.violation = violation
                tally.write(chosen.state)
                print(f"{kind}: {dict(done)} in {time.monotonic() - began_s:.0f} s {violation}", flush=True)
                if violation:
                    break
            if chosen.page is not None and not tally.violation:
                page = chosen.page.read_text() if chosen.page.exists() else ""
                chosen.page.write_text(with_section(page, tally.section()))
    return 1 if tally.violation else 0


def _find(run: Run, settings: dict[str, str], random: Random) -> str:
    """How a planted defect showed. Exits when it did not."""
    began_s = time.monotonic()
    with served(settings) as (server, folder):
        for number in range(1, _PLANTED_ROUNDS + 1):
            done, violation = asyncio.run(run(server, folder, random, _PLANTED_S))
            if violation:
                return f"found in round {number}, after {time.monotonic() - began_s:.0f} s and {done['pods']} killed processes: {violation[:160]}"
    sys.exit(f"a planted defect was not found in {_PLANTED_ROUNDS} rounds")


@contextlib.contextmanager
def served(settings: dict[str, str]) -> Iterator[tuple[EmbeddedPostgres, Path]]:
    """A server with a small shop in it, and a folder for the processes."""
    # Open to the account that the server runs under.
    folder = Path(tempfile.mkdtemp(prefix="centwise-campaign-"))
    folder.chmod(0o755)
    try:
        with EmbeddedPostgres(folder / "data", port=free_port(), settings=QUICK_RECOVERY | settings) as server:
            asyncio.run(upgrade(Database(server.url)))
            asyncio.run(_open_shop(server.url, folder / "pods", durability="relaxed" if settings else "strict"))
            yield server, folder / "pods"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _open_shop(url: str, folder: Path, *, durability: str) -> None:
    pod = await start(folder, database_url=url, durability=durability)
    await open_shop_at(pod.port)
    await asyncio.to_thread(pod.kill)


if __name__ == "__main__":
    sys.exit(main())
