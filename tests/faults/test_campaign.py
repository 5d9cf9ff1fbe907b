"""The rounds of the campaign keep their promises in short, and what it did is kept over an interruption."""

import asyncio
from collections import Counter
from pathlib import Path
from random import Random

from app.db.embedded import EmbeddedPostgres
from tests.faults.campaign.rounds import decisions_round, holds_round
from tests.faults.campaign.tally import Tally, section_of, with_section
from tests.faults.fleet import open_shop_at
from tests.faults.forks import start
from tests.faults.scale import SEED

_ROUND_S = 3.0


async def test_a_round_of_batches_loses_nothing(server: EmbeddedPostgres, tmp_path: Path) -> None:
    pod = await start(tmp_path, database_url=server.url)
    await open_shop_at(pod.port)
    await asyncio.to_thread(pod.kill)

    done, violation = await decisions_round(server, tmp_path, Random(SEED), _ROUND_S)

    assert violation == ""
    assert done["acknowledged"] > 0 < done["pods"]
    assert done["stored"] >= done["acknowledged"]


async def test_a_round_of_holds_passes_no_meter(server: EmbeddedPostgres, tmp_path: Path) -> None:
    done, violation = await holds_round(server, tmp_path, Random(SEED), _ROUND_S)

    assert violation == ""
    assert done["taken"] > 0 < done["refused"]
    assert done["pods"] > 0


def test_a_campaign_goes_on_from_its_state(tmp_path: Path) -> None:
    first = Tally()
    first.note(seed=7, revision="abc")
    first.sums["holds"] += Counter(answered=1_500, pods=3, rounds=1)
    first.write(tmp_path / "state.json")

    second = Tally.read(tmp_path / "state.json")
    second.note(seed=8, revision="abc")
    second.sums["holds"] += Counter(answered=500, pods=2, rounds=1)

    section = second.section()
    assert "2,000 requests for holds answered" in section
    assert "seeds 7, 8, revision abc" in section
    page = with_section(with_section("# Page\n\nText.\n", first.section()), section)
    assert page.startswith("# Page\n\nText.\n")
    assert page.count("## The campaign") == section_of(page).count("## The campaign") == 1
    assert "2,000 requests" in page
