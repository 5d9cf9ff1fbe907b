"""Promise R6: a signed quote is honoured until it expires, over publishes, restarts, key rotations and clocks that differ; a forged one never."""

import asyncio
import contextlib
import itertools
import os
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final

import httpx
import pytest

from app.db.engine import Database
from app.main import ISSUER, Service
from app.metrics import Metrics
from app.quotes.key_file import KeyFile
from app.quotes.tokens import KeyRing, SigningKey, TokenError
from app.settings import Settings, SettingsError
from app.web.logs import failure_notes
from tests.forged import claims_of, forgeries
from tests.service import publish, serving

_SEED: Final = 6
_EVENTS: Final = 16
_SKEW_S: Final = 90
_QUOTE: Final = {"currency": "USD", "lines": [{"sku": "MUG", "quantity": 2}]}


def key_line(number: int) -> str:
    return f"key-{number}:" + f"{number:04d}" * 10


class Mounted:
    """A secret as a cluster mounts it: the file is a link into a folder that is itself swapped by a link."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = itertools.count()
        folder.mkdir()
        self.path = folder / "keys"
        self.path.symlink_to("..data/keys")

    def put(self, *lines: str, text: str | None = None) -> None:
        number = next(self._number)
        version = self._folder / f"..version-{number}"
        version.mkdir()
        (version / "keys").write_text("".join(f"{line}\n" for line in lines) if text is None else text)
        link = self._folder / f"..link-{number}"
        link.symlink_to(version.name)
        os.rename(link, self._folder / "..data")


async def signing(client: httpx.AsyncClient, kids: list[str]) -> None:
    """Wait until the service has these keys."""
    async with asyncio.timeout(10):
        while (await client.get("/readyz")).json()["signing_keys"] != kids:
            await asyncio.sleep(0.02)


async def sweep(
    database: Database, folder: Path, *, n_events: int = _EVENTS, retire: Callable[[list[int]], list[int]]
) -> tuple[int, int, list[str]]:
    """Quotes issued, tokens checked, and what went wrong, over a random sequence of publishes, restarts and rotations.

    A rotation adds a key behind the others, puts it in front, and then leaves of the keys what `retire` says.
    """
    random = Random(_SEED)
    mounted = Mounted(folder / "secret")
    numbers = [0]
    mounted.put(key_line(0))
    settings = {"signing_keys_file": str(mounted.path)}
    tokens: list[tuple[str, str]] = []
    wrong: list[str] = []
    checked = 0

    async def redeem(client: httpx.AsyncClient) -> None:
        """By the process that serves: one of the tokens so far is honoured, and none that is forged."""
        token, quote_id = random.choice(tokens)
        held = await client.post("/v1/holds", json={"token": token, "order": f"order of {quote_id}"})
        if held.status_code != 201 or held.json()["quote"] != quote_id:
            wrong.append(held.json()["errors"][0]["message"] if held.status_code == 422 else held.text)
        name, forged = random.choice(
            [each for each in forgeries(token, "key-0", "key-9999", "x" * 40) if 0 < len(each[1]) < 4096]
        )
        refused = await client.post("/v1/holds", json={"token": forged, "order": "forged"})
        if refused.status_code != 422 or [error["path"] for error in refused.json()["errors"]] != ["token"]:
            wrong.append(f"taken: {name} {refused.text}")

    async def check() -> int:
        """Every token so far, by the keys of a process that starts now, at clocks that differ from those that issued it."""
        keys = Settings(signing_keys_file=mounted.path).load_signing_keys()
        ring = KeyRing([SigningKey(*key) for key in keys], issuer=ISSUER)
        now_s = int(time.time())
        for token, quote_id in tokens:
            for skew_s in (-_SKEW_S, 0, _SKEW_S):
                try:
                    if ring.verify(token, now_s=now_s + skew_s).jti != quote_id:
                        wrong.append("another quote")
                except TokenError as refused:
                    wrong.append(str(refused))
            with contextlib.suppress(TokenError):
                ring.verify(token, now_s=claims_of(token)["exp"] + 120)
                wrong.append("honoured for ever")
        kid = f"key-{numbers[0]}"
        for name, forged in forgeries(tokens[-1][0], kid, "key-9999", "x" * 40):
            with contextlib.suppress(TokenError):
                ring.verify(forged, now_s=now_s)
                wrong.append(f"accepted: {name}")
        return 4 * len(tokens)

    events = [random.choice(("publish", "restart", "rotate")) for _ in range(n_events)]
    for before_restart in _between(events, "restart"):
        async with serving(database, folder / "data", **settings) as client:
            if not tokens:
                await publish(client, "/v1/prices/MUG", {"currency": "USD", "unit_price": "1299"})
            for event in ["quote", *before_restart]:
                if event == "publish":
                    price = {"currency": "USD", "unit_price": str(random.randint(100, 9999))}
                    await publish(client, "/v1/prices/MUG", price)
                elif event == "rotate":
                    fresh = max(numbers) + 1
                    for step in ([*numbers, fresh], [fresh, *numbers], retire([fresh, *numbers])):
                        numbers = step
                        mounted.put(*map(key_line, numbers))
                        await signing(client, [f"key-{number}" for number in numbers])
                for _ in range(3):
                    quote = (await client.post("/v1/quotes", json=_QUOTE)).json()
                    tokens.append((quote["token"], quote["id"]))
                checked += await check()
                await redeem(client)
    return len(tokens), checked, wrong


def _between(events: list[str], separator: str) -> list[list[str]]:
    runs: list[list[str]] = [[]]
    for event in events:
        if event == separator:
            runs.append([])
        else:
            runs[-1].append(event)
    return runs


async def test_signed_quotes_are_honoured_over_publishes_restarts_and_rotations_and_forged_ones_never(
    fresh_database: Database, tmp_path: Path
) -> None:
    issued, checked, wrong = await sweep(fresh_database, tmp_path, retire=lambda numbers: numbers)

    print(
        f"figure: {issued} signed quotes over {_EVENTS} events, {checked} checks at clocks 90 s off, {len(wrong)} wrong; seed {_SEED}"
    )
    assert wrong == []


async def test_planted_defect_a_rotation_that_drops_the_old_key_is_caught(fresh_database: Database, tmp_path: Path) -> None:
    _, _, wrong = await sweep(fresh_database, tmp_path, n_events=5, retire=lambda numbers: numbers[:1])

    print(f"figure: with old keys dropped at once {len(wrong)} tokens were not honoured; seed {_SEED}")
    assert set(wrong) == {"the token is of no key of ours"}


class Followed:
    """A key file that is looked at by hand, its ring, and what was noted of it."""

    def __init__(self, folder: Path) -> None:
        self.mounted = Mounted(folder / "secret")
        self.mounted.put(key_line(1))
        settings = Settings(signing_keys_file=self.mounted.path)
        self.ring = KeyRing([SigningKey(*key) for key in settings.load_signing_keys()], issuer=ISSUER)
        self.metrics = Metrics()
        self.file = KeyFile(
            self.mounted.path, self.ring, read=settings.read_signing_keys_file, note_failure=failure_notes(self.metrics)
        )

    @property
    def failures(self) -> int:
        return self.metrics.background_failures.at("signing keys").n


@pytest.fixture
async def followed(tmp_path: Path) -> Followed:
    made = Followed(tmp_path)
    await made.file.look()
    assert (made.ring.kids, made.failures) == (["key-1"], 0)
    return made


async def test_a_swapped_link_a_replaced_file_and_a_rewritten_one_are_noticed(followed: Followed) -> None:
    followed.mounted.put(key_line(2), "# kept for its quotes", "", key_line(1))
    await followed.file.look()
    assert followed.ring.kids == ["key-2", "key-1"]

    aside = followed.mounted.path.with_name("aside")
    aside.write_text(f"{key_line(3)}\n")
    aside.rename(followed.mounted.path)
    await followed.file.look()
    assert followed.ring.kids == ["key-3"]

    followed.mounted.path.write_text(f"{key_line(4)}\n")  # of the same length
    await followed.file.look()
    assert followed.ring.kids == ["key-4"]
    assert followed.failures == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n# nothing\n",
        "nonsense\n",
        "key-2:short\n",
        f"{key_line(2)}\n{key_line(2)}\n",
        f"{key_line(2)}\n{key_line(3)[:-3]}",  # half written
        f"a b:{'x' * 40}\n",
        "key-2:" + "é" * 40,
        "\udcff" * 40 + "\n",
    ],
)
async def test_a_broken_file_keeps_the_keys_there_were_and_says_so_until_it_is_mended(
    followed: Followed, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    followed.mounted.put(text="")
    (followed.mounted.path).write_bytes(text.encode("utf-8", "surrogateescape"))
    await followed.file.look()
    await followed.file.look()

    assert (followed.ring.kids, followed.failures) == (["key-1"], 2)
    said = capsys.readouterr().out
    assert "signing keys" in said
    assert "0002" not in said

    followed.mounted.put(key_line(2), key_line(1))
    await followed.file.look()
    await followed.file.look()
    assert (followed.ring.kids, followed.failures) == (["key-2", "key-1"], 2)


async def test_a_file_that_is_gone_keeps_the_keys_there_were(followed: Followed) -> None:
    followed.mounted.path.unlink()
    await followed.file.look()

    assert (followed.ring.kids, followed.failures) == (["key-1"], 1)


def test_a_broken_file_at_the_start_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("key-1:short\n")
    settings = Settings(signing_keys_file=path)

    with pytest.raises(SettingsError, match="shorter than 32 bytes"):
        Service(settings, Database("postgresql://nobody@127.0.0.1:1/nothing"))


def test_keys_from_two_places_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="give one of them"):
        Settings.from_environment({"PRICING_SIGNING_KEYS": f"a:{'x' * 32}", "PRICING_SIGNING_KEYS_FILE": str(tmp_path / "keys")})
