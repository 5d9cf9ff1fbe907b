"""Which SKUs a scope has, and how specific it is about one."""

from collections.abc import Mapping
from typing import Any

from tests.reference.shop import Body

NO_PRODUCT: Body = {"category": None, "brand": None, "tags": [], "attributes": {}}


def _below(category: str | None, path: str) -> bool:
    return category is not None and (category == path or category.startswith(path + "/"))


def _field_matches(field: str, wanted: Any, sku: str, product: Body, *, every_attribute: bool) -> bool:
    if field == "skus":
        return sku in wanted
    if field == "categories":
        return any(_below(product.get("category"), path) for path in wanted)
    if field == "brands":
        return product.get("brand") in wanted
    if field == "tags":
        return any(tag in wanted for tag in product.get("tags") or [])
    if field == "attributes":
        has = product.get("attributes") or {}
        found = [name in has and has[name] in values for name, values in wanted.items()]
        return all(found) if every_attribute else any(found)
    raise ValueError(f"unknown field of a scope {field!r}")


def _named(selection: Body | None) -> Body:
    return {field: wanted for field, wanted in (selection or {}).items() if wanted}


def specificity(scope: Body | None, sku: str, products: Mapping[str, Body]) -> tuple[int, int] | None:
    """Return how specific the scope is about the SKU, or None where the scope does not have it."""
    product = products.get(sku, NO_PRODUCT)
    include = _named((scope or {}).get("include"))
    exclude = _named((scope or {}).get("exclude"))
    if not all(_field_matches(f, wanted, sku, product, every_attribute=True) for f, wanted in include.items()):
        return None
    if any(_field_matches(f, wanted, sku, product, every_attribute=False) for f, wanted in exclude.items()):
        return None
    if "skus" in include:
        return 5, 0
    if "categories" in include:
        paths = [path for path in include["categories"] if _below(product.get("category"), path)]
        return 4, max(len(path.split("/")) for path in paths)
    if "brands" in include:
        return 3, 0
    if "tags" in include:
        return 2, 0
    if "attributes" in include:
        return 1, 0
    return 0, 0


def has(scope: Body | None, sku: str, products: Mapping[str, Body]) -> bool:
    """Say whether the scope has the SKU."""
    return specificity(scope, sku, products) is not None
