"""Sends all baskets of the Complete Journey to a running service and says how near its prices come to what was really paid.

    python -m app import completejourney --url http://127.0.0.1:8080
    python -m loadtests.completejourney --url http://127.0.0.1:8080 [--database-url postgresql://...] [--data-dir .data]

The service runs with PRICING_OPEN_LOOPBACK=true, or `--key` has the scopes quote and simulate. The decisions are read back from
the service's Postgres: `--database-url`, or the embedded server of `--data-dir`. `--offline` needs no service: it says what the documents come to
by plain arithmetic, and what a shop made from every other basket says of the others.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from app.client import ApiProblem
from app.completejourney.tables import DataMissing, Tables, read_tables
from loadtests.completejourney.held_out import held_out_report
from loadtests.completejourney.report import as_text
from loadtests.completejourney.send import send_all


def main() -> int:
    """Runs the test; the status is 1 when the service and its decisions do not agree."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.completejourney", description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--key")
    parser.add_argument("--database-url")
    parser.add_argument("--data-dir", type=Path, default=Path(".data"))
    parser.add_argument("--baskets", type=int, help="only so many, the earliest first")
    parser.add_argument("--offline", action="store_true")
    parser.add_argument("--json", type=Path, help="also write the report there")
    arguments = parser.parse_args()
    try:
        tables = read_tables()
        report = held_out_report(tables) if arguments.offline else _send(tables, arguments)
    except (DataMissing, ApiProblem, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print(as_text(report))
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0 if report.get("decisions", {}).get("equal", True) else 1


def _send(tables: Tables, arguments: argparse.Namespace) -> dict[str, Any]:
    return send_all(
        tables,
        url=arguments.url,
        key=arguments.key,
        database_url=arguments.database_url,
        data_dir=arguments.data_dir,
        baskets=arguments.baskets,
    )


if __name__ == "__main__":
    sys.exit(main())
