"""What the endpoints of the control plane share: the database, the book in force, and the way a publication is run."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from starlette.requests import Request
from starlette.responses import Response

from app.errors import Conflict, FieldError, ValidationFailed
from app.metrics import Metrics
from app.pricebook.documents import SINGLE_ID, Documents
from app.pricebook.holder import BookHolder
from app.pricebook.publish import Publication, open_publication
from app.pricing.book import BookError, BookProblem
from app.web.auth import Principal
from app.web.idempotency import Reply, run_once

_PROBLEMS_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class Control:
    """The control plane's part of `app.state`, as `app.state.control`."""

    engine: AsyncEngine
    holder: BookHolder
    metrics: Metrics
    import_bytes: int = 256 << 20


def control_of(request: Request) -> Control:
    """The control plane that main put into the application's state."""
    control: Control = request.app.state.control
    return control


async def run_publication(
    request: Request,
    principal: Principal,
    effect: Callable[[Publication], Awaitable[Reply]],
    *,
    path_of: Callable[[BookProblem], str | None] = lambda _: None,
    body_sha256: bytes | None = None,
) -> Response:
    """Run `effect` in a publication that commits before the reply leaves; what it published is then in force in this process.

    `path_of` gives the place in the request of a problem of the book, None for problems elsewhere: those are named `resource/id/path`.
    """
    control = control_of(request)
    opened: Publication | None = None

    async def in_transaction(connection: AsyncConnection) -> Reply:
        nonlocal opened
        opened = await open_publication(connection, control.holder, control.metrics)
        try:
            reply = await effect(opened)
        except BookError as error:
            raise book_problem(error, path_of) from error
        if opened.held is not None:
            control.holder.expected.add(opened.held.book.version)
        return reply

    try:
        response = await run_once(control.engine, request, principal, in_transaction, body_sha256=body_sha256)
        if opened is not None and opened.held is not None and response.status_code < 400:
            control.holder.offer(opened.held)
    finally:
        if opened is not None and opened.held is not None:
            control.holder.expected.discard(opened.held.book.version)
    return response


def book_problem(error: BookError, path_of: Callable[[BookProblem], str | None]) -> ValidationFailed:
    """What keeps a book from compiling, as a refusal."""
    found = [
        FieldError(
            path_of(problem) or "/".join(filter(None, (problem.resource, problem.id, problem.path))),
            "unpublishable",
            problem.message,
        )
        for problem in error.problems[:_PROBLEMS_MAX]
    ]
    return ValidationFailed(f"The book would not compile: {len(error.problems)} problem(s).", errors=found)


def require_publish_now(documents: Documents) -> None:
    """Raises Conflict when the publishing policy wants every change to go through a release."""
    policy = documents.get("publishing-policy", {}).get(SINGLE_ID)
    if policy is not None and not policy.body["publish_now"]:
        raise Conflict("The publishing policy allows no publish=now: put a draft and publish it in a release.")
