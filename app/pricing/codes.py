"""Codes: which promotion each of them unlocks."""

from collections.abc import Container, Mapping
from operator import itemgetter

from app.pricing.book import Document
from app.pricing.documents import columns_of
from app.pricing.promotions import PromotionProblem


def read_codes(
    coupons: Mapping[str, Document], row_of_id: Mapping[str, int], broken: Container[str]
) -> tuple[dict[str, int], list[PromotionProblem]]:
    """The row of the promotion that each code unlocks. A coupon to a promotion that is `broken` is not to blame."""
    row_of_code: dict[str, int] = {}
    problems: list[PromotionProblem] = []
    owner: dict[str, str] = {}
    found = [
        one
        for names, (promotions, codes) in columns_of(coupons, ("promotion", "codes"))
        for one in zip(names, promotions, codes, strict=True)
    ]
    found.sort(key=itemgetter(0))
    for name, promotion, codes in found:
        row = row_of_id.get(promotion)
        if row is None:
            if promotion not in broken:
                problems.append(PromotionProblem("coupons", name, "promotion", "there is no such promotion"))
            continue
        for number, code in enumerate(codes):
            if owner.setdefault(code, name) != name:
                problems.append(
                    PromotionProblem("coupons", name, f"codes[{number}]", f"the code belongs to coupon {owner[code]}")
                )
            row_of_code[code] = row
    return row_of_code, problems
