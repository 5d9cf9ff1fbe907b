"""What goes wrong beside a new version does not keep it out of force."""

from dataclasses import replace

from app.pricebook.compile import compile_off_loop
from app.pricebook.holder import BookHolder, Held
from app.pricing.book import BookRows
from app.pricing.compile import compile_price_book
from tests.unit.pricing.test_changes import plain


async def test_a_version_that_cannot_be_taken_over_is_compiled_by_itself() -> None:
    rows = BookRows(1, 0, {})
    broken = replace(compile_price_book(rows), sources=None)  # type: ignore[arg-type]

    book = await compile_off_loop(rows, earlier=broken)

    assert plain(book) == plain(compile_price_book(rows))


def test_a_watcher_that_fails_keeps_no_book_out_of_force() -> None:
    rows = BookRows(1, 0, {})
    holder, seen = BookHolder(), []

    def fail(*_: object) -> None:
        raise RuntimeError

    holder.watch(fail)
    holder.watch(lambda before, held: seen.append((before, held.rows.version)))

    assert holder.offer(Held(compile_price_book(rows), rows))
    assert seen == [(None, 1)]
