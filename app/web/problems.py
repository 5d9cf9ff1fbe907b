"""Problems as the documents that callers get: `application/problem+json`."""

import json

from app.errors import Problem

MEDIA_TYPE = "application/problem+json"


def problem_bytes(problem: Problem) -> bytes:
    """The document of `problem`, for either door."""
    return json.dumps(problem.document(), ensure_ascii=True, separators=(",", ":")).encode()
