"""The service's HTTP API as its own tools call it: the standard library only, one kept-open connection."""

import http.client
import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode, urlsplit


class ApiProblem(Exception):
    """The service answered with an error status; `problem` is its problem document, or the text where it is none."""

    def __init__(self, method: str, path: str, status: int, problem: Any) -> None:
        super().__init__(f"{method} {path}: {status} {json.dumps(problem, ensure_ascii=False)[:2000]}")
        self.status = status
        self.problem = problem


class ApiClient:
    """One connection to a running service; not for use by several threads at once.

    Raises `ValueError` for a base URL that is not http or https, `OSError` where nobody answers.
    """

    def __init__(self, base_url: str, key: str | None = None, *, timeout_s: float = 600.0) -> None:
        url = urlsplit(base_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError(f"not an http address: {base_url!r}")
        kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(url.hostname, url.port, timeout=timeout_s)
        self._prefix = url.path.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()

    def exchange(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, str, bytes]:
        """(status, media type, body) of the reply. No status raises."""
        target = self._prefix + path + (f"?{urlencode(query)}" if query else "")
        content_type = {} if body is None else {"Content-Type": "application/json"}
        self._connection.request(method, target, body, {**self._headers, **content_type, **(headers or {})})
        reply = self._connection.getresponse()
        return reply.status, reply.getheader("Content-Type") or "", reply.read()

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
    ) -> tuple[int, Any]:
        """(status, decoded reply): JSON where the reply is JSON, else its text. No status raises."""
        status, media_type, content = self.exchange(
            method, path, query=query, body=body, headers=None if body is None else {"Content-Type": content_type}
        )
        if "json" in media_type.partition(";")[0] and "ndjson" not in media_type:
            return status, json.loads(content) if content else None
        return status, content.decode("utf-8", "replace")

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
    ) -> Any:
        """The decoded reply of a call that must succeed; `ApiProblem` for a status of 400 and above."""
        status, reply = self.send(method, path, query=query, body=body, content_type=content_type)
        if status >= 400:
            raise ApiProblem(method, path, status, reply)
        return reply
