"""The routes of coupons: those that every resource has, and the codes of one coupon page by page."""

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from app.db.engine import transaction
from app.errors import NotFound
from app.pricebook import queries
from app.pricebook.drafts import find_draft
from app.pricebook.load import decode_body
from app.pricebook.offload import off_loop
from app.promotions.coupons import COUPONS, page_of_codes
from app.resources.control import control_of
from app.resources.router import DocumentId, IsDraft, Reader, router_of
from app.web.idempotency import json_reply
from app.web.pagination import Cursor, Limit, Page, cut_page, decode_cursor, wrong_cursor


class CouponCode(BaseModel):
    """One code of a coupon."""

    code: str


class CouponCodePage(Page[CouponCode]):
    """One page."""


def coupons_router() -> APIRouter:
    """PUT, GET, DELETE and list of coupons, and the list of a coupon's codes."""
    router = router_of(COUPONS)

    async def list_codes(
        request: Request,
        principal: Reader,
        document_id: DocumentId,
        draft: IsDraft = False,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Response:
        """Those that are listed, as they stand there; generated ones by their number, so that a page stays what it is when there are more."""
        first = 0 if cursor is None else decode_cursor(cursor, int)[0]
        if first < 0:
            raise wrong_cursor()
        async with transaction(control_of(request).engine) as connection:
            if draft:
                drafted = await find_draft(connection, COUPONS.name, document_id)
                body = None if drafted is None else drafted.body
            else:
                row = (await connection.exec_driver_sql(queries.DOCUMENT, (COUPONS.name, document_id))).one_or_none()
                body = None if row is None else decode_body(row.body)
        if body is None:
            raise NotFound("There is no draft with codes." if draft else "Nothing is published under this id.")
        codes = await off_loop(limit, page_of_codes, body, first, limit + 1)
        page, following = cut_page(codes, limit, lambda _: (first + limit,))
        return json_reply({"items": [{"code": code} for code in page], "next": following}).response()

    router.add_api_route(
        "/{id}/codes",
        list_codes,
        methods=["GET"],
        operation_id="listCouponCodes",
        summary="List the codes of a coupon",
        response_model=CouponCodePage,
    )
    return router
