"""`/openapi.json`, and `/docs`: the page that reads it, with all that it is made of served from here.

A shop's network may have no way out, and a page of ours has no business telling others who reads it.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from importlib import resources
from pathlib import Path
from typing import Final

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import FileResponse, Response

_FILES: Final = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}


def add_docs_page(api: FastAPI) -> None:
    """Serves the document, the page and its files. The page's addresses are relative, so that it works behind a prefix as well."""
    script, style = (f"docs/{name}" for name in _FILES)
    page = get_swagger_ui_html(
        openapi_url="openapi.json",
        title=api.title,
        swagger_js_url=script,
        swagger_css_url=style,
        # No picture, so that no browser asks for one.
        swagger_favicon_url="data:,",
        # By default the page would show the document to a validator on the internet.
        swagger_ui_parameters={"validatorUrl": None},
    )

    async def show(_: Request) -> Response:
        return page

    document = b""
    making = asyncio.Lock()

    def make() -> bytes:
        return json.dumps(api.openapi(), ensure_ascii=False, separators=(",", ":")).encode()

    async def describe(_: Request) -> Response:
        nonlocal document
        async with making:
            # Once and off the loop: it takes a second, and whoever asks needs no key.
            document = document or await asyncio.to_thread(make)
        return Response(document, media_type="application/json")

    api.add_route("/openapi.json", describe, include_in_schema=False)
    api.add_route("/docs", show, include_in_schema=False)
    folder = Path(str(resources.files("fastapi_offline") / "static"))
    for name, media_type in _FILES.items():
        api.add_route(f"/docs/{name}", _file(folder / name, media_type), include_in_schema=False)


def _file(path: Path, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    async def show(_: Request) -> Response:
        return FileResponse(path, media_type=media_type, headers={"Cache-Control": "no-cache"})

    return show
