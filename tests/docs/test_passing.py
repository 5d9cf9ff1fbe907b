"""What is named in passing is there: on every page, in the runbooks, and in what the chart tells people."""

from pathlib import Path
from typing import Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.db.engine import Database
from app.main import Service
from app.worker import Worker
from tests.docs.pages import ROOT, name_of, pages
from tests.docs.passing import faults, spans
from tests.service import settings_in

_CHART: Final = ROOT / "helm/centwise"
_OTHERS: Final = (
    *(_CHART / name for name in ("values.yaml", "values.schema.json", "templates/NOTES.txt", "files/alerts.yaml")),
    *sorted((_CHART / "files/dashboards").glob("*.json")),
    *(ROOT / name for name in ("Makefile", "Dockerfile")),
)


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> frozenset[str]:
    """The names of all series that the service and its worker expose."""
    database = Database("postgresql://nobody@127.0.0.1:1/nothing")
    service = Service(settings_in(tmp_path_factory.mktemp("data")), database)
    worker = Worker(database, retention_days=400, hold_retention_days=400)
    families = [family for one in (service, worker) for family in text_string_to_metric_families(one.metrics.render().decode())]
    return frozenset(
        f"{family.name}{suffix}"
        for family in families
        for suffix in {"counter": ("_total",), "histogram": ("", "_bucket", "_sum", "_count")}.get(family.type, ("",))
    )


def test_what_is_named_in_passing_is_there(series: frozenset[str]) -> None:
    assert [f"{name_of(file)}: {fault}" for file in (*pages(), *_OTHERS) for fault in faults(file, series)] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Ask with `make coffee`.", "make has no target coffee"),
        ("Build it by `make image-tests`.", "make has no target image-tests"),
        ("As `make image TOOL=podman`.", "the Makefile does not read TOOL"),
        ("Then `python -m app sing`.", "the service refuses sing"),
        ("Then `python -m app replay --newest 5`.", "the service refuses replay --newest 5"),
        ("Then `.venv/bin/python -m app replay --last many`.", "invalid int value"),
        ("The schedule runs `export-decisions --nights N`.", "the service refuses export-decisions --nights N"),
        ("A span that goes on: `python -m app\nexport-decisions --day-s 3`.", "refuses export-decisions --day-s 3"),
        ("| a table | `python -m app keys turn ID` |", "the service refuses keys turn ID"),
        ("See `python -m loadtests.nothing`.", "there is no module loadtests.nothing"),
        ("See `python -m loadtests.bench --fast`.", "loadtests.bench refuses --fast"),
        ("Set `PRICING_WAIT_MSS`.", "there is no setting PRICING_WAIT_MSS"),
        ("Set `PRICING_DURABILITY=eventual` here.", "PRICING_DURABILITY=eventual: "),
        ("```sh\nexport PRICING_PORT=http\n```", "PRICING_PORT=http: "),
        ("Look at `pricing_spool_wait`.", "there is no metric pricing_spool_wait"),
        ("```promql\nrate(pricing_quotes[5m])\n```", "there is no metric pricing_quotes"),
        ("Look at `centwise:error_ratio:rate2h`.", "there is no recorded series centwise:error_ratio:rate2h"),
    ],
    ids=str,
)
def test_what_is_not_there_is_noticed(text: str, said: str, series: frozenset[str], tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# A page\n\n{text}\n")

    [found] = faults(page, series)
    assert said in found


def test_what_the_chart_prints_is_looked_at_too(series: frozenset[str], tmp_path: Path) -> None:
    notes = tmp_path / "NOTES.txt"
    notes.write_text("The first key:\n\n  kubectl exec deployment/shop -- python -m app keys --names shop --scoped quote\n")

    [found] = faults(notes, series)
    assert "the service refuses keys --names shop --scoped quote" in found


def test_words_that_stand_for_others_are_let_be(series: frozenset[str], tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "`python -m app ...`, `export-decisions --from D --to D`, `python -m app keys rotate ID`, `make mutation MUTATION_FILES=tiers.py`,\n"
        "`PRICING_PORT=N`, `pricing_flush_seconds_bucket`, `centwise:0.1.0`, `serve`, `FAULT_SCALE=2 make faults`\n"
    )

    assert list(faults(page, series)) == []
    assert len(spans(page)) == 9
