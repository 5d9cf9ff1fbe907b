"""What the tests of the contract ask of a reply."""

import httpx


def is_problem(reply: httpx.Response, status: int, slug: str) -> bool:
    """Whether `reply` is the problem `slug`, in full form. Prints what it is where it is not."""
    content = reply.json() if reply.headers.get("content-type") == "application/problem+json" else {}
    found = (reply.status_code, content.get("type"), content.get("status"))
    good = found == (status, f"/problems/{slug}", status) and bool(content["title"]) and isinstance(content["errors"], list)
    if not good:
        print(reply.request.method, reply.request.url, reply.status_code, reply.text[:500])
    return good


def places(reply: httpx.Response) -> list[str]:
    """The places that a problem names."""
    return [error["path"] for error in reply.json()["errors"]]
