"""What the pages' examples run on."""

from collections.abc import Iterator

import pytest

from app.db.embedded import EmbeddedPostgres
from app.db.engine import Database
from tests.conftest import make_database


@pytest.fixture
def own_database(template: EmbeddedPostgres) -> Iterator[Database]:
    with make_database(template) as made:
        yield made
