"""The FastAPI side: everything declared and documented, and all served but what the front table takes.

It is made when the service already quotes (see app.web.late), so nothing here may be needed for that.
"""

from fastapi import FastAPI

from app.catalog import routers as catalog
from app.catalog.bulk import bulk_router
from app.main import Service
from app.promotions import routers as promotions
from app.quotes.openapi import declare_structs
from app.quotes.router import decisions_router, storefront_router
from app.redemptions.points_router import points_router
from app.redemptions.router import holds_router
from app.releases import routers as releases
from app.resources.control import Control
from app.signals import routers as signals
from app.web.docs_page import add_docs_page
from app.web.keys import keys_router
from app.web.openapi import ABOUT, TAGS, describe_problems
from app.web.operations import add_operations
from app.web.problem_handlers import install_problem_handlers
from app.web.routing import api_routes, check_routes


def create_api(service: Service) -> FastAPI:
    """The FastAPI side: everything declared, documented and served but the front table's hot paths."""
    api = FastAPI(
        title="Centwise",
        summary="Dynamic pricing that is exact, fast and explains each cent.",
        description=ABOUT,
        version="1",
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        servers=[{"url": "/"}],
        openapi_tags=[{"name": name, "description": description} for name, description in TAGS.items()],
        redirect_slashes=False,
        # Its own telling would begin by itself, twice what app.tracing tells and messages of failures too, wherever OTEL_* names a collector.
        telemetry={"auto_configure": False, "tracing": False, "metrics": False, "logs": False, "operation_spans": False},
        # One schema for what is sent and what is shown: the shapes within bodies would else be doubled.
        separate_input_output_schemas=False,
        # Served by add_docs_page.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
    )
    api.state.authenticator = service.authenticator
    api.state.control = Control(service.engine, service.holder, service.metrics, service.settings.import_body_bytes)
    api.state.read_seconds = service.settings.read_seconds
    install_problem_handlers(api)
    describe_problems(api)
    read_s = service.settings.read_seconds
    resources = (*catalog.RESOURCES, *promotions.RESOURCES, *releases.RESOURCES)
    for router in (
        storefront_router(service.front, authenticate=service.authenticator.authenticate, read_s=read_s),
        decisions_router(service.decisions, service.replay),
        *catalog.catalog_routers(),
        *promotions.promotion_routers(),
        bulk_router(resources),
        *releases.release_routers(),
        *signals.signal_routers(),
        holds_router(
            holding=service.redemptions.holding,
            changing=service.redemptions.changing,
            engine=service.engine,
            quote_of_token=service.quote_of_token,
            hold_ttl_s=service.settings.hold_ttl_seconds,
        ),
        points_router(service.engine),
        keys_router(service.engine),
    ):
        api.include_router(router)
    declare_structs(api)
    add_operations(api, service.probes)
    add_docs_page(api)
    check_routes(api)
    for path, route in api_routes(api):
        for method in route.methods or ():
            service.metrics.expect_endpoint(f"{method} {path}")
    return api
