"""Compiles a price book away from the event loop."""

import asyncio
from time import perf_counter

import structlog

from app.metrics import Metrics
from app.pricing.book import BookError, BookRows, PriceBook
from app.pricing.compile import compile_price_book

_log = structlog.get_logger(__name__)


async def compile_off_loop(rows: BookRows, metrics: Metrics | None = None, *, earlier: PriceBook | None = None) -> PriceBook:
    """The book of these documents, compiled in a thread; what the earlier book shares is taken over. Raises BookError."""
    started = perf_counter()
    try:
        book = await asyncio.to_thread(compile_price_book, rows, earlier)
    except BookError:
        raise
    except Exception:
        if earlier is None:
            raise
        # A defect in taking over must not keep a version out of force that compiles by itself.
        _log.exception("book_not_taken_over", version=rows.version, earlier=earlier.version)
        book = await asyncio.to_thread(compile_price_book, rows, None)
    if metrics is not None:
        metrics.compile_seconds.at().observe(perf_counter() - started)
    return book
