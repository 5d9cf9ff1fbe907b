"""Preconditions: `If-Match` and `If-None-Match` against the ETag of what is there."""

from starlette.requests import Request

from app.errors import PreconditionFailed


def quoted(etag: str) -> str:
    """The header form of a strong ETag.

    >>> quoted("abc")
    '"abc"'
    """
    return f'"{etag}"'


def check_preconditions(request: Request, current: str | None) -> None:
    """Raises PreconditionFailed unless the request's conditions hold for `current`, the unquoted ETag or None for what does not exist."""
    wanted = request.headers.get("if-match")
    if wanted is not None and not _matches(wanted, current):
        raise PreconditionFailed("If-Match does not name the present ETag")
    unwanted = request.headers.get("if-none-match")
    if unwanted is not None and _matches(unwanted, current):
        raise PreconditionFailed("If-None-Match names what is there")


def is_not_modified(request: Request, current: str) -> bool:
    """Whether a GET may be answered 304."""
    header = request.headers.get("if-none-match")
    return header is not None and _matches(header, current)


def _matches(header: str, current: str | None) -> bool:
    if current is None:
        return False
    tags = [tag.strip() for tag in header.split(",")]
    # A proxy may have made the tag weak by compressing; the document is the same one.
    return "*" in tags or any(tag.removeprefix("W/") == quoted(current) for tag in tags)
