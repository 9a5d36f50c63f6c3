"""Traces: a span for each request, that leads to the training of the model that answered it. OpenTelemetry's one door."""

import logging
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import TYPE_CHECKING, NamedTuple

from headrace.core.errors import StoreError
from headrace.models.meta import load_training_run
from headrace.store.models import Models
from headrace.store.releases import Release

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

NAMED = frozenset({b"traceparent", b"tracestate"})
REMEMBERED = 4
WAIT_SECONDS = 2.0
"""How long a collector may take to accept some spans: what it does not accept by then is dropped, and that is logged."""
_NS = 1e9
log = logging.getLogger("headrace.serving")


class Moments(NamedTuple):
    """When a lookup of features began and ended, and when its rows were scored, by `time.perf_counter`."""

    looked: float
    found: float
    scored: float


class Traces:
    """Makes the spans of one worker, and hands them to a collector by OTLP over HTTP, from a thread of its own."""

    def __init__(self, product: str, endpoint: str, run_of: Callable[[str], str]) -> None:
        """Hand spans to the collector at `endpoint`; `run_of` says of a model's digest which run has trained it.

        Which requests are sampled say OpenTelemetry's own variables: by default each whose caller does not say otherwise.
        """
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        facts = {"service.name": f"headrace-{product}", "headrace.product": product}
        self._provider = TracerProvider(resource=Resource.create(facts), shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=WAIT_SECONDS)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("headrace.serving", version("headrace"))
        self._propagated = TraceContextTextMapPropagator()
        self._run_of, self._runs = run_of, dict[str, str]()

    def begin(self, method: str, route: str, headers: Iterable[tuple[bytes, bytes]]) -> "Trace":
        """Return the trace of a request, within that of its caller if it brings one by W3C's headers."""
        from opentelemetry.trace import SpanKind

        carried = {name.decode(): value.decode("latin-1") for name, value in headers if name in NAMED}
        around = self._propagated.extract(carried)
        span = self._tracer.start_span(f"{method} {route}", around, SpanKind.SERVER)
        if span.is_recording():
            span.set_attributes({"http.request.method": method, "http.route": route})
        return Trace(span, self._tracer, self._run)

    def close(self) -> None:
        """Hand over what waits, as far as the collector answers soon."""
        self._provider.shutdown()

    def _run(self, digest: str) -> str:
        if digest not in self._runs:
            self._runs = {**dict(list(self._runs.items())[-REMEMBERED:]), digest: self._run_of(digest)}
        return self._runs[digest]


class Trace:
    """The span of one request, and those within it."""

    def __init__(self, span: "Span", tracer: "Tracer", run_of: Callable[[str], str]) -> None:
        self._span, self._tracer, self._run_of = span, tracer, run_of
        self._epoch = time.time_ns() - time.perf_counter_ns()

    @property
    def id(self) -> str:
        """The id of its trace, in 32 hexadecimal digits."""
        return f"{self._span.get_span_context().trace_id:032x}"

    @property
    def header(self) -> bytes:
        """The header `traceparent` by which the caller finds it."""
        context = self._span.get_span_context()
        return f"00-{self.id}-{context.span_id:016x}-{int(context.trace_flags):02x}".encode()

    def name(self, words: str, route: str) -> None:
        """Say by which route it was answered, where that was not known when it began."""
        self._span.update_name(words)
        self._span.set_attribute("http.route", route)

    def answered(self, release: Release, features: int, rows: int, moments: Moments) -> None:
        """Say by which release and which version of the features its rows were answered, and what took how long."""
        span = self._span
        if not span.is_recording():
            return
        facts: dict[str, str | int] = {
            "headrace.release": release.number,
            "headrace.model": release.model,
            "headrace.features_version": features,
            "headrace.rows": rows,
        }
        run = self._run_of(release.model)
        span.set_attributes(facts | ({"headrace.training_run": run} if run else {}))
        self._within("lookup", moments.looked, moments.found)
        self._within("predict", moments.found, moments.scored)

    def end(self, status: int, request: str = "") -> None:
        """End it with the request's answer."""
        from opentelemetry.trace import StatusCode

        span = self._span
        if span.is_recording():
            span.set_attribute("http.response.status_code", status)
            if request:
                span.set_attribute("headrace.request", request)
            if status >= 500:
                span.set_status(StatusCode.ERROR)
        span.end()

    def _within(self, name: str, began: float, ended: float) -> None:
        from opentelemetry.trace import set_span_in_context

        span = self._tracer.start_span(name, set_span_in_context(self._span), start_time=self._moment(began))
        span.end(self._moment(ended))

    def _moment(self, counted: float) -> int:
        """Return a moment of `time.perf_counter` in nanoseconds since 1970."""
        return int(counted * _NS) + self._epoch


def open_traces(product: str, endpoint: str | None, models: Models) -> Traces | None:
    """Return what makes spans; None where nobody says to which collector they should go."""
    if not endpoint:
        return None

    def run_of(digest: str) -> str:
        try:
            return load_training_run(models, digest, product)
        except StoreError as error:
            # A request is answered whether or not anybody knows where its model came from.
            log.error("%s", error)
            return ""

    return Traces(product, endpoint, run_of)
