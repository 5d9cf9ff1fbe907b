"""One service with the sample shop behind a real socket, for the tests of the contract, and its OpenAPI document."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.api import create_api
from app.db.embedded import EmbeddedPostgres
from app.demo.load import load_sample_shop
from app.main import Service
from tests.conftest import make_database
from tests.served import served
from tests.service import settings_in


@pytest.fixture(scope="package")
def address(template: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service with the sample shop that waits for headers and bodies for a second only."""
    folder = tmp_path_factory.mktemp("contract")
    with make_database(template) as database, served(database, folder, read_seconds="1", log_level="error") as url:
        load_sample_shop(url)
        yield url


@pytest.fixture(scope="package")
def client(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=30) as made:
        yield made


@pytest.fixture(scope="package")
def document(template: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The OpenAPI document as the service publishes it; nothing needs to run for that."""
    folder: Path = tmp_path_factory.mktemp("document")
    with make_database(template) as database:
        yield create_api(Service(settings_in(folder), database)).openapi()
