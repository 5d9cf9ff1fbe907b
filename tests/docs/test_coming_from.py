"""The examples of a page "coming from ..." tell the policy that it gives from others: with another they would come out otherwise."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from app.catalog.policy import Policy
from app.db.engine import Database
from tests.docs.pages import ROOT, Exchange, exchanges, name_of
from tests.docs.test_examples import send, told
from tests.service import serving

PAGES: Final = [page for page in sorted((ROOT / "docs" / "coming-from").glob("*.md")) if page.name != "README.md"]
# These decide cents in every system, so every page has to tell them apart, and not only from the default.
_ALWAYS: Final[dict[str, tuple[Any, ...]]] = {
    "rounding": ("half_up", "half_even", "half_down"),
    "percent_base": ("running", "initial"),
}


def policy_of(page: Path) -> dict[str, Any]:
    """The policy that the page gives: that of its first `PUT`."""
    body: dict[str, Any] = json.loads(next(one.body for one in exchanges(page) if is_policy(one)))
    return body


def is_policy(exchange: Exchange) -> bool:
    return exchange.path.startswith("/v1/policy")


def others(page: Path) -> Iterator[dict[str, Any]]:
    """The page's policy with one setting changed: what is always told apart, and what is not the default."""
    given = policy_of(page)
    default = Policy().model_dump()
    for setting, values in (_ALWAYS | {name: (default[name],) for name in given if name not in _ALWAYS}).items():
        for value in values:
            if value != (default | given)[setting]:
                yield given | {setting: value}


def changed(page: Path, policy: dict[str, Any]) -> str:
    given = policy_of(page)
    return next(f"{page.stem}: {name} {value}" for name, value in policy.items() if given.get(name) != value)


CASES: Final = [(page, policy) for page in PAGES for policy in others(page)]


@pytest.mark.parametrize(("page", "policy"), CASES, ids=[changed(*case) for case in CASES])
async def test_another_policy_gives_other_cents(
    page: Path, policy: dict[str, Any], own_database: Database, tmp_path: Path
) -> None:
    [first, *_] = [one for one in exchanges(page) if is_policy(one)]
    async with serving(own_database, tmp_path) as client:
        wrong: list[str] = []
        for exchange in exchanges(page):
            is_first = exchange.line == first.line and is_policy(exchange)
            shown = exchange._replace(body=json.dumps(policy)) if is_first else exchange
            reply = await send(client, shown, {})
            assert not is_first or reply.is_success, reply.text
            wrong += told(shown, reply)

    assert wrong, name_of(page)
