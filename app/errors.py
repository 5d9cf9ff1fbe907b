"""The problems a caller can be told about: one exception class a problem type (RFC 9457).

Nothing here knows HTTP plumbing; `app.web.problems` turns a `Problem` into a response. The `detail` and the `errors` never contain
the caller's raw input unless it is known to be short, printable text.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, NamedTuple

# What a background task calls with its name and what went wrong, before it tries again; main counts and logs it.
type NoteFailure = Callable[[str, BaseException], None]


class FieldError(NamedTuple):
    """One thing that is wrong at one place of the request, `path` as in `lines[0].quantity`."""

    path: str
    code: str
    message: str


class Problem(Exception):
    """A refusal with a stable type. Subclasses fix slug, title and status; instances say what happened."""

    slug: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"
    status: ClassVar[int] = 500

    def __init__(
        self,
        detail: str = "",
        *,
        errors: Iterable[FieldError | tuple[str, str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail
        self.errors = tuple(FieldError(*error) for error in errors)
        self.headers: Mapping[str, str] = dict(headers or {})

    def document(self) -> dict[str, Any]:
        """The members of the `application/problem+json` document."""
        document: dict[str, Any] = {"type": f"/problems/{self.slug}", "title": self.title, "status": self.status}
        if self.detail:
            document["detail"] = self.detail
        document["errors"] = [error._asdict() for error in self.errors]
        return document


class MalformedJson(Problem):
    """The body is not JSON as we read it: broken bytes, NaN, a duplicate key, nested too deep."""

    slug, title, status = "malformed_json", "The body is not valid JSON", 400


class BadRequest(Problem):
    """The HTTP message itself cannot be used, for example a header that is not what it should be."""

    slug, title, status = "bad_request", "The request cannot be understood", 400


class Unauthorized(Problem):
    """No key, or none that is valid now."""

    slug, title, status = "unauthorized", "A valid API key is needed", 401

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail, headers={"WWW-Authenticate": 'Bearer realm="centwise"'})


class Forbidden(Problem):
    """The key is valid and lacks the scope."""

    slug, title, status = "forbidden", "The key does not allow this", 403


class NotFound(Problem):
    slug, title, status = "not_found", "There is no such thing", 404


class MethodNotAllowed(Problem):
    slug, title, status = "method_not_allowed", "The method is not allowed here", 405


class RequestTimeout(Problem):
    """The client was too slow in sending its request."""

    slug, title, status = "request_timeout", "The request took too long to arrive", 408


class Conflict(Problem):
    """The request is fine and the state does not allow it."""

    slug, title, status = "conflict", "The present state does not allow this", 409


class PreconditionFailed(Problem):
    """`If-Match` or `If-None-Match` did not hold."""

    slug, title, status = "precondition_failed", "The document has changed", 412


class BodyTooLarge(Problem):
    slug, title, status = "body_too_large", "The body is too large", 413


class HeadersTooLarge(Problem):
    slug, title, status = "headers_too_large", "The headers are too large", 431


class UnsupportedMediaType(Problem):
    slug, title, status = "unsupported_media_type", "The content type is not supported", 415


class ValidationFailed(Problem):
    """The content of the request is wrong; `errors` says where."""

    slug, title, status = "validation", "The request is not valid", 422


class IdempotencyMismatch(Problem):
    """An `Idempotency-Key` was used before with another request."""

    slug, title, status = "idempotency_mismatch", "The key was used for another request", 422


class TooManyRequests(Problem):
    slug, title, status = "too_many", "Too many requests", 429

    def __init__(self, detail: str = "", *, retry_after_seconds: int = 1) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after_seconds)})


class InternalError(Problem):
    """Our own fault. The detail never says more than that."""

    slug, title, status = "internal", "Internal error", 500


class Unavailable(Problem):
    """Not now: the database cannot be reached, a lane is full, the process is stopping."""

    slug, title, status = "unavailable", "Not available right now", 503

    def __init__(self, detail: str = "", *, retry_after_seconds: int = 1) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after_seconds)})


class VersionNotReached(Problem):
    """This process has not yet seen the version that the request asks for."""

    slug, title, status = "version_not_reached", "The version is not in force here yet", 503

    def __init__(self, detail: str = "", *, retry_after_seconds: int = 1) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after_seconds)})
