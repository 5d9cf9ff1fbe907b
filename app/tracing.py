"""Tracing by OpenTelemetry: the spans of requests, of the batches that they wait in, and of background jobs, sent to a collector.

Needs the extra `tracing`; nobody imports it while tracing is off. Spans are kept in memory and exported by a thread of their own, which loses
them, and nothing else, when the collector is away.
"""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Mapping
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.environment_variables import OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_EXPORTER_OTLP_TRACES_PROTOCOL
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, Tracer, get_current_span, set_span_in_context, use_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

# Something has to wait for the last spans when a process ends, and no longer than a deployment does not notice.
FLUSH_S: Final = 2.0
_SERVICE: Final = "centwise"
_PROTOCOL: Final = "http/protobuf"
_PARENT_HEADERS: Final = (b"traceparent", b"tracestate")
_propagator: Final = TraceContextTextMapPropagator()


class Tracing:
    """One process's tracers, configured by the standard OTEL_* variables."""

    def __init__(self) -> None:
        """Raises ValueError for what this exporter cannot do."""
        for name in (OTEL_EXPORTER_OTLP_TRACES_PROTOCOL, OTEL_EXPORTER_OTLP_PROTOCOL):
            if os.environ.get(name, _PROTOCOL) != _PROTOCOL:
                raise ValueError(f"{name}: spans are sent by {_PROTOCOL} only")
        resource = Resource.create() if _is_named() else Resource.create({SERVICE_NAME: _SERVICE})
        self._processor = BatchSpanProcessor(OTLPSpanExporter())
        requests = TracerProvider(resource=resource, shutdown_on_exit=False)
        # A batch is told when one of its requests is: chance has decided there already.
        batches = TracerProvider(resource=resource, sampler=ALWAYS_ON, shutdown_on_exit=False)
        for provider in (requests, batches):
            provider.add_span_processor(self._processor)
        self._requests = requests.get_tracer(_SERVICE)
        self._batches = batches.get_tracer(_SERVICE)

    def begin(self, method: str, headers: Mapping[bytes, bytes]) -> "RequestTrace":
        """Begin the span of a request, within the trace that its `traceparent` names."""
        carrier = {name.decode(): headers[name].decode("latin-1") for name in _PARENT_HEADERS if name in headers}
        parent = _propagator.extract(carrier, context=Context())
        attributes = {"http.request.method": method}
        return RequestTrace(self._requests.start_span(method, parent, SpanKind.SERVER, attributes), method)

    def lane(self, name: str, *, prices: bool = True) -> "LaneTraces":
        """What a lane tells of its batches."""
        return LaneTraces(self._batches, name, prices=prices)

    def round(self, job: str, attributes: Mapping[str, str] | None = None) -> "RoundTrace":
        """Begin the span of one round of a background job. Rounds are few: each is told."""
        return RoundTrace(self._batches, job, attributes or {})

    async def stop(self) -> None:
        """Send what is left, for no longer than `FLUSH_S`."""
        done = asyncio.Event()
        loop = asyncio.get_running_loop()

        def flush() -> None:
            self._processor.shutdown()  # type: ignore[no-untyped-call]
            # The loop is gone when nobody waited so long.
            if not loop.is_closed():
                loop.call_soon_threadsafe(done.set)

        # A thread that the end of the process does not wait for.
        threading.Thread(target=flush, name="flush spans", daemon=True).start()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(done.wait(), FLUSH_S)


class RequestTrace:
    """The span of one request, until it is answered; one that is never ended is never told."""

    __slots__ = ("_method", "_span", "trace_id")

    def __init__(self, span: Span, method: str) -> None:
        self._span = span
        self._method = method
        self.trace_id = f"{span.get_span_context().trace_id:032x}"

    def current(self) -> contextlib.AbstractContextManager[Span]:
        """Within it, lanes know that it is this request which enters them."""
        return use_span(self._span, record_exception=False, set_status_on_exception=False)

    def end(self, *, route: str | None, status: int, attributes: Mapping[str, str]) -> None:
        """The request was answered with `status`; 0 is a client that left before."""
        span = self._span
        span.set_attributes(attributes)
        if route is not None:
            span.update_name(f"{self._method} {route}")
            span.set_attribute("http.route", route)
        if status:
            span.set_attribute("http.response.status_code", status)
        if status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        span.end()


class LaneTraces:
    """Makes the spans of one lane's batches."""

    def __init__(self, tracer: Tracer, name: str, *, prices: bool) -> None:
        self.tracer: Final = tracer
        self.name: Final = name
        self.prices: Final = prices

    def join(self, trace: "BatchTrace | None") -> "BatchTrace | None":
        """The trace of a batch that the current request enters: a new one with the first request that is traced."""
        request = get_current_span().get_span_context()
        if not request.is_valid or not request.trace_flags.sampled:
            return trace
        if trace is None:
            trace = BatchTrace(self)
        trace.links.append(Link(request))
        return trace


class BatchTrace:
    """What is told of a batch: who was in it, and when which part of its work was done. Spans are made of it at the end, off its way."""

    __slots__ = ("_lane", "_marks", "_opened_ns", "has_failed", "links")

    def __init__(self, lane: LaneTraces) -> None:
        self._lane = lane
        self._opened_ns = time.time_ns()
        self._marks: list[tuple[str, int]] = []
        self.links: list[Link] = []
        self.has_failed = False

    def mark(self, part: str) -> None:
        """This part of the work, which began when the one before it was done, is done now."""
        self._marks.append((part, time.time_ns()))

    def end(self, *, entries: int) -> None:
        """Tell the batch: a span with a child for each part."""
        tracer, name = self._lane.tracer, self._lane.name
        attributes: dict[str, str | int] = {"centwise.lane": name, "centwise.entries": entries}
        batch = tracer.start_span(f"{name} batch", Context(), attributes=attributes, links=self.links, start_time=self._opened_ns)
        within = set_span_in_context(batch, Context())
        began_ns = self._opened_ns
        for part, ended_ns in self._marks:
            if part != "price" or self._lane.prices:
                tracer.start_span(part, within, start_time=began_ns).end(ended_ns)
            began_ns = ended_ns
        if self.has_failed:
            batch.set_status(Status(StatusCode.ERROR))
        batch.end(began_ns)


class RoundTrace:
    """The span of one round of a job and of its parts, a trace of its own; one that is never ended is never told."""

    __slots__ = ("_part", "_span", "_tracer", "trace_id")

    def __init__(self, tracer: Tracer, job: str, attributes: Mapping[str, str]) -> None:
        self._tracer = tracer
        self._span = tracer.start_span(f"{job} round", Context(), attributes={"centwise.job": job, **attributes})
        self._part: Span | None = None
        self.trace_id = f"{self._span.get_span_context().trace_id:032x}"

    def begin(self, part: str) -> None:
        """The part of before is done, and this one begins."""
        if self._part is not None:
            self._part.end()
        self._part = self._tracer.start_span(part, set_span_in_context(self._span, Context()))

    def end(self, error: BaseException | None = None, attributes: Mapping[str, int] | None = None) -> None:
        """The round is over; with an error its last part and all of it failed. What came of it are its `attributes`."""
        self._span.set_attributes(attributes or {})
        for span in (self._part, self._span):
            if span is None:
                continue
            if error is not None:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(Status(StatusCode.ERROR))
            span.end()


def _is_named() -> bool:
    named = os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return bool(os.environ.get("OTEL_SERVICE_NAME")) or f"{SERVICE_NAME}=" in named
