"""What the documents of a version have of those that an earlier book was compiled from."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from app.pricing.book import BookRows, Document, PriceBook
from app.pricing.documents import changed_ids, columns_of
from app.pricing.schedule import is_laid_out_anew

_NO_DOCUMENTS: Final[Mapping[str, Document]] = {}
_DAY_US: Final = 86_400_000_000
# The days that schedules name, by rule: documents that a publication writes beside the rule's own.
NAMED_DAYS: Final = "named-days"

type Body = Mapping[str, Any]


class Comparison:
    """The documents of a version beside an earlier book's; without one everything is new."""

    def __init__(self, rows: BookRows, earlier: PriceBook | None) -> None:
        self._rows = rows
        self._earlier = earlier
        self._changed: dict[str, set[str] | None] = {}

    def documents(self, resource: str) -> Mapping[str, Document]:
        """The documents of the version."""
        return self._rows.documents.get(resource, _NO_DOCUMENTS)

    def changed(self, resource: str) -> set[str] | None:
        """The ids of documents that differ; None where any may."""
        if self._earlier is None:
            return None
        if resource not in self._changed:
            before = self._earlier.sources.documents.get(resource, _NO_DOCUMENTS)
            self._changed[resource] = changed_ids(before, self.documents(resource))
        return self._changed[resource]

    def is_untouched(self, *resources: str) -> bool:
        """Whether no document of the resources differs."""
        return all(self.changed(resource) == set() for resource in resources)

    def bodies(self, resource: str, names: Iterable[str]) -> Iterator[tuple[Body | None, Body | None]]:
        """The bodies of documents before and now, None where there is none. Needs an earlier book."""
        assert self._earlier is not None
        before = self._earlier.sources.documents.get(resource, _NO_DOCUMENTS)
        for name in names:
            old, new = before.get(name), self.documents(resource).get(name)
            yield None if old is None else old.body, None if new is None else new.body

    def named_days(self, resource: str, name: str) -> Sequence[str]:
        """The days that the schedule of a rule names."""
        found = self.documents(NAMED_DAYS).get(named_days_id(resource, name))
        return () if found is None else found.body["days"]

    def with_other_days(self, resource: str) -> set[str] | None:
        """The rules of a resource whose named days differ; None where any may."""
        changed = self.changed(NAMED_DAYS)
        prefix = named_days_id(resource, "")
        return None if changed is None else {name.removeprefix(prefix) for name in changed if name.startswith(prefix)}

    @property
    def is_same_day(self) -> bool:
        """Whether patterns, which are laid out around the day of publishing, come out as they did."""
        return self._earlier is not None and self._earlier.published_at_us // _DAY_US == self._rows.published_at_us // _DAY_US

    def n_of_currencies(self, resource: str) -> Mapping[str, int]:
        """How many documents of a resource name each currency."""
        changed = self.changed(resource)
        if changed is None or self._earlier is None:
            return Counter(
                name for part in columns_of(self.documents(resource), ("currency",)) for name in part.columns[0] if name
            )
        counts = self._earlier.sources.currencies[resource]
        if not changed:
            return counts
        moved = Counter(counts)
        for old, new in self.bodies(resource, changed):
            for body, step in ((old, -1), (new, 1)):
                if body is not None and body.get("currency"):
                    moved[body["currency"]] += step
        return {name: n for name, n in moved.items() if n}


def has_pattern(body: Body) -> bool:
    """Whether a document's schedule is laid out around the day of publishing."""
    return is_laid_out_anew(body.get("schedule"))


def named_days_id(resource: str, name: str) -> str:
    """The id of the document that has the days a rule's schedule names."""
    return f"{resource}/{name}"
