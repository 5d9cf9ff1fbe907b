"""A collector of OpenTelemetry: takes spans by OTLP over HTTP, as the service sends them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Told(NamedTuple):
    """A span, the name of the service that told it, and the part of the service that made it."""

    service: str
    by: str
    span: Span

    @property
    def attributes(self) -> dict[str, str | int]:
        values = ((one.key, one.value) for one in self.span.attributes)
        return {key: value.string_value or value.int_value for key, value in values}


class Collector:
    """What came, and where to send it."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.paths: set[str] = set()
        self.endpoint = ""

    def named(self, name: str) -> list[Told]:
        """The spans of this name."""
        return [one for one in self.told if one.span.name == name]


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.paths.add(self.path)
            if self.path != "/v1/traces":
                self.send_error(404)
                return
            request = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["content-length"])))
            for resource in request.resource_spans:
                [service] = [one.value.string_value for one in resource.resource.attributes if one.key == "service.name"]
                collector.told += [
                    Told(service, scope.scope.name, span) for scope in resource.scope_spans for span in scope.spans
                ]
            body = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.endpoint = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()
