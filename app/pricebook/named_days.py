"""The days that the schedules of a version name, as documents beside the rules: `named-days` by `resource/id` of the rule.

They are asked of the calendars once, when a rule is published, and belong to the version from then on. Another release of the
calendars changes no version, and a replay finds the days that the quote was made with.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import date, timedelta
from typing import Any, Final

from app.calendars.named_days import NamedDaysError, named_days
from app.pricebook.documents import Change, Documents
from app.pricing.book import BookError, BookProblem, Document, PriceBook
from app.pricing.comparison import NAMED_DAYS, named_days_id
from app.pricing.schedule import is_laid_out_anew, laid_out_days, names_days, never_holds

WITH_SCHEDULES: Final = ("promotions", "sale-prices")


def without_named_days(changes: Iterable[Change]) -> list[Change]:
    """The changes that somebody asked for. What a rollback says of named days follows from the rules."""
    return [change for change in changes if change.resource != NAMED_DAYS]


def changes_of_days(documents: Documents, changes: Iterable[Change], real: Collection[Change], *, at_us: int) -> list[Change]:
    """What becomes of the named days when these changes are published; `real` are those that differ from what is in force.

    A rule that is written again as it is takes in what the calendars have learned since. Raises BookError for days nobody knows.
    """
    is_real = {(change.resource, change.id) for change in real}
    first, last = laid_out_days(at_us)
    found: list[Change] = []
    problems: list[BookProblem] = []
    for change in {(change.resource, change.id): change for change in changes if change.resource in WITH_SCHEDULES}.values():
        key = named_days_id(change.resource, change.id)
        stored = documents.get(NAMED_DAYS, {}).get(key)
        schedule = None if change.body is None else change.body.get("schedule")
        if not names_days(schedule):
            if stored is not None:
                found.append(Change(NAMED_DAYS, key, None))
            continue
        assert schedule is not None
        try:
            body = _body(schedule, first, last)
        except NamedDaysError as error:
            problems.append(BookProblem(change.resource, change.id, f"schedule.{error.path}", str(error)))
            continue
        if (change.resource, change.id) in is_real or stored is None or _differ(stored.body, body):
            found.append(Change(NAMED_DAYS, key, body))
    if problems:
        raise BookError(tuple(problems))
    return found


def days_laid_further(documents: Documents, *, at_us: int) -> list[Change]:
    """All named days, laid out to 800 days after the instant. Those laid out before stay as they are."""
    first, last = laid_out_days(at_us)
    found = []
    for key, document in documents.get(NAMED_DAYS, {}).items():
        resource, _, name = key.partition("/")
        known_until = date.fromisoformat(document.body["until"])
        kept = [day for day in document.body["days"] if day >= first.isoformat()]
        try:
            body = _body(documents[resource][name].body["schedule"], known_until + timedelta(days=1), last)
        except NamedDaysError:
            # A country that the calendars have dropped: what was laid out stays, and nothing can be added.
            body = {"days": []}
        found.append(Change(NAMED_DAYS, key, {"days": kept + body["days"], "from": first.isoformat(), "until": last.isoformat()}))
    return found


def require_holding(book: PriceBook, changes: Iterable[Change]) -> None:
    """Raises BookError for changed rules whose pattern has no window at all in the time that the book lays out."""
    changed = [change for change in changes if change.body is not None and _has_pattern(change)]
    if not changed:
        return
    tables = {
        "promotions": (book.promotions.schedule, {name: row for row, name in enumerate(book.promotions.id)}),
        "sale-prices": (book.sales.schedule, {name: row for row, name in enumerate(book.sale_names.id)}),
    }
    problems = []
    for change in changed:
        table, row_of = tables[change.resource]
        if never_holds(table, row_of[change.id]):
            first, last = laid_out_days(book.published_at_us)
            message = f"the schedule never holds from {first} to {last}"
            problems.append(BookProblem(change.resource, change.id, "schedule", message))
    if problems:
        raise BookError(tuple(problems))


def _has_pattern(change: Change) -> bool:
    if change.resource not in WITH_SCHEDULES or change.body is None:
        return False
    schedule = change.body.get("schedule")
    return is_laid_out_anew(schedule) or names_days(schedule)


def known_until(documents: Mapping[str, Document]) -> date | None:
    """The day on which the first of the named days are no longer known; None where none are."""
    return min((date.fromisoformat(document.body["until"]) for document in documents.values()), default=None)


def _body(schedule: Mapping[str, Any], first: date, last: date) -> dict[str, Any]:
    days = [day.isoformat() for day in named_days(schedule, first, last)]
    return {"days": days, "from": first.isoformat(), "until": last.isoformat()}


def _differ(stored: Mapping[str, Any], fresh: Mapping[str, Any]) -> bool:
    """Whether two say something else of a day that both know of."""
    low, high = max(stored["from"], fresh["from"]), min(stored["until"], fresh["until"])
    one, other = ({day for day in body["days"] if low <= day <= high} for body in (stored, fresh))
    return one != other
