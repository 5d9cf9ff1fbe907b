"""Seasons: by how much demand is above or below the usual at an instant, entered by week, by day or for any period."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from app.pricing.money import E4, Int64s, parse_decimal
from app.pricing.schedule import ROW_STRIDE, instant_of_local

INDEX_E4_MAX: Final = 1_000 * E4


class Seasons(NamedTuple):
    """The season of each SKU, and the periods of all seasons in one sorted array. A key is row · 2^33 + second."""

    season: Int64s  # (n_skus,) row, −1 without
    start_key: Int64s  # (n_periods,)
    end_key: Int64s
    index_e4: Int64s


def read_periods(body: Mapping[str, Any]) -> list[tuple[int, int, int]]:
    """The periods of a season as (from_s, to_s, index_e4). Raises ValueError where they do not follow one another."""
    try:
        zone = ZoneInfo(body["timezone"])
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("unknown time zone") from error
    found: list[tuple[int, int, int]] = []
    for number, period in enumerate(body["periods"]):
        start, end = (instant_of_local(name, period[name], zone) for name in ("from", "to"))
        if start >= end:
            raise ValueError(f"period {number}: 'from' must lie before 'to'")
        if found and start < found[-1][1]:
            raise ValueError(f"period {number} begins before the one before it ends")
        found.append((start, end, parse_decimal(period["index"], 4)))
    return found


def pack_seasons(periods: Sequence[Sequence[tuple[int, int, int]]], season: Int64s) -> Seasons:
    """Pack the periods of seasons 0, 1, ..."""
    rows = [
        (row * ROW_STRIDE + low, row * ROW_STRIDE + high, index) for row, own in enumerate(periods) for low, high, index in own
    ]
    table = np.array(rows, np.int64).reshape(-1, 3)
    return Seasons(season, table[:, 0].copy(), table[:, 1].copy(), table[:, 2].copy())


def season_index_e4(seasons: Seasons, sku_row: Int64s, at_s: Int64s) -> Int64s:
    """The season index of each SKU (n,) at its instant (n,), in 1/10 000."""
    index = np.full(sku_row.size, E4, np.int64)
    row = seasons.season[sku_row]
    line = np.flatnonzero(row >= 0)
    if line.size and seasons.start_key.size:
        key = row[line] * ROW_STRIDE + at_s[line]
        found = np.searchsorted(seasons.start_key, key, side="right") - 1
        # The end of a period of an earlier season lies below every key of this one.
        is_in = (found >= 0) & (key < seasons.end_key[found])
        index[line[is_in]] = seasons.index_e4[found[is_in]]
    return index


def season_instants(seasons: Seasons) -> Int64s:
    """The instants at which a season index changes."""
    return np.concatenate([seasons.start_key, seasons.end_key]) % ROW_STRIDE
