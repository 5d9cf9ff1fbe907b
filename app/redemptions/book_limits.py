"""All limits of a book, for whoever follows their meters."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from app.pricing.book import Document
from app.pricing.documents import changed_ids, columns_of
from app.redemptions.limits import Limit, limits_of

type Rows = Iterable[tuple[str, Mapping[str, Any]]]

# What limits are read from: without any of the first, as most rules are, there is none.
_FIELDS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "promotions": (("limits",), ("schedule", "currency")),
    "campaigns": (("budget",), ("currency",)),
    "coupons": (("limits", "generate"), ()),
    "sale-prices": (("stock_cap", "per_customer_cap"), ()),
}
_NO_DOCUMENTS: Final[Mapping[str, Document]] = {}


class BookLimits:
    """The limits of one book after the other; only what changed between two is looked at again."""

    def __init__(self) -> None:
        self._documents: dict[str, Mapping[str, Document]] = {}
        self._limits: dict[str, dict[str, tuple[Limit, ...]]] = {}

    def of(self, documents: Mapping[str, Mapping[str, Document]], version: int) -> list[Limit]:
        """All of a book's documents."""
        for resource, (telling, more) in _FIELDS.items():
            after = documents.get(resource, _NO_DOCUMENTS)
            before = self._documents.get(resource)
            changed = None if before is None else changed_ids(before, after)
            if changed is None:
                self._limits[resource] = {}
            known = self._limits[resource]
            for name, body in _all(after, telling, more) if changed is None else _some(after, changed):
                limits = tuple(limits_of(resource, name, body, version))
                if limits:
                    known[name] = limits
                else:
                    known.pop(name, None)
            self._documents[resource] = after
        return [limit for known in self._limits.values() for limits in known.values() for limit in limits]


def _all(documents: Mapping[str, Document], telling: tuple[str, ...], more: tuple[str, ...]) -> Rows:
    for part in columns_of(documents, (*telling, *more)):
        for name, *values in zip(part.ids(), *part.columns, strict=True):
            if any(value is not None for value in values[: len(telling)]):
                yield name, dict(zip((*telling, *more), values, strict=True))


def _some(documents: Mapping[str, Document], names: Iterable[str]) -> Rows:
    for name in names:
        document = documents.get(name)
        yield name, {} if document is None else document.body
