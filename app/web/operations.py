"""`/livez`, `/readyz`, `/metrics`: for the platform, without a key."""

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from app.web.probes import ALIVE, Answer, Probes


def add_operations(api: FastAPI, probes: Probes) -> None:
    """Add them; `probes` has the answers."""

    @api.get("/livez", tags=["operations"], operation_id="livez", summary="Whether the process answers")
    async def livez() -> dict[str, str]:
        """The process answers. It says nothing about the database: restarting us would not bring that back."""
        return ALIVE

    @api.get(
        "/readyz", tags=["operations"], operation_id="readyz", summary="Whether to send requests here", response_class=Response
    )
    async def readyz(_: Request) -> Response:
        """Whether requests should be sent here: a price book is in force, and the process is not stopping. The rest of the reply is for people."""
        return _response(await probes.readyz())

    @api.get("/metrics", tags=["operations"], operation_id="metrics", summary="Figures for Prometheus", response_class=Response)
    async def metrics() -> Response:
        """Prometheus's text format."""
        return _response(await probes.metrics())


def _response(answer: Answer) -> Response:
    return Response(answer.body, answer.status, media_type=answer.media_type)
