"""What the documentation names exists: endpoints, reasons, parameters, links. And the lists are whole, of settings and metrics too."""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app import errors
from app.api import create_api
from app.db.engine import Database
from app.main import Service
from app.metrics import Metrics
from app.pricing.conditions import COMPARE
from app.pricing.decode import wire_name
from app.pricing.policy import Policy
from app.pricing.reasons import WIRE_NAMES
from app.pricing.rules import KINDS
from app.pricing.strategies import STRATEGIES
from app.pricing.vocabulary import BUILT_IN
from app.settings import PREFIX, Settings
from app.web.auth import SCOPES
from app.web.routing import api_routes
from app.worker import Worker
from tests.docs.pages import ROOT, exchanges, name_of, pages, prose
from tests.service import settings_in

DOCS = ROOT / "docs"
_LINK = re.compile(r"\[[^\]\n]*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ (?P<text>.+)$", re.MULTILINE)


@pytest.fixture
def service(tmp_path: Path) -> Service:
    """A service that is wired and not started."""
    return Service(settings_in(tmp_path), Database("postgresql://nobody@127.0.0.1:1/nothing"))


def rows(page: Path, header: str) -> Iterator[list[str]]:
    """The cells of the table whose first header is `header`, row by row."""
    lines = iter(page.read_text().splitlines())
    for line in lines:
        if line.startswith(f"| {header} |"):
            next(lines)
            for row in lines:
                if not row.startswith("|"):
                    return
                yield [cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip().strip("|"))]


def code_in(text: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", text)


def everything() -> str:
    return "\n".join(page.read_text() for page in pages())


def test_the_table_of_settings_is_whole_and_has_the_real_defaults() -> None:
    shown = {code_in(name)[0]: default for name, default, *_ in rows(ROOT / "README.md", "setting")}

    assert list(shown) == [PREFIX + name.upper() for name in Settings.model_fields]
    for name, field in Settings.model_fields.items():
        default = shown[PREFIX + name.upper()]
        if isinstance(field.default, bool):
            assert default == f"`{field.default}`".lower()
        elif field.default is not None:
            assert default == f"`{field.default}`"
        else:
            assert default == ""


def test_the_tables_of_metrics_are_the_real_ones(service: Service) -> None:
    real = real_metrics(service.metrics)
    of_worker = real_metrics(Worker(service.database, retention_days=400, hold_retention_days=400).metrics)

    shown = {code_in(name)[0]: meaning for name, _, meaning in rows(DOCS / "operating.md", "metric")}
    shown_of_worker = {code_in(name)[0]: meaning for name, _, meaning in rows(DOCS / "operating.md", "metric of the worker")}

    assert shown == real
    assert shown_of_worker == {name: meaning for name, meaning in of_worker.items() if name not in real}


def real_metrics(metrics: Metrics) -> dict[str, str]:
    """What each metric means, by name."""
    return {
        family.name + ("_total" if family.type == "counter" else ""): family.documentation.rstrip(".")
        + (" (histogram)" if family.type == "histogram" else "")
        for family in text_string_to_metric_families(metrics.render().decode())
    }


def test_every_path_that_is_named_exists(service: Service) -> None:
    templates = {path for path, _ in api_routes(create_api(service))}
    known = [re.compile(re.sub(r"\{[a-z_]+\}", "[^/]+", path)) for path in templates]

    for page in pages():
        if page.parent.name == "adr":
            continue
        for path in re.findall(r"(?<![\w.])(/v1/[A-Za-z0-9/{}_.|-]*[A-Za-z0-9}])", page.read_text()):
            assert any(one.fullmatch(path) for one in known), f"{name_of(page)}: {path}"


def test_the_list_of_endpoints_is_whole(service: Service) -> None:
    shown = set(re.findall(r"/(?:v1/[a-z/{}_-]+|livez|readyz|metrics)", (DOCS / "api.md").read_text()))

    assert {path for path, _ in api_routes(create_api(service))} - shown <= {
        f"/v1/{name}"  # the lists, told by an example
        for name in (
            *("products", "price-lists", "sale-prices", "coupons", "campaigns", "guardrails"),
            *("strategies", "endings", "ladders", "seasons", "attributes"),
        )
    }


def test_problem_types_are_real() -> None:
    slugs = {kind.slug for kind in _subclasses(errors.Problem)} | {"ambiguous_price"}

    assert set(re.findall(r"/problems/([a-z_]+)", everything())) <= slugs


def _subclasses(kind: type[errors.Problem]) -> Iterator[type[errors.Problem]]:
    for one in kind.__subclasses__():
        yield one
        yield from _subclasses(one)


def test_the_table_of_reasons_is_whole() -> None:
    shown = {code_in(cells[0])[0] for cells in rows(DOCS / "quotes.md", "reason")}

    assert shown == set(WIRE_NAMES[1:]) | {"points_not_offered"}


def test_every_kind_and_parameter_is_described() -> None:
    for folder, registry in (("promotions", KINDS), ("strategies", STRATEGIES)):
        assert {page.stem for page in (DOCS / folder).glob("*.md")} == set(registry)
        for name, kind in registry.items():
            page = DOCS / folder / f"{name}.md"
            text = page.read_text()
            assert f'"kind": "{name}"' in text, f"{name}: no example"
            assert any(exchange.reply is not None for exchange in exchanges(page)), f"{name}: no reply"
            for parameter in dataclasses.fields(kind.Params):
                assert re.search(rf"`[^`\n]*\b{wire_name(parameter.name)}\b[^`\n]*`", text), f"{name}: {parameter.name}"


def test_conditions_and_policy_are_described() -> None:
    shown = {code_in(cells[0])[0] for cells in rows(DOCS / "policy.md", "setting")}

    assert set(BUILT_IN) | set(COMPARE) <= set(code_in(prose(DOCS / "conditions.md")))
    assert set(Policy._fields) <= shown


def test_every_condition_and_setting_has_an_example() -> None:
    conditions = "\n".join(exchange.body for exchange in exchanges(DOCS / "conditions.md"))
    settings = "\n".join(
        exchange.body for page in pages() for exchange in exchanges(page) if exchange.path.startswith("/v1/policy")
    )

    assert [name for name in BUILT_IN if f'"attribute": "{name}"' not in conditions] == []
    assert [name for name in Policy._fields if f'"{name}"' not in settings] == []


def test_every_scope_is_described() -> None:
    assert set(SCOPES) <= set(code_in(prose(DOCS / "operating.md")))


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for match in _LINK.finditer(prose(page)):
        target, _, anchor = match["target"].partition("#")
        if "://" in target:
            continue
        place = (page.parent / target) if target else page
        assert place.exists(), match["target"]
        if anchor:
            headings = {
                re.sub(r"[^a-z0-9 _-]", "", text.lower()).replace(" ", "-") for text in _HEADING.findall(place.read_text())
            }
            assert anchor in headings, match["target"]


def test_every_page_is_in_the_index() -> None:
    for index, folder in (
        (DOCS / "README.md", DOCS),
        (DOCS / "adr" / "README.md", DOCS / "adr"),
        (DOCS / "coming-from" / "README.md", DOCS / "coming-from"),
        (DOCS / "promotions.md", DOCS / "promotions"),
        (DOCS / "strategies.md", DOCS / "strategies"),
    ):
        linked = {(index.parent / target.partition("#")[0]).resolve() for target in _LINK.findall(index.read_text())}

        assert {page for page in folder.glob("*.md") if page.name != "README.md"} <= linked
