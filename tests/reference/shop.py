"""What the reference reads: the configured documents, and the request with its instant."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from tests.reference.figures import rounded

Body = dict[str, Any]
Documents = Mapping[str, Mapping[str, Body]]

DEFAULT_POLICY: Body = {
    "rounding": "half_up",
    "rounding_level": "line",
    "percent_base": "running",
    "remainder": "largest",
    "selection": "best",
    "exclusive_wins": False,
    "coupon_failure": "partial",
    "cash_rounding": None,
    "points": {},
}


@dataclass(frozen=True)
class Shop:
    """The documents of one version of the book."""

    documents: Documents
    revisions: Mapping[tuple[str, str], int]
    published_at_us: int

    def each(self, resource: str) -> Mapping[str, Body]:
        """Return the documents of a resource by id."""
        return self.documents.get(resource, {})

    def named_days(self, resource: str, name: str) -> list[str]:
        """Return the days that the schedule of a rule names."""
        document = self.each("named-days").get(f"{resource}/{name}")
        return list(document["days"]) if document else []

    def policy(self, setting: str) -> Any:
        """Return a setting of the policy, or its default."""
        return self.each("policy").get("default", {}).get(setting, DEFAULT_POLICY[setting])

    def round(self, exact: Fraction | int) -> int:
        """Round as the policy says."""
        return rounded(exact, self.policy("rounding"))

    def whole(self, unit_e4: int) -> int:
        """Round a unit price to a whole minor unit where the policy rounds by unit."""
        return self.round(Fraction(unit_e4, 10_000)) * 10_000 if self.is_by_unit else unit_e4

    @property
    def is_by_unit(self) -> bool:
        return bool(self.policy("rounding_level") == "unit")

    def revision(self, resource: str, name: str) -> int:
        """Return the revision of a document; 1 where none is told."""
        return self.revisions.get((resource, name), 1)


@dataclass(frozen=True)
class Request:
    """One basket as sent, and the instant it is priced at."""

    basket: Body
    at_us: int

    @property
    def currency(self) -> str:
        return str(self.basket["currency"])

    @property
    def customer(self) -> Body:
        return self.basket.get("customer") or {}

    @property
    def limited(self) -> list[Body]:
        """What is left of limits, as it is told."""
        return self.basket.get("limited") or []

    @property
    def codes(self) -> list[str]:
        """The codes given, as they are looked up."""
        return [normal_code(code) for code in self.basket.get("codes") or []]


def normal_code(code: str) -> str:
    """Return a code trimmed, NFKC-normalised and upper-cased."""
    return unicodedata.normalize("NFKC", code.strip()).upper()


def names_currency(body: Body, currency: str) -> bool:
    """Say whether a rule holds in the currency: it names none, or this one."""
    return body.get("currency") in (None, currency)
