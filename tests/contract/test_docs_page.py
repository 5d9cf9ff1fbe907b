"""`/docs` needs nothing from anywhere else."""

import re

import httpx

_ADDRESS = re.compile(r"""(?:src|href)=["']([^"']*)["']|url: ["']([^"']*)["']""")


def test_docs_page_names_no_other_host(client: httpx.Client) -> None:
    page = client.get("/docs").text

    assert "SwaggerUIBundle" in page
    assert re.findall(r"(?:https?:)?//[a-zA-Z0-9]", page) == []


def test_everything_that_the_docs_page_names_is_served_here(client: httpx.Client) -> None:
    addresses = [one or other for one, other in _ADDRESS.findall(client.get("/docs").text)]
    wanted = {address for address in addresses if not address.startswith("data:")}
    replies = {address: client.get(f"/{address}") for address in wanted}

    assert wanted == {"docs/swagger-ui-bundle.js", "docs/swagger-ui.css", "openapi.json"}
    assert {reply.status_code for reply in replies.values()} == {200}
    assert replies["docs/swagger-ui.css"].headers["Content-Type"].startswith("text/css")
    assert replies["docs/swagger-ui-bundle.js"].headers["Content-Type"].startswith("text/javascript")
    assert b"SwaggerUIBundle" in replies["docs/swagger-ui-bundle.js"].content
