"""The rounds of the campaign keep their promises in short, and what it did is kept over an interruption."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

import pytest

from app.db.embedded import EmbeddedPostgres
from tests.faults.campaign.__main__ import served
from tests.faults.campaign.rounds import decisions_round, holds_round
from tests.faults.campaign.tally import Tally, section_of, with_section
from tests.faults.holds_house import serve_holds_keyless
from tests.faults.scale import SEED

_ROUND_S: Final = 1.0
_PLANTED_ROUND_S: Final = 0.5
# So that some are killed even in that time.
_CALM: Final = 0.4


@pytest.fixture(scope="module")
def shop() -> Iterator[tuple[EmbeddedPostgres, Path]]:
    """The server of a campaign, which the rounds share as they do there."""
    with served({}) as (server, folder):
        yield server, folder


async def test_a_round_of_batches_loses_nothing(shop: tuple[EmbeddedPostgres, Path]) -> None:
    done, violation = await decisions_round(*shop, Random(SEED), _ROUND_S, calm=_CALM)

    assert violation == ""
    assert done["acknowledged"] > 0 < done["pods"]
    assert done["stored"] >= done["acknowledged"]


async def test_a_round_of_holds_passes_no_meter(shop: tuple[EmbeddedPostgres, Path]) -> None:
    done, violation = await holds_round(*shop, Random(SEED), _ROUND_S, calm=_CALM)

    assert violation == ""
    assert done["taken"] > 0 < done["refused"]
    assert done["pods"] > 0


async def test_a_round_finds_holds_that_forget_their_keys(shop: tuple[EmbeddedPostgres, Path]) -> None:
    done, violation = await holds_round(*shop, Random(SEED), _PLANTED_ROUND_S, program=serve_holds_keyless)

    print(
        f"figure: R3 planted: no look at the keys of holds: {violation.partition(', filled')[0]}, {done['answered']} answers, seed {SEED}"
    )
    assert re.search(r" [1-9]\d* told differently", violation), violation


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
