"""The resources and routes of promotions, coupons and campaigns."""

from typing import Final

from fastapi import APIRouter

from app.promotions.campaigns import CAMPAIGNS
from app.promotions.coupon_router import coupons_router
from app.promotions.coupons import COUPONS
from app.promotions.promotions import PROMOTIONS
from app.resources.resource import Resource
from app.resources.router import router_of

RESOURCES: Final[tuple[Resource, ...]] = (PROMOTIONS, COUPONS, CAMPAIGNS)


def promotion_routers() -> list[APIRouter]:
    """The routers of promotions, coupons and campaigns."""
    return [router_of(PROMOTIONS), coupons_router(), router_of(CAMPAIGNS)]
