"""P8, P9, P11: the core alone, in a process of its own on one core; what it finds comes back as JSON on its standard output.

python -m loadtests.bench.core density|order|million ROUNDS N
"""

import gc
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from app.pricebook.last_good import LastGood
from app.pricing.basket import Basket
from app.pricing.book import BookRows, Document, PriceBook
from app.pricing.compile import compile_price_book
from app.pricing.quote import price_baskets
from app.quotes.encode import encode_quotes
from app.quotes.memo import Memo, price_with
from app.quotes.parse import basket_of, read_quote
from loadtests.bench.processes import memory_bytes
from loadtests.books import Documents, basket, shop

_AT_MS = 1_790_000_000_000
_TOGETHER = 64


def main(name: str, rounds: int, size: int) -> None:
    """Measure one of the rows."""
    found = {"density": density, "order": order_promotions, "million": million, "compile": compile_file}[name](rounds, size)
    print(json.dumps(found))


def density(rounds: int, n_skus: int) -> dict[str, Any]:
    """P8: µs of CPU a line with a hundred times as many promotions, each line having equally many candidates.

    In a shop of as many SKUs as promotions each promotion names 14 of them; a hundredth of the promotions name 1 400 each.
    """
    baskets = _baskets(640, n_skus)
    n_lines = sum(len(one.skus) for one in baskets)
    books = {
        "many": book_of(shop(n_skus=n_skus, n_promotions=n_skus)),
        "few": book_of(shop(n_skus=n_skus, n_promotions=n_skus // 100)),
    }
    gc.freeze()
    works = {"engine": _engine, "quotes": _remembering}
    us: dict[str, list[float]] = {f"{work} {name}": [] for work in works for name in books}
    for number in range(rounds + 2):
        for work, run in works.items():
            for name, book in books.items():
                took_us = _cpu_us(run, book, baskets) / n_lines
                # The first two rounds are for the memo to learn the contexts and the lines.
                if number >= 2:
                    us[f"{work} {name}"].append(took_us)
    pairs = {name: price_baskets(book, baskets).applications.line.size / n_lines for name, book in books.items()}
    return {"us": us, "candidates": pairs}


def order_promotions(rounds: int, n_skus: int) -> dict[str, Any]:
    """P9: µs of CPU of a basket of 20 lines with 12 order promotions that compete, and without them."""
    plain = shop(n_skus=n_skus, n_promotions=n_skus // 2)
    with_them: Documents = {**plain, "promotions": {**plain["promotions"], **_competing()}}
    books = {"with": book_of(with_them), "without": book_of(plain)}
    rng = Random(11)
    lines = [
        [{"sku": f"SKU-{row}", "quantity": rng.choice((1, 2, 3))} for row in rng.sample(range(n_skus), 20)] for _ in range(640)
    ]
    baskets = [understood({"currency": "USD", "channel": "web", "lines": one}) for one in lines]
    gc.freeze()
    us: dict[str, list[float]] = {f"{together} {name}": [] for together in (1, _TOGETHER) for name in books}
    for number in range(rounds + 2):
        for together in (1, _TOGETHER):
            for name, book in books.items():
                took_us = _cpu_us(_remembering, book, baskets, together=together) / len(baskets)
                if number >= 2:
                    us[f"{together} {name}"].append(took_us)
    priced = price_baskets(books["with"], baskets[:_TOGETHER])
    is_order_level = priced.applications.rule >= books["with"].promotions.n_line_level
    applied = float((priced.outcome.is_applied & is_order_level).sum()) / _TOGETHER
    candidates = price_baskets(books["without"], baskets).applications.line.size / (20 * len(baskets))
    return {"us": us, "applied": applied, "candidates": candidates}


def million(_: int, n_skus: int) -> dict[str, Any]:
    """P11, first half: write the documents of a shop to disk as a service does. The second half reads them in a fresh process."""
    documents = shop(n_skus=n_skus, n_promotions=1_000, rules_per_line=1)
    path = Path(tempfile.mkdtemp(prefix="centwise-bench-")) / "book"
    LastGood(path).write(_rows(documents), None)
    return {"path": str(path)}


def compile_file(_: int, __: int) -> dict[str, Any]:
    """P11, second half: the documents of the file named on standard input, compiled and held as a service holds them."""
    # As the service has it while it starts.
    gc.set_threshold(200_000, 100, 100)
    empty_bytes = memory_bytes("self")
    began_s = time.perf_counter()
    kept = LastGood(Path(sys.stdin.readline().strip())).read()
    assert kept is not None
    rows = kept.rows
    read_s, rows_bytes = time.perf_counter() - began_s, memory_bytes("self")
    began_s = time.perf_counter()
    book = compile_price_book(rows)
    compile_s = time.perf_counter() - began_s
    gc.collect()
    return {
        "n_skus": book.n_skus,
        "read_s": read_s,
        "compile_s": compile_s,
        "empty_bytes": empty_bytes,
        "rows_bytes": rows_bytes,
        "held_bytes": memory_bytes("self"),
        "peak_bytes": memory_bytes("self", "VmHWM"),
    }


@cache
def lines_only(book: PriceBook) -> Memo:
    """A memo of lines that does not remember the bench's few baskets whole, which are priced again and again."""
    return Memo(book, whole_octets_max=0)


def _engine(book: PriceBook, baskets: Sequence[Basket]) -> None:
    encode_quotes(book, baskets, price_baskets(book, baskets), partial=[False] * len(baskets))


def _remembering(book: PriceBook, baskets: Sequence[Basket]) -> None:
    price_with(lines_only(book), book, baskets, [False] * len(baskets))


def _cpu_us(
    run: Callable[[PriceBook, Sequence[Basket]], None], book: PriceBook, baskets: Sequence[Basket], *, together: int = _TOGETHER
) -> float:
    began = time.process_time_ns()
    for start in range(0, len(baskets), together):
        run(book, baskets[start : start + together])
    return (time.process_time_ns() - began) / 1000


def _competing() -> dict[str, dict[str, Any]]:
    """Twelve order promotions: in each of two lanes two groups of three, of which one can apply."""
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("percent_off", {"percent": "5"}),
        ("amount_off", {"amount": 700, "per": "across"}),
        ("spend_save", {"threshold": 3_000, "amount": 250, "repeat": True}),
        ("tiered", {"by": "quantity", "steps": [{"from": 5, "percent": "3"}, {"from": 500, "percent": "9"}]}),
        ("percent_off", {"percent": "4", "cap": 900}),
        ("amount_off", {"amount": 300, "per": "across"}),
    ]
    return {
        f"order{lane}{place}": {
            "name": f"Order promotion {lane}.{place}",
            "kind": kind,
            "params": params,
            "level": "order",
            "currency": "USD",
            "scope": {"include": {}},
            "conditions": {"attribute": "order.subtotal", "op": ">=", "value": 1_000},
            "schedule": None,
            "lane": lane,
            "priority": 10 - place,
            "group": f"group{lane}{place // 3}",
            "exclusive": False,
            "requires_code": False,
        }
        for lane in range(2)
        for place, (kind, params) in enumerate(kinds)
    }


def _rows(documents: Documents) -> BookRows:
    return BookRows(
        1,
        1_750_000_000_000_000,
        {resource: {name: Document(body, 1) for name, body in bodies.items()} for resource, bodies in documents.items()},
    )


def book_of(documents: Documents) -> PriceBook:
    """The documents compiled."""
    return compile_price_book(_rows(documents))


def _baskets(n_baskets: int, n_skus: int) -> list[Basket]:
    rng = Random(7)
    return [understood(basket(rng, n_skus)) for _ in range(n_baskets)]


def understood(body: Mapping[str, Any]) -> Basket:
    """A request as the core sees it."""
    return basket_of(read_quote(json.dumps(body).encode()), _AT_MS)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
