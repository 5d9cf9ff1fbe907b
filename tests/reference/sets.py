"""Sets of units: what is bought and what is given for it, and bundles. Whether units go together is found by moving them between the places."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from tests.reference.figures import parse_rate_ppm, parse_unit_e4, show_percent, show_unit
from tests.reference.lines import Line
from tests.reference.scopes import has
from tests.reference.shop import Body, Shop

SCANNED = 100


def touches(shop: Shop, promotion: Body, sku: str) -> bool:
    """Say whether the SKU is in the scope of a promotion, what its parameters name included."""
    products, params = shop.each("products"), promotion["params"]
    is_in = has(promotion.get("scope"), sku, products)
    if promotion["kind"] == "bundle":
        return is_in and any(has(component["scope"], sku, products) for component in params["components"])
    get_scope = params.get("get_scope")
    return is_in or (get_scope is not None and has(get_scope, sku, products))


@dataclass(frozen=True)
class Units:
    """The available units of a line, and which places they fit."""

    line: Line
    count: int
    fits: frozenset[int]

    @property
    def price(self) -> Fraction:
        """What one unit costs at this turn."""
        return Fraction(self.line.running * 1000, self.line.quantity_milli)


def in_order(units: Sequence[Units], first: str) -> list[int]:
    """Return the places of units, the cheapest or the dearest first, ties to the earlier line."""
    sign = -1 if first == "dearest" else 1
    return sorted(range(len(units)), key=lambda i: (sign * units[i].price, i))


def matched(units: Sequence[Units], demands: Sequence[int]) -> list[int]:
    """Put units into places (`demands`: how many of each kind there are), the dearest first, moving but never giving up those before.

    Return how many units of each line have a place.
    """
    free = list(demands)
    placed: list[dict[int, int]] = [{} for _ in units]
    for i in in_order(units, "dearest"):
        left = units[i].count
        while left and (path := _path(units, placed, free, i)):
            room = min(left, free[path[-1][1]], *(placed[line][place] for line, place in _given_up(path)))
            for line, place in path:
                placed[line][place] = placed[line].get(place, 0) + room
            for line, place in _given_up(path):
                placed[line][place] -= room
            free[path[-1][1]] -= room
            left -= room
    return [sum(each.values()) for each in placed]


def _given_up(path: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """What each line after the first leaves: the place that the one before it moves to."""
    return [(path[i + 1][0], path[i][1]) for i in range(len(path) - 1)]


def _path(
    units: Sequence[Units], placed: Sequence[Mapping[int, int]], free: Sequence[int], start: int
) -> list[tuple[int, int]] | None:
    """Return moves (line, place), each to the place that the next line leaves, the last to a free one; None where there are none."""
    waiting: list[list[tuple[int, int]]] = [[(start, place)] for place in sorted(units[start].fits)]
    seen = {path[0][1] for path in waiting}
    while waiting:
        path = waiting.pop(0)
        place = path[-1][1]
        if free[place]:
            return path
        for line, own in enumerate(placed):
            if own.get(place):
                for other in sorted(units[line].fits - seen):
                    seen.add(other)
                    waiting.append([*path, (line, other)])
    return None


def missing(units: Sequence[Units], demands: Sequence[int]) -> int:
    """Return how many places stay empty."""
    return sum(demands) - sum(matched(units, demands))


@dataclass(frozen=True)
class Set:
    """What a set promotion found: of each eligible line the units that get the reward and all that serve; and what it tells."""

    rewarded: list[int]
    served: list[int]
    times: int
    why: Body | None
    benefit: Body | None


def buy_x_get_y(shop: Shop, promotion: Body, eligible: Sequence[Line]) -> Set:
    """Return the sets of a buy_x_get_y."""
    params, products = promotion["params"], shop.each("products")
    get_scope = params.get("get_scope") or promotion.get("scope")
    units = [_units(line, (promotion.get("scope"), get_scope), products) for line in eligible]
    buy, get, most = params["buy"], params["get"], params.get("max_times")
    times = _greatest(units, (buy, get), most)
    bought, given = times * buy, times * get
    is_partial = params.get("incomplete") == "partial"
    if is_partial and times != most:
        for more in range(1, get):
            if missing(units, (times * buy + buy, times * get + more)) == 0:
                bought, given = times * buy + buy, times * get + more
    pick = params.get("pick") or "cheapest"
    rewarded = _given(units, given, sum(each.count for each in units if 0 in each.fits) - bought, pick)
    served = list(rewarded)
    for i in in_order(units, "cheapest" if pick == "dearest" else "dearest"):
        taken = min(units[i].count - rewarded[i], bought) if 0 in units[i].fits else 0
        served[i] += taken
        bought -= taken
    why = None
    if given == 0:
        needed = missing(units, (buy, 1 if is_partial else get))
        why = {"reason": "min_quantity_not_met", "needed": str(needed)}
    benefit = None
    if times != most:
        needed = missing(units, ((times + 1) * buy, (times + 1) * get))
        benefit = {"quantity_needed": str(needed), "units": get, **_shown(params)}
    return Set(rewarded, served, times, why, benefit)


def _given(units: Sequence[Units], given: int, spare: int, pick: str) -> list[int]:
    rewarded = [0] * len(units)
    for i in in_order(units, pick):
        if 1 in units[i].fits:
            rewarded[i] = min(units[i].count, given, spare if 0 in units[i].fits else given)
            given -= rewarded[i]
            spare -= rewarded[i] if 0 in units[i].fits else 0
    return rewarded


def bundle(shop: Shop, promotion: Body, eligible: Sequence[Line]) -> Set:
    """Return the bundles of a bundle promotion."""
    params, products = promotion["params"], shop.each("products")
    components = params["components"]
    units = [_units(line, [component["scope"] for component in components], products) for line in eligible]
    one = [component["quantity"] for component in components]
    most, price = params.get("max_times"), params.get("price")
    possible = _greatest(units, one, most)
    times = possible if price is None else _worth(units, one, price, possible)
    served = matched(units, [times * each for each in one])
    needed = str(missing(units, [(possible + 1) * each for each in one]))
    why = {"reason": "min_quantity_not_met", "needed": needed} if possible == 0 else None
    is_open = times == possible and possible != most
    benefit = {"quantity_needed": needed, **_shown(params)} if is_open else None
    return Set(served, served, times, why, benefit)


def _units(line: Line, scopes: Sequence[Body | None], products: Mapping[str, Body]) -> Units:
    fits = frozenset(place for place, scope in enumerate(scopes) if has(scope, line.sku, products))
    return Units(line, line.quantity_milli // 1000 - line.served_units, fits)


def _greatest(units: Sequence[Units], one: Sequence[int], most: int | None) -> int:
    """Return how many times all places of one set can be filled."""
    low, high = 0, sum(each.count for each in units) // sum(one)
    high = high if most is None else min(high, most)
    while low < high:
        middle = (low + high + 1) // 2
        if missing(units, [middle * each for each in one]) == 0:
            low = middle
        else:
            high = middle - 1
    return low


def _worth(units: Sequence[Units], one: Sequence[int], price: int, most: int) -> int:
    """Return the number of bundles that saves the most: of a few by trying all, of many where one more begins to save nothing."""

    def saving(times: int) -> Fraction:
        served = matched(units, [times * each for each in one])
        return sum((each.price * count for each, count in zip(units, served, strict=True)), Fraction(-price * times))

    if most <= SCANNED:
        return max(range(most + 1), key=lambda times: (saving(times), -times))
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if saving(middle) > saving(middle - 1):
            low = middle
        else:
            high = middle - 1
    return low


def _shown(params: Body) -> Body:
    if params.get("unit_price") is not None:
        return {"unit_price": show_unit(parse_unit_e4(params["unit_price"]))}
    for name in ("price", "amount"):
        if params.get(name) is not None:
            return {name: params[name]}
    return {"percent": show_percent(parse_rate_ppm(params["percent"]))}


def limited_units(limit: Body, eligible: Sequence[Line]) -> list[int]:
    """Return how many units of each eligible line `units` lets have the reward."""
    step, most = limit.get("step") or 1, limit.get("max")
    units = [Units(line, line.quantity_milli // 1000, frozenset()) for line in eligible]

    def kept(count: int) -> int:
        return (count if most is None else min(count, most)) // step * step

    if limit.get("per") != "order":
        return [kept(each.count) for each in units]
    left = kept(sum(each.count for each in units))
    found = [0] * len(units)
    for i in in_order(units, limit.get("pick") or "cheapest"):
        found[i] = min(units[i].count, left)
        left -= found[i]
    return found
