"""Codes: which promotion each of them unlocks."""

from collections.abc import Container, Mapping
from operator import itemgetter

from app.pricing.book import Document
from app.pricing.code_table import CodeTable, Generator, generated_by, put_generator
from app.pricing.documents import columns_of
from app.pricing.promotions import PromotionProblem

_FIELDS = ("promotion", "codes", "generate")


def read_codes(
    coupons: Mapping[str, Document], row_of_id: Mapping[str, int], broken: Container[str]
) -> tuple[CodeTable, list[PromotionProblem]]:
    """The row of the promotion that each code unlocks. A coupon to a promotion that is `broken` is not to blame."""
    table = CodeTable({}, {})
    problems: list[PromotionProblem] = []
    owner: dict[str, str] = {}
    found = [one for part in columns_of(coupons, _FIELDS) for one in zip(part.ids(), *part.columns, strict=True)]
    found.sort(key=itemgetter(0))
    for name, promotion, listed, generate in found:
        row = row_of_id.get(promotion)
        if row is None:
            if promotion not in broken:
                problems.append(PromotionProblem("coupons", name, "promotion", "there is no such promotion"))
            continue
        for number, code in enumerate(listed):
            if owner.setdefault(code, name) != name:
                problems.append(
                    PromotionProblem("coupons", name, f"codes[{number}]", f"the code belongs to coupon {owner[code]}")
                )
            table.row_of_listed[code] = row
        generated = generated_by({"generate": generate})
        if generated is not None and (other := put_generator(table.generators, Generator(name, generated, row))):
            problems.append(PromotionProblem("coupons", name, "generate.seed", f"the codes belong to coupon {other}"))
    return table, problems
