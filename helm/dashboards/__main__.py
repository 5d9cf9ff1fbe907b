"""`python -m helm.dashboards` writes the dashboards as Grafana reads them into the chart."""

import json
from pathlib import Path
from typing import Any, Final

from helm.dashboards.boards import BOARDS, Board, Panel

FOLDER: Final = Path(__file__).parents[1] / "centwise" / "files" / "dashboards"
_SELECTED: Final = 'namespace=~"$namespace",job=~"$job",instance=~"$instance"'
_WIDTH: Final = 12
_HEIGHT: Final = 8
_SOURCE: Final = {"type": "prometheus", "uid": "${source}"}


def expression(text: str) -> str:
    """An expression of a board with the labels that are chosen above its panels."""
    return text.replace("$at", f"{{{_SELECTED}}}").replace("$and", _SELECTED)


def grafana(board: Board) -> dict[str, Any]:
    """A board in the form of Grafana's version 11."""
    return {
        "uid": board.name,
        "title": board.title,
        "description": board.says,
        "tags": ["centwise"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {
            "list": [
                {"name": "source", "label": "Source", "type": "datasource", "query": "prometheus"},
                _variable("namespace", "label_values(pricing_book_version, namespace)"),
                _variable("job", 'label_values(pricing_book_version{namespace=~"$namespace"}, job)'),
                _variable("instance", 'label_values(pricing_book_version{namespace=~"$namespace",job=~"$job"}, instance)'),
            ]
        },
        "panels": [_panel(number, panel) for number, panel in enumerate(board.panels)],
    }


def _variable(name: str, query: str) -> dict[str, Any]:
    """Some of a label's values. All is everything, also where the label is not there."""
    return {
        "name": name,
        "label": name.title(),
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.says,
        "datasource": _SOURCE,
        "gridPos": {"x": number % 2 * _WIDTH, "y": number // 2 * _HEIGHT, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": [
            {
                "refId": chr(ord("A") + at),
                "datasource": _SOURCE,
                "expr": expression(query.expr),
                "legendFormat": query.legend,
            }
            for at, query in enumerate(panel.queries)
        ],
    }


def files() -> dict[Path, str]:
    """The text of each file."""
    return {FOLDER / f"{board.name}.json": json.dumps(grafana(board), indent=2, ensure_ascii=False) + "\n" for board in BOARDS}


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("*.json"):
        old.unlink()
    for path, text in files().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
