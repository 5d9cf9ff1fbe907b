"""P14: from starting a process to a ready service, with the book in the database and with the last good book on disk."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from loadtests.bench.plan import Plan
from loadtests.bench.rig import Shop, is_ready, started
from loadtests.bench.stats import Figure, Reach, ratios, spread

_SECONDS_MAX: Final = 120.0


def start_rows(plan: Plan, shop: Shop) -> list[Figure]:
    """Both ways in turn; the database is there both times. A service leaves its book on disk when it stops."""
    on_disk = shop.folder / "data" / "last-good-book"
    from_database, from_disk, imports = [], [], []
    for _ in range(min(3, plan.rounds)):
        on_disk.unlink(missing_ok=True)
        from_database.append(_start_s(shop))
        if not on_disk.exists():
            raise RuntimeError("the service left no book on disk")
        from_disk.append(_start_s(shop))
        imports.append(_imports_s())
    beside = f"of it {spread(imports).median:.2f} s for Python and imports; all cores, {on_disk.stat().st_size >> 20} MB on disk"
    return [
        Figure("P14", "start to ready, book from the database", spread(from_database), " s", Reach("at_most", 2.0), beside),
        Figure("P14", "start to ready, book from the disk", spread(from_disk), " s", Reach("at_most", 1.0), ""),
        Figure("P14", "book from the database / Python and its imports", ratios(from_database, imports), "×", None, ""),
        Figure("P14", "book from the disk / Python and its imports", ratios(from_disk, imports), "×", None, ""),
    ]


def _start_s(shop: Shop) -> float:
    began_s = time.perf_counter()
    with started(shop) as (service, process):
        while not is_ready(service):
            if process.poll() is not None or time.perf_counter() - began_s > _SECONDS_MAX:
                raise RuntimeError((shop.folder / "service.log").read_text()[-2000:])
            time.sleep(0.005)
        return time.perf_counter() - began_s


def _imports_s() -> float:
    began_s = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import app.cli"], check=True, timeout=_SECONDS_MAX, cwd=Path.cwd())
    return time.perf_counter() - began_s
