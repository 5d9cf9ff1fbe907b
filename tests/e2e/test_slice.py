"""The main job from end to end: a shop is published, its baskets are priced, and every decision can be read and computed again."""

from pathlib import Path

from app.db.engine import Database
from tests.e2e.conftest import StartPod
from tests.e2e.shop import open_shop, publish, quote
from tests.processes import command, environment


def test_a_decision_is_the_same_before_and_after_a_restart_and_a_new_price(
    fresh_database: Database, tmp_path: Path, start_pod: StartPod
) -> None:
    url = fresh_database.url
    pod = start_pod(tmp_path, database_url=url).wait_until_ready()
    version = open_shop(pod.client)

    sent = quote(pod.client, ("SKU-1", 12), ("SKU-2", 3), codes=["SAVE10"], shipping=500)
    answered = sent.json()
    path = f"/v1/decisions/{answered['id']}"
    read = pod.client.get(f"/v1/quotes/{answered['id']}")
    decision = pod.client.get(path).json()
    replayed = pod.client.post(f"{path}/replay")

    # SKU-1: 12 x 9.99 = 119.88, 10 % of it 11.99. SKU-2: 3 x 2.50 = 7.50, 10 % of it 0.75, and the floor leaves room for 0.60.
    # Of what is left, 114.79, the basket gets 5.00 off; none of it can go to SKU-2, which is at its floor.
    assert sent.status_code == 201, sent.text
    assert answered["version"] == version
    assert [(line["sku"], line["subtotal"], line["total"]) for line in answered["lines"]] == [
        ("SKU-1", 11988, 10289),
        ("SKU-2", 750, 690),
    ]
    assert (answered["subtotal"], answered["discount"], answered["total"]) == (12738, 1759, 11479)
    assert read.content == sent.content
    assert (decision["total"], decision["codes"], decision["reply"]) == (11479, ["SAVE10"], answered)
    assert (replayed.status_code, replayed.json()) == (200, {"equal": True})

    raised = publish(pod.client, "/v1/prices/SKU-2", {"currency": "USD", "unit_price": "300"})
    assert pod.stop() == 0
    again = start_pod(tmp_path, database_url=url).wait_until_ready()

    assert again.report()["version"] == raised > version
    assert again.client.get(f"/v1/quotes/{answered['id']}").content == sent.content
    assert again.client.post(f"{path}/replay").json() == {"equal": True}
    assert quote(again.client, ("SKU-2", 1)).json()["total"] == 300
    assert again.stop() == 0

    bulk = command("replay", "--last", "1000", env=environment(tmp_path, database_url=url))
    assert (bulk.returncode, bulk.stdout.split(", ")[:3]) == (0, ["2 decisions", "3 lines", "all equal"]), bulk.stderr
