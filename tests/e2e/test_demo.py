"""The demo as a person uses it: started, interrupted whenever, started again."""

import os
import signal
import time
from pathlib import Path

from app.demo.load import sample_skus
from tests.e2e.conftest import StartPod
from tests.e2e.shop import publish, quote
from tests.processes import Pod, processes_of


def test_an_interrupted_demo_leaves_no_process_and_goes_on_with_the_same_data(open_folder: Path, start_pod: StartPod) -> None:
    folder = open_folder / "data"

    # The first one is interrupted while it loads the shop.
    cut_short = start_pod(folder, does="demo").wait_until_ready()
    assert len(processes_of(folder)) >= 1
    assert _interrupt(cut_short) == 0
    assert processes_of(folder) == []

    second = start_pod(folder, does="demo").wait_until_ready()
    _wait_for_welcome(second)
    publish(second.client, "/v1/prices/SKILLET-26", {"currency": "USD", "unit_price": "4711"})
    version = second.report()["version"]
    sent = quote(second.client, ("SKILLET-26", 1), ("MUG-ENAMEL-BLUE", 12), codes=["MUG9"])
    products = second.client.get("/v1/products", params={"limit": 500}).json()["items"]
    assert sent.status_code == 201, sent.text
    assert {product["id"] for product in products} == sample_skus()
    assert _interrupt(second) == 0
    assert processes_of(folder) == []

    third = start_pod(folder, does="demo").wait_until_ready()
    _wait_for_welcome(third)
    assert third.report()["version"] == version
    assert third.client.get(f"/v1/quotes/{sent.json()['id']}").content == sent.content
    assert third.client.post(f"/v1/decisions/{sent.json()['id']}/replay").json() == {"equal": True}
    assert _interrupt(third) == 0
    assert processes_of(folder) == []


def _interrupt(pod: Pod) -> int:
    """Ctrl-C: the signal goes to everything that the terminal runs."""
    os.killpg(pod.process.pid, signal.SIGINT)
    return pod.process.wait(40)


def _wait_for_welcome(pod: Pod) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        said = pod.said.read_text()
        if "curl -s" in said:
            assert f"http://127.0.0.1:{pod.port}/docs" in said
            assert "open: programs on this machine need no key" in said
            assert "open on loopback" in said
            return
        assert "could not be loaded" not in said, said
        time.sleep(0.1)
    raise AssertionError(f"no word of welcome: {pod.said.read_text()}")
