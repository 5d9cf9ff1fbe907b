"""P4: the same quotes by a service written in the ordinary way, which must come to the same total for every line."""

import contextlib
import json
import sys
import urllib.request
from collections.abc import Sequence
from typing import Any

import msgspec

from loadtests.bench.plan import Plan
from loadtests.bench.processes import cores, free_port, running, wait_until_listening
from loadtests.bench.quotes import FEW, MANY, Arm, in_turn
from loadtests.bench.rig import Shop, ask_all, baskets, serving, target, write_lines
from loadtests.bench.stats import Figure, Reach, ratios, spread, thousands
from loadtests.bench.wrk import Target


def ordinary_rows(plan: Plan, shop: Shop) -> list[Figure]:
    """Both in turn at 256 and at 64 connections, after their totals were compared."""
    core = cores()
    bodies = baskets(plan.n_baskets, plan.n_skus)
    file = write_lines(shop.folder / "baskets.jsonl", bodies)
    documents = shop.folder / "documents.msgpack"
    documents.write_bytes(msgspec.msgpack.encode(shop.documents))
    port, log = free_port(), shop.folder / "ordinary.log"
    command = [sys.executable, "-m", "loadtests.bench.ordinary", str(port), str(documents), shop.url]
    with contextlib.ExitStack() as stack:
        service = stack.enter_context(serving(shop, core=core.server))
        process = stack.enter_context(running(command, log=log, core=core.server))
        wait_until_listening(port, process, log=log)
        ordinary = Target(port, process.pid, "/v1/quotes", file, "q", (("Content-Type", "application/json"),))
        n_lines = require_equal(ask_all(service, "/v1/quotes", bodies), [_ask(port, body) for body in bodies])
        ours = target(service, "/v1/quotes", file)
        arms = {
            f"{name} {connections}": Arm(one, connections)
            for connections in (MANY, FEW)
            for name, one in (("ours", ours), ("ordinary", ordinary))
        }
        # The ordinary one needs seconds for its first answers to 256 clients.
        longer = plan._replace(seconds=max(5.0, plan.seconds), rounds=min(3, plan.rounds))
        measured = in_turn(longer, shop, arms, core=core.load)
    figures = []
    for connections, bound in ((FEW, 25.0), (MANY, 40.0)):
        own, other = ([load.per_second for load in measured[f"{name} {connections}"]] for name in ("ours", "ordinary"))
        own_us, other_us = (
            spread([load.cpu_us for load in measured[f"{name} {connections}"]]).median for name in ("ours", "ordinary")
        )
        beside = f"{thousands(spread(own).median)} against {thousands(spread(other).median)} requests/s"
        beside += f"; CPU a request {thousands(own_us)} against {thousands(other_us)} µs; the totals of {thousands(n_lines)} lines are equal"
        what = f"durable quote / pydantic, Python loops and an ORM commit, {connections} connections"
        figures.append(Figure("P4", what, ratios(own, other), "×", Reach("at_least", bound), beside))
    return figures


def require_equal(ours: Sequence[bytes], ordinary: Sequence[bytes]) -> int:
    """The number of lines, all of which have the same subtotal and total in both. Raises AssertionError."""
    n_lines = 0
    for own, other in zip(ours, ordinary, strict=True):
        own_lines, other_lines = _totals(json.loads(own)), _totals(json.loads(other))
        assert own_lines == other_lines, f"{own_lines} is not {other_lines}"
        n_lines += len(own_lines)
    return n_lines


def _totals(quote: dict[str, Any]) -> list[tuple[str, str, int, int]]:
    return [(line["sku"], line["unit_price"], line["subtotal"], line["total"]) for line in quote["lines"]]


def _ask(port: int, body: bytes) -> bytes:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/quotes", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as reply:
        content: bytes = reply.read()
        return content
