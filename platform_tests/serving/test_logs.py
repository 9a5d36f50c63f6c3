"""What a server writes to its log: JSON, and nothing of what it is asked."""

import json
import logging
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.core.ports import free_port
from headrace.models.quick import Quick
from headrace.serving.app import App
from headrace.serving.cells import Series
from headrace.serving.logs import MOST_A_SECOND, JsonLines, Line, RequestLines
from headrace.serving.opened import open_service
from headrace.serving.routes import routes_of
from headrace.serving.service import Service
from headrace.store.site import Site
from platform_tests.serving.asgi import ask
from platform_tests.serving.bar import ROW, Running, bar, released, running, served, until

CANARIES = [f"canary{number:02d}" for number in range(20)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    shop = bar(tmp_path_factory.mktemp("logs"))
    released(shop)
    return shop


@pytest.fixture
def service(site: Site) -> Iterator[Service]:
    opened = open_service(served(site), site.place, print)
    yield opened
    opened.close()


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [json.loads(JsonLines("shop").format(record)) for record in caplog.records]


def test_a_line_says_when_how_bad_of_which_product_and_worker_and_what() -> None:
    record = logging.LogRecord("headrace.serving", logging.ERROR, __file__, 1, "Release %d fails", (3,), None)
    told = json.loads(JsonLines("shop").format(record))
    assert told.pop("time").endswith("+00:00")
    assert told == {
        "level": "error",
        "product": "shop",
        "worker": record.process,
        "event": "alarm",
        "message": "Release 3 fails",
    }


def test_of_an_exception_the_log_holds_type_and_place_and_not_what_it_says() -> None:
    try:
        float(CANARIES[0])
    except ValueError:
        record = logging.LogRecord("uvicorn.error", logging.ERROR, __file__, 1, CANARIES[1], None, sys.exc_info())
    line = JsonLines("shop").format(record)
    assert "canary" not in line
    told = json.loads(line)
    assert (told["event"], told["error"]) == ("uvicorn.error", "ValueError")
    assert "test_logs.py" in told["at"][0]


def test_a_line_break_in_what_is_said_begins_no_line() -> None:
    record = logging.LogRecord("headrace.serving", logging.ERROR, __file__, 1, 'a\nb"c', None, None)
    line = JsonLines("shop").format(record)
    assert "\n" not in line
    assert json.loads(line)["message"] == 'a\nb"c'


def test_only_what_fails_or_takes_long_is_said_unless_all_is_asked_for(
    site: Site, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "headrace")
    body = json.dumps(ROW).encode()
    ask(App(service, routes_of(service, site.place), RequestLines(60.0)), "/v1/predict", body)
    assert lines(caplog) == []
    ask(App(service, routes_of(service, site.place), RequestLines(0.0)), "/v1/predict", body)
    ask(
        App(service, routes_of(service, site.place), RequestLines(60.0, every=True)),
        "/v1/predict",
        body,
        {"x-request-id": "r-7"},
    )
    ask(App(service, routes_of(service, site.place), RequestLines(60.0, every=True)), "/healthz", method="GET")
    slow, answered, other = lines(caplog)
    assert (slow["event"], slow["level"], slow["route"]) == ("slow", "warning", "/v1/predict")
    assert (answered["event"], answered["status"], answered["request"]) == ("answered", 200, "r-7")
    assert (other["route"], other["status"]) == ("/healthz", 200)


def test_a_request_that_fails_by_the_servers_fault_is_said_with_the_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    unpublished = bar(tmp_path)
    released(unpublished)
    shutil.rmtree(unpublished.place.online)
    service = open_service(served(unpublished), unpublished.place, print)
    try:
        reply = ask(
            App(service, routes_of(service, unpublished.place), RequestLines(60.0)),
            "/v1/predict",
            json.dumps(ROW).encode(),
        )
    finally:
        service.close()
    [line] = lines(caplog)
    assert reply.status == 503
    assert (line["event"], line["level"], line["status"]) == ("failed", "error", 503)
    assert line["why"].startswith("No features of shop are published yet")


def test_a_trace_is_said_with_its_request(caplog: pytest.LogCaptureFixture) -> None:
    RequestLines(0.0).add(Line("/v1/predict", 200, 0.1, "r-8", "ab" * 16))
    [line] = lines(caplog)
    assert (line["request"], line["trace"], line["ms"]) == ("r-8", "ab" * 16, 100.0)


def test_a_prediction_that_fails_as_nobody_has_foreseen_is_counted_and_said_as_500(
    site: Site, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    def unforeseen(_: Any) -> Any:
        raise ValueError(CANARIES[0])

    line = service.watch.lineup
    broken = Quick(line.live.model.digest, line.live.model.meta, line.live.model.tuned, unforeseen)
    service.watch.lineup = line._replace(live=line.live._replace(model=broken))
    app, body = App(service, routes_of(service, site.place), RequestLines(60.0)), json.dumps(ROW).encode()
    reply = ask(app, "/v1/predict", body)
    assert (reply.status, reply.headers["content-type"]) == (500, "application/problem+json")
    assert reply.told["detail"] == "The server failed; its log says how."
    assert app.answers([([], body)])[0].startswith(
        b"HTTP/1.1 500 Internal Server Error\r\ncontent-type: application/problem+json"
    )
    said = lines(caplog)
    assert len(said) == 4
    for error, told in zip(said[::2], said[1::2], strict=True):
        assert (error["error"], "canary" in str(error)) == ("ValueError", False)
        assert (told["event"], told["route"], told["status"]) == ("failed", "/v1/predict", 500)
    assert sum(service.meter.totals()[Series("request_seconds", ("/v1/predict", "500"))][:-1]) == 2.0


def test_what_nobody_has_foreseen_is_counted_and_said_as_500_and_goes_on_upwards(
    site: Site, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    async def unforeseen(*_: Any) -> None:
        raise ValueError(CANARIES[0])

    with pytest.raises(ValueError, match=CANARIES[0]):
        ask(App(service, unforeseen, RequestLines(60.0)), "/v1/model", method="GET")
    [line] = lines(caplog)
    assert (line["event"], line["status"], "canary" in str(line)) == ("failed", 500, False)
    assert sum(service.meter.totals()[Series("request_seconds", ("none", "500"))][:-1]) == 1.0


def test_a_storm_of_failures_writes_so_many_lines_a_second_and_counts_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    said = RequestLines(60.0)
    for _ in range(10 * MOST_A_SECOND):
        said.add(Line("/v1/predict", 503, 0.1))
    assert len(caplog.records) < 10 * MOST_A_SECOND
    caplog.clear()

    def is_said_again() -> bool:
        said.add(Line("/v1/predict", 503, 0.1))
        return bool(caplog.records)

    until(is_said_again)
    assert lines(caplog)[0]["unsaid"] >= 8 * MOST_A_SECOND


def whisper(server: Running) -> None:
    """Ask for things with a canary in each place that a request has."""
    canaries = iter(CANARIES)
    for column in ("customer", "country", "land", "price", "gift"):
        server.ask("/v1/predict", ROW | {column: next(canaries)})
        server.ask("/v1/predict", [ROW, ROW | {column: next(canaries)}])
    server.ask("/v1/predict", ROW | {next(canaries): 1})
    server.ask("/v1/predict", f'{{"customer": "{next(canaries)}'.encode())
    server.ask("/v1/predict", next(canaries).encode())
    server.ask(f"/v1/predict?key={next(canaries)}", ROW)
    server.ask("/v1/predict", ROW, {"authorization": f"Bearer {next(canaries)}"})
    server.ask("/v1/predict", ROW, {"x-api-key": next(canaries), "cookie": f"s={next(canaries)}"})
    server.ask(f"/{next(canaries)}")
    server.ask("/v1/explain", ROW | {"customer": next(canaries)})
    server.ask("/v1/predict", ROW, {"user-agent": next(canaries)})
    assert next(canaries, None) is None


@pytest.mark.slow
def test_of_twenty_canaries_in_requests_none_is_in_the_log_although_each_request_is(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_ACCESS_LOG", "1")
    with running(site, port=free_port()) as server:
        whisper(server)
        whisper(server)
        text = server.log.read_text
        until(lambda: sum(json.loads(line).get("route") != "/healthz" for line in text().splitlines()) >= 36)
    told = [json.loads(line) for line in server.log.read_text().splitlines()]
    assert {line["product"] for line in told} == {"shop"}
    assert {line["status"] for line in told if line.get("route") == "/v1/predict"} == {200, 400, 422}
    assert [canary for canary in CANARIES if canary in server.log.read_text()] == []
