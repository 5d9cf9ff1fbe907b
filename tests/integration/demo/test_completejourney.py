"""The Complete Journey's way through the service, with tiny made-up tables: imported, asked for, compared."""

from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

from app.client import ApiClient
from app.completejourney.load import AnotherShop, import_completejourney
from app.completejourney.tables import Tables
from app.db.engine import Database
from loadtests.completejourney.report import as_text
from loadtests.completejourney.send import send_all
from tests.completejourney_support import Sold, Used, make_tables
from tests.served import served

SOLD = (
    Sold(10, sales=1.99, day=(1, 4)),
    Sold(11, sales=3.98, quantity=2, day=(1, 4)),
    Sold(10, sales=1.0, retail=0.99, day=(5, 2), basket=2, household=2, coupon=0.4, match=0.1),
    Sold(11, sales=1.99, day=(5, 2), basket=2, household=2),
    Sold(12, sales=0.0, quantity=0, day=(5, 2), basket=2, household=2),
    Sold(10, sales=1.1, retail=0.89, day=(5, 3), basket=3, household=3),
    Sold(13, sales=0.0, day=(5, 3), basket=3, household=3),
    Sold(12, sales=0.0, quantity=0, day=(6, 2), basket=4),
)


@pytest.fixture
def tables() -> Tables:
    return make_tables(SOLD, scopes=[(777, 10)], used=[Used(777, 2, (5, 2))])


def quietly(_: str) -> None:
    """Where the import would tell how far it is."""


def test_the_shop_is_imported_once(fresh_database: Database, tmp_path: Path, tables: Tables) -> None:
    with served(fresh_database, tmp_path) as address, ApiClient(address) as api:
        counts = import_completejourney(address, tables=tables, say=quietly)
        version = api.call("GET", "/readyz")["version"]

        again = import_completejourney(address, tables=tables, say=quietly)

        assert counts == again
        assert (counts["products"], counts["promotions"], counts["coupons"], counts["campaigns"]) == (4, 2, 1, 1)
        assert api.call("GET", "/readyz")["version"] == version


def test_it_does_not_mix_with_another_shop(fresh_database: Database, tmp_path: Path, tables: Tables) -> None:
    with served(fresh_database, tmp_path) as address, ApiClient(address) as api:
        body = b'{"name": "Theirs", "kind": "percent_off", "params": {"percent": "5"}}'
        api.call("PUT", "/v1/promotions/theirs", query={"publish": "now"}, body=body)

        with pytest.raises(AnotherShop):
            import_completejourney(address, tables=tables, say=quietly)


def test_every_basket_becomes_a_decision_and_the_rest_is_told(fresh_database: Database, tmp_path: Path, tables: Tables) -> None:
    with served(fresh_database, tmp_path) as address:
        import_completejourney(address, tables=tables, say=quietly)

        report = send_all(tables, url=address, key=None, database_url=fresh_database.url, data_dir=tmp_path, baskets=None)

    assert report["decisions"] == {"answered": 3, "stored": 3, "equal": True}
    assert report["baskets_without_a_line_of_quantity_above_0"] == 1
    assert report["lines_of_quantity_0_left_out"] == 2
    assert report["lines_refused"] == {"no_price": 1}
    assert report["lines_that_plain_arithmetic_prices_otherwise"] == 0
    # 1.99, 3.98, 1.10 less a coupon of 0.50, 1.99, 1.10; the gift of 0.00 has no price.
    assert (report["lines_asked"], report["equal_to_paid"]) == (6, 5)
    assert report["rest_by_cause"]["no_price"]["lines"] == 1
    assert "share_equal_to_paid" in as_text(report)
