"""People in a shop, for those who know locust: they look at listings, fill baskets, and some of them buy.

    .venv/bin/locust --locustfile loadtests/locustfile.py --host http://127.0.0.1:8080 --users 50 --spawn-rate 10 --run-time 60s --headless

CENTWISE_KEY holds a key with the scopes read, quote and redeem; a service that is open on loopback needs none. Limits: locust's users wait for
their answers (a closed loop), so while the service stands still nobody asks, and the percentiles do not show what people would have waited;
one process sends some hundreds to a few thousand requests a second, with more CPU than the service takes to answer them. For what is
promised of latency use `python -m loadtests.open`, for the most a service can do `python -m loadtests.scale`.
"""

import itertools
import json
import os
import uuid
from collections.abc import Iterator
from typing import Any

from locust import FastHttpUser, between, events, task

from app.client import ApiClient
from loadtests.shape import best_shape
from loadtests.traffic import PATHS, Catalogue, Prepared, catalogue_of, requests_for

_KEY = os.environ.get("CENTWISE_KEY")
_HEADERS = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {_KEY}"} if _KEY else {})
_MIX = {"prices": 6.0, "preview": 3.0, "quote": 1.0}
_BODIES = 1_000
# Counted while this file is read: gevent's clock stands still meanwhile, and would take the seconds off the run.
_SHAPE = best_shape()


def _in_turn(catalogue: Catalogue) -> dict[str, Iterator[Prepared]]:
    """Bodies of each kind, again and again."""
    prepared = requests_for(catalogue, _SHAPE, _BODIES, mix=_MIX, seed=1)
    return {kind: itertools.cycle([one for one in prepared if one.kind == kind]) for kind in _MIX}


bodies: dict[str, Iterator[Prepared]] = {}


@events.init.add_listener  # type: ignore[untyped-decorator]
def read_catalogue(environment: Any, **_: object) -> None:
    """What the shop has and what is asked for, before the first user comes."""
    with ApiClient(environment.host, _KEY) as api:
        bodies.update(_in_turn(catalogue_of(api)))


class Shopper(FastHttpUser):
    """Looks at six listings and three baskets for each that is bought."""

    wait_time = between(0.05, 0.3)

    @task(6)
    def look(self) -> None:
        """A page of a listing."""
        self._ask("prices")

    @task(3)
    def fill(self) -> None:
        """A basket before checkout, which binds nobody."""
        self._ask("preview")

    @task(1)
    def buy(self) -> None:
        """A quote, a hold on what is limited, and its confirmation. A meter that is used up (409) is an answer, not a failure."""
        quoted = self._ask("quote")
        if quoted is None:
            return
        order = {"order": uuid.uuid4().hex}
        held = self._post("/v1/holds", {"quote": quoted["id"], **order}, name="/v1/holds", fine=(200, 201, 409))
        if held is not None and "id" in held:
            self._post(f"/v1/holds/{held['id']}/confirm", order, name="/v1/holds/{id}/confirm", fine=(200,))

    def _ask(self, kind: str) -> dict[str, Any] | None:
        return self._post(PATHS[kind], next(bodies[kind]).body, name=PATHS[kind], fine=(200, 201))

    def _post(self, path: str, body: bytes | dict[str, str], *, name: str, fine: tuple[int, ...]) -> dict[str, Any] | None:
        content = body.decode() if isinstance(body, bytes) else json.dumps(body)
        with self.client.post(path, data=content, headers=_HEADERS, name=name, catch_response=True) as reply:
            if reply.status_code not in fine:
                reply.failure(f"{reply.status_code}: {reply.text[:200]}")
                return None
            reply.success()
            found: dict[str, Any] = json.loads(reply.text)
            return found
