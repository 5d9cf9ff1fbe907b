"""Products and prices, read as columns: a million rows pass through in parts, and no dictionary a row is kept."""

from collections.abc import Callable, Container, Iterable, Mapping
from datetime import datetime
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np

from app.pricing.book import BookProblem, Document
from app.pricing.currencies import CURRENCIES
from app.pricing.documents import columns_of
from app.pricing.money import Int64s, parse_quantity_milli, parse_unit_price_e4
from app.pricing.price_lists import GRADUATED, MIX_BY_NAME, MIX_SKU, NO_MIX, NO_TIERS, OPEN_END_MILLI, VOLUME
from app.pricing.schedule import EARLIEST_S, LATEST_S
from app.pricing.scope import Assortment, paths_above

PRICE_FIELDS: Final = ("sku", "currency", "price_list", "unit_price", "tiers", "valid_from", "valid_to")
SAID_OF_PRODUCTS: Final = ("category", "brand", "tags", "attributes")
# Texts that come again are read once; so many are remembered at a time.
_REMEMBERED_MAX: Final = 200_000
_UNREADABLE: Final = -(2**63)


class PriceColumns(NamedTuple):
    """Prices by row, in no order: `currency` and `price_list` are numbers of names, tiers are delimited by `tier_first`."""

    sku_row: Int64s
    currency: Int64s
    currencies: tuple[str, ...]
    price_list: Int64s
    price_lists: tuple[str, ...]
    unit_e4: Int64s
    from_s: Int64s
    to_s: Int64s
    mode: Int64s
    mix: Int64s
    mix_names: tuple[str, ...]
    tier_first: Int64s  # (n + 1,)
    tier_up_to_milli: Int64s
    tier_unit_e4: Int64s
    tier_fee_minor: Int64s
    problems: dict[int, BookProblem]  # of rows that cannot be read, by row


class Catalog(NamedTuple):
    """The SKUs that products and prices name."""

    assortment: Assortment
    n_uses: Int64s  # (n_skus,) products and prices that name each
    prices: PriceColumns


def read_catalog(products: Mapping[str, Document], prices: Mapping[str, Document], price_lists: Container[str]) -> Catalog:
    """Number the SKUs by their order, and read what is said of them."""
    row_of: dict[str, int] = {}
    said = _Said()
    for part in columns_of(products, SAID_OF_PRODUCTS):
        names = part.ids()
        row_of.update(zip(names, range(len(row_of), len(row_of) + len(names)), strict=True))
        said.read(part.columns)
    n_products = len(row_of)
    columns_of_prices = read_prices(prices, row_of, price_lists)
    skus = list(row_of)
    if any(later < earlier for earlier, later in pairwise(skus)):
        skus.sort()
        place = np.zeros(len(skus), np.int64)
        place[[row_of[sku] for sku in skus]] = np.arange(len(skus))
        row_of = {sku: row for row, sku in enumerate(skus)}
        columns_of_prices = columns_of_prices._replace(sku_row=place[columns_of_prices.sku_row])
    else:
        place = np.arange(len(skus))
    n_uses = np.bincount(place[:n_products], minlength=len(skus)) + np.bincount(columns_of_prices.sku_row, minlength=len(skus))
    return Catalog(Assortment(row_of, *said.turned_around(place)), n_uses, columns_of_prices)


def said_of(body: Mapping[str, Any] | None) -> tuple[Any, ...]:
    """What of a product scopes may ask for."""
    return tuple((body or {}).get(field) or None for field in SAID_OF_PRODUCTS)


class _Said:
    """What products say, as pairs of a value's number and a product's row, for each field."""

    def __init__(self) -> None:
        self._n = 0
        self._numbers: tuple[dict[Any, int], ...] = ({}, {}, {}, {})
        self._pairs: tuple[list[Int64s], ...] = ([], [], [], [])

    def read(self, columns: list[list[Any]]) -> None:
        categories, brands, tags, attributes = columns
        self._note(0, enumerate(categories))
        self._note(1, enumerate(brands))
        self._note(2, ((row, one) for row, own in enumerate(tags) if own for one in dict.fromkeys(own)))
        self._note(3, ((row, one) for row, own in enumerate(attributes) if own for one in own.items()))
        self._n += len(categories)

    def _note(self, field: int, values: Iterable[tuple[int, Any]]) -> None:
        numbers = self._numbers[field]
        found = [number for row, value in values if value for number in (numbers.setdefault(value, len(numbers)), row)]
        if found:
            pairs = np.array(found, np.int64).reshape(-1, 2)
            pairs[:, 1] += self._n
            self._pairs[field].append(pairs)

    def turned_around(self, place: Int64s) -> list[dict[Any, Int64s]]:
        """From each value of each field to the SKU rows that have it."""
        found = []
        for numbers, parts in zip(self._numbers, self._pairs, strict=True):
            pairs = np.concatenate([np.zeros((0, 2), np.int64), *parts])
            value, row = pairs[:, 0], place[pairs[:, 1]]
            order = np.lexsort((row, value))
            bounds = np.cumsum(np.bincount(value, minlength=len(numbers)))
            rows = np.split(row[order], bounds[:-1]) if numbers else []
            found.append({name: own.copy() for name, own in zip(numbers, rows, strict=True)})
        found[0] = _with_what_lies_below(found[0])
        return found


def _with_what_lies_below(rows_of: dict[Any, Int64s]) -> dict[Any, Int64s]:
    """From each path to the rows of the categories at it and below it."""
    parts: dict[str, list[Int64s]] = {}
    for category, rows in rows_of.items():
        for path in paths_above(category):
            parts.setdefault(path, []).append(rows)
    return {path: own[0] if len(own) == 1 else np.sort(np.concatenate(own)) for path, own in parts.items()}


def read_prices(prices: Mapping[str, Document], row_of: dict[str, int], price_lists: Container[str]) -> PriceColumns:
    """Read all prices; a SKU without a row is given the next one. That a currency is unknown is told elsewhere."""
    parts: list[tuple[Int64s, ...]] = []
    tiers: list[Int64s] = []
    currencies: dict[str, int] = {}
    lists: dict[str, int] = {}
    mixes: dict[str, int] = {}
    problems: dict[int, BookProblem] = {}
    units, instants = _Reader(parse_unit_price_e4), _Reader(_second)
    n = 0
    for part in columns_of(prices, PRICE_FIELDS):
        skus, currency, price_list, unit_price, its_tiers, valid_from, valid_to = part.columns
        sku_row = list(map(row_of.get, skus))
        if None in sku_row:
            sku_row = [row_of.setdefault(sku, len(row_of)) for sku in skus]
        unit = units.column(unit_price)
        start = instants.column(valid_from, absent=EARLIEST_S)
        end = instants.column(valid_to, absent=LATEST_S)
        mode, n_tiers, mix = (
            np.full(len(skus), NO_TIERS, np.int64),
            np.zeros(len(skus), np.int64),
            np.full(len(skus), NO_MIX, np.int64),
        )
        steps: list[int] = []
        for at, one in enumerate(its_tiers):
            if not one:
                continue
            try:
                own = read_steps(one, units)
            except ValueError as error:
                problems[n + at] = BookProblem("prices", part.ids()[at], "tiers", str(error))
                continue
            mode[at], n_tiers[at] = VOLUME if one["mode"] == "volume" else GRADUATED, len(own) // 3
            if name := one.get("mix"):
                mix[at] = MIX_SKU if name == "sku" else MIX_BY_NAME + mixes.setdefault(name, len(mixes))
            steps += own
        tiers.append(np.array(steps, np.int64).reshape(-1, 3))
        for at in np.flatnonzero((unit == _UNREADABLE) | (start == _UNREADABLE) | (end == _UNREADABLE) | (start >= end)).tolist():
            message = instants.trouble(valid_from[at], valid_to[at])
            if not message and start[at] >= end[at]:
                message = "valid_from must lie before valid_to"
            if not message and n + at in problems:
                continue
            message = message or units.trouble(unit_price[at])
            path = "tiers" if its_tiers[at] else "unit_price"
            problems[n + at] = BookProblem("prices", part.ids()[at], path, message)
        list_number, currency_number = _numbers(price_list, lists, "default"), _numbers(currency, currencies, "")
        is_missing = np.array([name not in price_lists for name in lists], np.bool_)[list_number]
        for at in np.flatnonzero(is_missing).tolist():
            problems[n + at] = BookProblem("prices", part.ids()[at], "price_list", "there is no such price list")
        is_unknown = np.array([name not in CURRENCIES for name in currencies], np.bool_)[currency_number]
        for at in np.flatnonzero(is_unknown).tolist():
            problems.pop(n + at, None)
        parts.append(
            (
                np.array(sku_row, np.int64),
                currency_number,
                list_number,
                unit,
                start,
                end,
                mode,
                n_tiers,
                mix,
            )
        )
        n += len(skus)
    none = (np.zeros(0, np.int64),) * 9
    read = [np.concatenate(column) for column in zip(none, *parts, strict=True)]
    tier_first = np.zeros(n + 1, np.int64)
    np.cumsum(read[7], out=tier_first[1:])
    tier = np.concatenate([np.zeros((0, 3), np.int64), *tiers])
    return PriceColumns(
        sku_row=read[0],
        currency=read[1],
        currencies=tuple(currencies),
        price_list=read[2],
        price_lists=tuple(lists),
        unit_e4=read[3],
        from_s=read[4],
        to_s=read[5],
        mode=read[6],
        mix=read[8],
        mix_names=tuple(mixes),
        tier_first=tier_first,
        tier_up_to_milli=tier[:, 0].copy(),
        tier_unit_e4=tier[:, 1].copy(),
        tier_fee_minor=tier[:, 2].copy(),
        problems=problems,
    )


def _numbers(texts: list[Any], number_of: dict[str, int], absent: str) -> Int64s:
    """The number of each text, a new one when it is new."""
    for text in dict.fromkeys(texts):
        number_of.setdefault(text or absent, len(number_of))
    distinct = set(texts)
    if len(distinct) == 1:
        return np.full(len(texts), number_of[distinct.pop() or absent], np.int64)
    return np.array([number_of[text or absent] for text in texts], np.int64)


def read_steps(tiers: Mapping[str, Any], units: "_Reader") -> list[int]:
    """The steps, each as up_to_milli, unit_e4, fee_minor. Raises ValueError when they do not rise or do not end open."""
    found: list[int] = []
    reached = 0
    for step in tiers["steps"]:
        up_to = step.get("up_to")
        bound = OPEN_END_MILLI if up_to is None else parse_quantity_milli(up_to)
        if bound <= reached:
            raise ValueError("the bounds of the tiers must rise")
        reached = bound
        found += (bound, units.one(step["unit_price"]), step.get("flat_fee") or 0)
    if found and reached != OPEN_END_MILLI:
        raise ValueError("the last tier must be open: up_to null")
    return found


class _Reader:
    """Reads texts as integers, each text once."""

    def __init__(self, parse: Callable[[str], int]) -> None:
        self._parse = parse
        self._known: dict[str, int] = {}
        self._troubles: dict[str, str] = {}

    def one(self, text: str) -> int:
        """The number of a text. Raises ValueError."""
        found = self._known.get(text)
        if found is None:
            found = self._parse(text)
            self._remember(text, found)
        return found

    def column(self, texts: list[Any], *, absent: int | None = None) -> Int64s:
        """The numbers of texts, _UNREADABLE where one cannot be read; `absent` stands for what is not there."""
        known = self._known
        return np.array(
            [absent if absent is not None and not text else known[text] if text in known else self._try(text) for text in texts],
            np.int64,
        )

    def trouble(self, *texts: Any) -> str:
        """Why the first of the texts that cannot be read cannot, empty when all can."""
        return next((self._troubles[text] for text in texts if text in self._troubles), "")

    def _try(self, text: str) -> int:
        try:
            return self.one(text)
        except ValueError as error:
            self._troubles[text] = str(error)
            return _UNREADABLE

    def _remember(self, text: str, number: int) -> None:
        if len(self._known) >= _REMEMBERED_MAX:
            self._known.clear()
        self._known[text] = number


def _second(text: str) -> int:
    """Whole seconds of an RFC 3339 instant in UTC. Raises ValueError."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("an instant needs its offset")
    return int(instant.timestamp())
