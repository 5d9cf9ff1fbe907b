"""Compiles a price book away from the event loop."""

import asyncio
from time import perf_counter

from app.metrics import Metrics
from app.pricing.book import BookRows, PriceBook
from app.pricing.compile import compile_price_book


async def compile_off_loop(rows: BookRows, metrics: Metrics | None = None, *, earlier: PriceBook | None = None) -> PriceBook:
    """The book of these documents, compiled in a thread; what the earlier book shares is taken over. Raises BookError."""
    started = perf_counter()
    book = await asyncio.to_thread(compile_price_book, rows, earlier)
    if metrics is not None:
        metrics.compile_seconds.at().observe(perf_counter() - started)
    return book
