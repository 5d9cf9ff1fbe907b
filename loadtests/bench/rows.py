"""Which rows there are, and what each stands on."""

import sys
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from loadtests.bench.against_ordinary import ordinary_rows
from loadtests.bench.arrivals import log_rows, publish_rows
from loadtests.bench.bulk import batch_rows, listing_rows
from loadtests.bench.core_rows import density_rows, kernel_rows, million_rows, order_rows
from loadtests.bench.plan import Plan
from loadtests.bench.quotes import all_live_rows, quote_rows
from loadtests.bench.rig import Shop, loaded_shop, postgres, temporary_folder
from loadtests.bench.starts import start_rows
from loadtests.bench.stats import Figure, Unmeasured
from loadtests.bench.watching import watching_rows
from loadtests.books import Documents, shop

type OnShop = Callable[[Plan, Shop], list[Figure]]

# Rows that one run measures together stand together.
_ON_SHOP: Final[tuple[tuple[tuple[str, ...], OnShop], ...]] = (
    (("P1", "P2", "P3"), quote_rows),
    (("P6",), batch_rows),
    (("P12",), listing_rows),
    (("P4",), ordinary_rows),
    (("P5",), log_rows),
    (("P13",), watching_rows),
)
_ON_SHOP_ALL_LIVE: Final[tuple[tuple[tuple[str, ...], OnShop], ...]] = ((("P1",), all_live_rows),)
_ON_MANY_PROMOTIONS: Final[tuple[tuple[tuple[str, ...], OnShop], ...]] = ((("P10",), publish_rows),)
_ON_LARGE_SHOP: Final[tuple[tuple[tuple[str, ...], OnShop], ...]] = ((("P14",), start_rows),)
_IN_CORE: Final[tuple[tuple[str, Callable[[Plan], list[Figure]]], ...]] = (
    ("P7", kernel_rows),
    ("P8", density_rows),
    ("P9", order_rows),
    ("P11", million_rows),
)
ROWS: Final = ("P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8", "P9", "P10", "P11", "P12", "P13", "P14")


def measure(plan: Plan, wanted: Sequence[str]) -> tuple[list[Figure | Unmeasured], bool]:
    """The figures of the rows wanted, in the order of the table, and whether one of them failed."""
    results: list[Figure | Unmeasured] = []

    def attempt(names: Sequence[str], work: Callable[[], list[Figure]]) -> None:
        own = [name for name in names if name in wanted]
        if not own:
            return
        began_s = time.monotonic()
        try:
            results.extend(figure for figure in work() if figure.row in own)
        except Exception as error:  # noqa: BLE001 - the other rows are measured all the same, and this one says why it was not
            traceback.print_exc()
            results.extend(Unmeasured(name, f"{type(error).__name__}: {error}".splitlines()[0]) for name in own)
        print(f"{', '.join(own)}: {time.monotonic() - began_s:.0f} s", file=sys.stderr, flush=True)

    def on_shop(group: Sequence[tuple[tuple[str, ...], OnShop]], make: Callable[[], Documents]) -> None:
        if any(name in wanted for names, _ in group for name in names):
            with temporary_folder() as folder, postgres(folder) as server, loaded_shop(server, make(), folder) as loaded:
                for names, rows in group:
                    attempt(names, partial(rows, plan, loaded))

    n_skus, n_promotions = plan.n_skus, plan.n_promotions
    on_shop(_ON_SHOP, partial(shop, n_skus=n_skus, n_promotions=n_promotions))
    on_shop(_ON_SHOP_ALL_LIVE, partial(shop, n_skus=n_skus, n_promotions=n_promotions, everything_live=True))
    for name, work in _IN_CORE:
        attempt((name,), partial(work, plan))
    on_shop(_ON_MANY_PROMOTIONS, partial(shop, n_skus=n_skus, n_promotions=n_promotions * 10))
    on_shop(_ON_LARGE_SHOP, partial(shop, n_skus=n_skus * 5, n_promotions=n_promotions))
    results.sort(key=lambda result: ROWS.index(result.row))
    return results, any(isinstance(result, Unmeasured) for result in results)
