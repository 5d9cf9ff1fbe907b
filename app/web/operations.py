"""`/livez`, `/readyz`, `/metrics`: for the platform, without a key."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from app.metrics import Metrics


def add_operations(api: FastAPI, *, readiness: Callable[[], tuple[bool, dict[str, Any]]], figures: Metrics) -> None:
    """Add them. `readiness` tells whether requests should be sent here, and a report for people."""

    @api.get("/livez", tags=["operations"], operation_id="livez", summary="Whether the process answers")
    async def livez() -> dict[str, str]:
        """The process answers. It says nothing about the database: restarting us would not bring that back."""
        return {"status": "alive"}

    @api.get(
        "/readyz", tags=["operations"], operation_id="readyz", summary="Whether to send requests here", response_class=Response
    )
    async def readyz(_: Request) -> Response:
        """Whether requests should be sent here: a price book is in force, and the process is not stopping. The rest of the reply is for people."""
        ready, report = readiness()
        return Response(json.dumps(report), 200 if ready else 503, media_type="application/json")

    @api.get("/metrics", tags=["operations"], operation_id="metrics", summary="Figures for Prometheus", response_class=Response)
    async def metrics() -> Response:
        """Prometheus's text format."""
        text = await asyncio.to_thread(figures.render)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")
