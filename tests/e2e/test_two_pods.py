"""Promise R5 over HTTP: a version published on one process is served by the other, and never goes backwards."""

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.db.engine import Database
from tests.e2e.shop import open_shop, publish, quote
from tests.processes import Pod

# The promise is one second; machines that run tests are slower than those that serve, so the figure is printed and not a gate.
_ARRIVES_SECONDS = 15.0


@pytest.fixture(scope="module")
def pods(database: Database, tmp_path_factory: pytest.TempPathFactory, bytecode: Path) -> Iterator[tuple[Pod, Pod]]:
    """Two processes, each with a folder of its own, on one database with the shop in it."""
    folder = tmp_path_factory.mktemp("pods")
    given = {"database_url": database.url, "signing_keys": "k1:" + "s" * 32}
    with Pod(folder / "a", bytecode=bytecode, **given) as first, Pod(folder / "b", bytecode=bytecode, **given) as second:
        open_shop(first.wait_until_ready().client)
        yield first, second.wait_until_ready()


def test_a_version_published_on_one_process_is_served_by_the_other(pods: tuple[Pod, Pod]) -> None:
    took_s: list[float] = []
    for number, (here, there) in enumerate([pods, pods[::-1]] * 5):
        version = publish(here.client, "/v1/prices/SKU-3", {"currency": "USD", "unit_price": str(2001 + number)})
        began_s = time.monotonic()
        while there.report()["version"] < version:
            assert time.monotonic() - began_s < _ARRIVES_SECONDS
        took_s.append(time.monotonic() - began_s)

        answered = [quote(pod.client, ("SKU-3", 1)).json() for pod in (here, there)]
        assert [(each["version"], each["total"]) for each in answered] == [(version, 2001 + number)] * 2

    print(f"figure: R5: {len(took_s)} versions were in force in the other process after {max(took_s):.3f} s at most")


def test_a_quote_that_needs_a_version_is_priced_by_it_or_refused(pods: tuple[Pod, Pod]) -> None:
    here, there = pods
    for number in range(10):
        version = publish(here.client, "/v1/prices/SKU-3", {"currency": "USD", "unit_price": str(3001 + number)})
        # Sent to the other process at once; it waits for the version up to a second, and then asks to be asked again.
        for _ in range(int(_ARRIVES_SECONDS)):
            by_header = quote(there.client, ("SKU-3", 1), headers={"Min-Version": str(version)})
            if by_header.status_code != 503:
                break
        by_field = quote(there.client, ("SKU-3", 1), min_version=version)

        assert [by_header.status_code, by_field.status_code] == [201, 201]
        assert [by_header.json()["total"], by_field.json()["total"]] == [3001 + number] * 2

    refused = quote(there.client, ("SKU-3", 1), min_version=version + 1)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    assert refused.json()["type"] == "/problems/version_not_reached"


def test_versions_do_not_go_backwards_while_both_publish_and_each_decision_is_of_one_version(pods: tuple[Pod, Pod]) -> None:
    seen: dict[int, list[int]] = {0: [], 1: []}
    ids = []
    for number, publisher in zip(range(20), itertools.cycle(pods), strict=False):
        publish(publisher.client, "/v1/prices/SKU-3", {"currency": "USD", "unit_price": str(4001 + number)})
        for which, pod in enumerate(pods):
            answered = quote(pod.client, ("SKU-3", 1), ("SKU-3", 2)).json()
            seen[which].append(answered["version"])
            ids.append(answered["id"])

    assert all(versions == sorted(versions) for versions in seen.values())
    # A quote that had mixed two versions would not come out of one of them again.
    replays = [pods[0].client.post(f"/v1/decisions/{quote_id}/replay").json() for quote_id in ids]
    assert replays == [{"equal": True}] * 40
