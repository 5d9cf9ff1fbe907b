"""The catalog's resources and routes."""

from typing import Final

from fastapi import APIRouter

from app.catalog.guardrails import GUARDRAILS
from app.catalog.ladders import LADDERS
from app.catalog.policy import POLICY
from app.catalog.price_router import prices_router
from app.catalog.prices import PRICE_LISTS, PRICES
from app.catalog.products import ATTRIBUTES, PRODUCTS
from app.catalog.sale_prices import SALE_PRICES
from app.catalog.seasons import SEASONS
from app.catalog.strategies import ENDINGS, STRATEGIES
from app.resources.resource import Resource
from app.resources.router import router_of, single_router_of

RESOURCES: Final[tuple[Resource, ...]] = (
    PRODUCTS,
    PRICE_LISTS,
    PRICES,
    SALE_PRICES,
    GUARDRAILS,
    STRATEGIES,
    ENDINGS,
    LADDERS,
    SEASONS,
    ATTRIBUTES,
    POLICY,
)


def catalog_routers() -> list[APIRouter]:
    """The routers of the catalog's resources."""
    several = [router_of(resource) for resource in RESOURCES if resource not in (PRICES, POLICY)]
    return [*several, prices_router(), single_router_of(POLICY)]
