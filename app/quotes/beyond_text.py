"""What lies beyond the lines, as JSON text: shipping, gifts, points, the rounding of the total. Source: SEMANTICS.md, Beyond the lines."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from app.pricing.basket import Basket
from app.pricing.beyond import Beyond
from app.pricing.book import PriceBook
from app.pricing.money import format_decimal, format_milli
from app.pricing.rules import gift, points
from app.quotes.phrases import json_text

NOT_OFFERED: Final = '{"rule":"points","reason":"points_not_offered"}'
_NO_POINTS: Final = '"redeemed":0,"amount":0,"earned":0'
_PAYS_NOTHING: Final = '{"rule":"points","reason":"nothing_to_discount"}'


class BeyondText(NamedTuple):
    """What a basket's reply says of it; lists are entries without their brackets."""

    on_order: str  # the adjustment of the rounding
    shipping: str
    gifts: str
    points: str  # the members
    points_refused: str  # an entry of what did not apply
    more_minor: int  # what the total has more than the lines


def plain(basket: Basket) -> BeyondText:
    """What a reply says where nothing of the book lies beyond the lines."""
    stated = basket.shipping_minor
    if stated is None and not basket.points:
        return _NOTHING
    return BeyondText(
        "",
        _shipping(stated, stated or 0, ()),
        "",
        _NO_POINTS,
        NOT_OFFERED if basket.points else "",
        stated or 0,
    )


_NOTHING: Final = BeyondText("", "null", "", _NO_POINTS, "", 0)


def beyond_texts(
    book: PriceBook,
    baskets: Sequence[Basket],
    beyond: Beyond,
    *,
    on_shipping: Mapping[int, Sequence[str]],
    codes: Mapping[tuple[int, int], str],
) -> list[BeyondText]:
    """The texts of each basket. `on_shipping` are the adjustments of its shipping; `codes` as for the texts of promotions."""
    gifts, multipliers = _gifts(book, beyond, codes), _multipliers(book, beyond, codes)
    columns = (
        beyond.shipping_minor,
        beyond.has_points,
        beyond.redeemed,
        beyond.redeemed_minor,
        beyond.earned,
        beyond.cash_minor,
    )
    rounding = _rounding(book) if beyond.cash_minor.any() else ""
    found: list[BeyondText] = []
    for number, (shipping, has_points, redeemed, amount, earned, cash) in enumerate(
        zip(*(column.tolist() for column in columns), strict=True)
    ):
        basket = baskets[number]
        told = f',"multipliers":[{",".join(multipliers[number])}]' if number in multipliers else ""
        found.append(
            BeyondText(
                f"{rounding}{cash}}}" if cash else "",
                _shipping(basket.shipping_minor, shipping, on_shipping.get(number, ())),
                ",".join(gifts.get(number, ())),
                f'"redeemed":{redeemed},"amount":{amount},"earned":{earned}{told}',
                "" if redeemed or not basket.points else _PAYS_NOTHING if has_points else NOT_OFFERED,
                shipping - amount + cash,
            )
        )
    return found


def _shipping(stated: int | None, left: int, adjustments: Sequence[str]) -> str:
    if stated is None:
        return "null"
    return f'{{"subtotal":{stated},"discount":{stated - left},"total":{left},"adjustments":[{",".join(adjustments)}]}}'


def _rounding(book: PriceBook) -> str:
    """The adjustment of the rounding up to its amount."""
    revision = book.sources.documents["policy"]["default"].revision
    return f'{{"kind":"cash_rounding","rule":"cash_rounding","revision":{revision},"name":"Cash rounding","amount":'


def _head(book: PriceBook, rule: int) -> str:
    promotions = book.promotions
    name = json_text(promotions.name[rule])
    return f'{{"rule":{json_text(promotions.id[rule])},"revision":{promotions.revision[rule]},"name":{name}'


def _tail(codes: Mapping[tuple[int, int], str], basket: int, rule: int) -> str:
    code = codes.get((basket, rule))
    return "}" if code is None else f',"code":{json_text(code)}}}'


def _gifts(book: PriceBook, beyond: Beyond, codes: Mapping[tuple[int, int], str]) -> dict[int, list[str]]:
    """The gifts by basket."""
    found: dict[int, list[str]] = {}
    if beyond.gifts.rule.size == 0:
        return found
    packed: gift.Packed = book.promotions.packed[book.promotions.kinds.index(gift.KIND)]
    texts: dict[int, str] = {}
    for basket, rule, worth in zip(*(column.tolist() for column in beyond.gifts), strict=True):
        if rule not in texts:
            row = int(book.promotions.kind_row[rule])
            low, high = packed.skus.first[row : row + 2].tolist()
            skus = json_text([sku.decode() for sku in packed.skus.sku[low:high].tolist()])
            choose, quantity = int(packed.choose[row]), format_milli(int(packed.quantity_milli[row]))
            shown = "null" if choose == gift.ALL_OF_THEM else choose
            texts[rule] = f'{_head(book, rule)},"skus":{skus},"choose":{shown},"quantity":"{quantity}","worth":'
        found.setdefault(basket, []).append(f"{texts[rule]}{worth}{_tail(codes, basket, rule)}")
    return found


def _multipliers(book: PriceBook, beyond: Beyond, codes: Mapping[tuple[int, int], str]) -> dict[int, list[str]]:
    """The points promotions that applied, by basket."""
    found: dict[int, list[str]] = {}
    if beyond.multipliers.rule.size == 0:
        return found
    packed: points.Packed = book.promotions.packed[book.promotions.kinds.index(points.KIND)]
    for basket, rule in zip(*(column.tolist() for column in beyond.multipliers), strict=True):
        multiplier = format_decimal(int(packed.multiplier_e4[book.promotions.kind_row[rule]]), 4)
        text = f'{_head(book, rule)},"multiplier":"{multiplier}"{_tail(codes, basket, rule)}'
        found.setdefault(basket, []).append(text)
    return found
