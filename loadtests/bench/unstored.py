"""The reference of P3, and the subject of P2: our service without the decision log. Quotes are priced, signed and answered, and nothing is stored.

python -m loadtests.bench.unstored serve
"""

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from app.cli import main
from app.quotes.decision import Decision
from app.quotes.store import Claim, DecisionStore, Outcome


def stop_storing() -> None:
    """Replace the storing of a batch by nothing."""

    async def store(
        self: DecisionStore, issued_at: datetime, decisions: Sequence[Decision], claims: Sequence[Claim], *, deadline_s: float
    ) -> Outcome:
        del self, issued_at, decisions, claims, deadline_s
        return Outcome({}, frozenset())

    owner: Any = DecisionStore
    owner.store = store


if __name__ == "__main__":
    stop_storing()
    sys.exit(main(sys.argv[1:]))
