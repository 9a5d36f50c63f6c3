"""A request's trace, as a collector receives it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from headrace.core.place import Place
from headrace.core.ports import free_port
from headrace.models.meta import load_training_run
from headrace.serving.app import App
from headrace.serving.opened import open_service
from headrace.serving.routes import routes_of
from headrace.serving.traces import Traces, open_traces
from headrace.store.site import Site
from platform_tests.serving.asgi import ask
from platform_tests.serving.bar import ROW, bar, released, running, served, until

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00"
RUN = "6a7e2f0e-0d5c-4e0e-9a53-1f6f2a1c9b77"
BODY = json.dumps(ROW).encode()


@dataclass
class Collector:
    """What has come in by OTLP."""

    endpoint: str = ""
    spans: list[Span] = field(default_factory=list)
    services: set[str] = field(default_factory=set)

    def span(self, name: str) -> Span:
        [found] = [span for span in self.spans if span.name == name]
        return found


@contextmanager
def collecting() -> Iterator[Collector]:
    """Yield a collector that listens on this machine."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["content-length"])))
            assert self.path == "/v1/traces"
            for resource in request.resource_spans:
                collector.services.add(facts(resource.resource)["service.name"])
                for scope in resource.scope_spans:
                    collector.spans.extend(scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()


def facts(of: Any) -> dict[str, Any]:
    """Return attributes as a dictionary."""
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in of.attributes}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    shop = bar(tmp_path_factory.mktemp("traces"))
    digest = released(shop)
    shop.models.record(digest, "origin.shop", {"run": RUN})
    return shop


@contextmanager
def traced(site: Site, endpoint: str) -> Iterator[App]:
    """Yield an application whose requests are traced; all spans have been handed over afterwards."""
    service, traces = open_service(served(site), site.place, print), open_traces("shop", endpoint, site.models)
    try:
        yield App(service, routes_of(service, site.place), None, traces)
    finally:
        service.close()
        if traces:
            traces.close()


def test_a_request_is_a_span_within_that_of_its_caller_and_tells_which_training_made_its_model(site: Site) -> None:
    with collecting() as collector, traced(site, collector.endpoint) as app:
        reply = ask(app, "/v1/predict", BODY, {"traceparent": SAMPLED, "x-request-id": "r-1"})
        service = app.service
    span, live = collector.span("POST /v1/predict"), service.watch.lineup.live
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert reply.headers["traceparent"] == f"00-{TRACE}-{span.span_id.hex()}-01"
    assert facts(span) == {
        "http.request.method": "POST",
        "http.route": "/v1/predict",
        "http.response.status_code": 200,
        "headrace.request": "r-1",
        "headrace.release": 1,
        "headrace.model": live.model.digest,
        "headrace.features_version": service.bound.view.version,
        "headrace.rows": 1,
        "headrace.training_run": RUN,
    }
    assert collector.services == {"headrace-shop"}


@pytest.mark.parametrize("body", [BODY, b"[" + BODY + b"," + BODY + b"]"], ids=["one row", "two rows"])
def test_lookup_and_prediction_are_spans_within_it_one_behind_the_other(site: Site, body: bytes) -> None:
    with collecting() as collector, traced(site, collector.endpoint) as app:
        ask(app, "/v1/predict", body)
    whole, lookup, predict = (collector.span(name) for name in ("POST /v1/predict", "lookup", "predict"))
    assert {lookup.parent_span_id, predict.parent_span_id} == {whole.span_id}
    moments = [lookup.start_time_unix_nano, lookup.end_time_unix_nano]
    moments += [predict.start_time_unix_nano, predict.end_time_unix_nano]
    assert moments == sorted(moments)
    slack = 1_000_000
    assert whole.start_time_unix_nano - slack <= moments[0]
    assert moments[-1] <= whole.end_time_unix_nano + slack


def test_a_caller_that_is_not_sampled_has_no_spans_and_is_answered_all_the_same(site: Site) -> None:
    with collecting() as collector, traced(site, collector.endpoint) as app:
        reply = ask(app, "/v1/predict", BODY, {"traceparent": UNSAMPLED})
    assert reply.status == 200
    assert collector.spans == []


def test_a_share_of_the_requests_is_traced_where_the_environment_says_so(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.0")
    with collecting() as collector, traced(site, collector.endpoint) as app:
        ask(app, "/v1/predict", BODY)
        ask(app, "/v1/predict", BODY, {"traceparent": SAMPLED})
    assert {span.trace_id.hex() for span in collector.spans} == {TRACE}


def test_a_request_that_breaks_the_contract_has_its_status_and_no_value_of_it(site: Site) -> None:
    with collecting() as collector, traced(site, collector.endpoint) as app:
        ask(app, "/v1/predict", json.dumps(ROW | {"country": "canary"}).encode())
    [span] = collector.spans
    assert facts(span)["http.response.status_code"] == 422
    assert "canary" not in str(span)
    assert span.status.code == Status.STATUS_CODE_UNSET


def test_other_routes_are_spans_by_their_names_and_what_only_operators_ask_is_none(site: Site) -> None:
    with collecting() as collector, traced(site, collector.endpoint) as app:
        ask(app, "/v1/model", headers={"traceparent": SAMPLED}, method="GET")
        ask(app, "/healthz", method="GET")
        ask(app, "/nowhere/canary", method="GET")
    [span] = collector.spans
    assert (span.name, facts(span)["http.route"], span.trace_id.hex()) == ("GET /v1/model", "/v1/model", TRACE)


def test_a_collector_that_is_away_costs_no_request(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    with traced(site, f"http://127.0.0.1:{free_port()}") as app:
        assert ask(app, "/v1/predict", BODY).status == 200
    assert "xport" in caplog.text


def test_a_model_whose_origin_is_damaged_or_unknown_is_traced_without_it(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    service = open_service(served(site), site.place, print)
    digest = service.watch.lineup.live.model.digest
    service.close()
    record = site.place.models / "records" / digest / "origin.shop.json"
    before = record.read_text()
    record.write_text("{")
    with collecting() as collector, traced(site, collector.endpoint) as app:
        assert ask(app, "/v1/predict", BODY).status == 200
    record.write_text(before)
    assert "headrace.training_run" not in facts(collector.span("POST /v1/predict"))
    assert "torn or edited" in caplog.text
    assert load_training_run(site.models, digest, "another") == ""


def test_traces_go_where_the_environment_says_and_nowhere_else(tmp_path: Path, site: Site) -> None:
    named = Place.of_environment(tmp_path, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"})
    assert named.traces_to == "http://collector:4318"
    assert Place.of_environment(tmp_path, {}).traces_to is None
    assert open_traces("shop", None, site.models) is None
    assert Traces.__init__.__annotations__["endpoint"] is str


@pytest.mark.slow
def test_a_server_hands_its_spans_to_the_collector(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting() as collector:
        monkeypatch.setenv("SHOP_TRACES", collector.endpoint)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        with running(site, port=free_port()) as server:
            reply = server.ask("/v1/predict", ROW, {"traceparent": SAMPLED})
            until(lambda: collector.spans)
        assert reply.headers["traceparent"].startswith(f"00-{TRACE}-")
    assert {span.trace_id.hex() for span in collector.spans} == {TRACE}
