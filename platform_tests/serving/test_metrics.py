"""What a server shows to Prometheus."""

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families as families

from headrace.core.ports import free_port
from headrace.serving.metrics import Exposition, Refusals
from headrace.serving.opened import open_service
from headrace.serving.service import Service
from headrace.store.measured import MeasuredDrift, MovedColumn, read_drift, write_drift
from headrace.store.site import Site
from platform_tests.serving.bar import ROW, Running, bar, released, running, served, until
from platform_tests.serving.prometheus_server import needs_prometheus, promtool

PRICED = {"price": {"cpu_hour": 0.04, "currency": "EUR"}, "sla": {"p99": "80ms", "errors": "1%", "features_age": "2h"}}
Labels = frozenset[tuple[str, str]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    shop = bar(tmp_path_factory.mktemp("metrics"))
    released(shop)
    return shop


@pytest.fixture
def service(site: Site) -> Iterator[Service]:
    opened = open_service(served(site, online={}, **PRICED), site.place, print)
    yield opened
    opened.close()


def told(text: str) -> dict[str, dict[Labels, float]]:
    """Return the samples of a page by name and labels, without the product's."""
    samples: dict[str, dict[Labels, float]] = {}
    for family in families(text):
        for sample in family.samples:
            labels = frozenset((k, v) for k, v in sample.labels.items() if k != "product")
            samples.setdefault(sample.name, {})[labels] = sample.value
    return samples


def shown(service: Service, drift: MeasuredDrift | None = None) -> dict[str, dict[Labels, float]]:
    return told(Exposition(service, lambda: drift).shown("")[0].decode())


def of(**labels: str) -> Labels:
    return frozenset(labels.items())


def body(**changes: object) -> bytes:
    return json.dumps(ROW | changes).encode()


def test_scores_are_shown_by_release_with_their_sum_and_in_buckets_that_grow(service: Service) -> None:
    answers = [json.loads(service.answer(service.call(body(price=price)))) for price in (-2.0, 0.0, 2.0)]
    found = shown(service)
    assert found["headrace_rows_total"][of()] == 3.0
    assert found["headrace_predictions_count"][of(release="1")] == 3.0
    scores = [answer["prediction"] for answer in answers]
    assert found["headrace_predictions_sum"][of(release="1")] == pytest.approx(sum(scores))
    buckets = {float(dict(labels)["le"]): count for labels, count in found["headrace_predictions_bucket"].items()}
    for edge, count in buckets.items():
        assert count == sum(score <= edge for score in scores)


def test_which_model_answers_is_shown_and_how_old_it_and_its_features_are(service: Service) -> None:
    found, live = shown(service), service.watch.lineup.live
    [facts] = found["headrace_model_info"]
    assert dict(facts) == {"release": "1", "model": live.model.digest[:12], "trainer": "lightgbm"}
    assert 0 <= found["headrace_model_age_seconds"][of()] < found["headrace_model_data_age_seconds"][of()]
    assert found["headrace_features_version"][of()] == service.bound.view.version
    assert found["headrace_features_age_seconds"][of()] >= 0
    assert found["headrace_model_refused"][of()] == 0
    assert found["headrace_sla_p99_seconds"][of()] == 0.08
    assert found["headrace_sla_features_age_seconds"][of()] == 7200


def test_the_cost_is_the_processor_time_at_the_declared_price(service: Service) -> None:
    found = shown(service)
    spent = found["headrace_cpu_seconds_total"][of(process="worker")]
    assert spent > 0
    assert found["headrace_cost_total"][of(currency="EUR")] == pytest.approx(spent / 3600 * 0.04)


def test_without_a_price_no_cost_is_shown(site: Site) -> None:
    opened = open_service(served(site), site.place, print)
    try:
        assert "headrace_cost_total" not in shown(opened)
    finally:
        opened.close()


def test_the_drift_of_the_live_model_is_shown_and_that_of_another_is_not(service: Service) -> None:
    moved = [MovedColumn(column="price", measure="psi", value=0.4, limit=0.25)]
    live = service.watch.lineup.live.model.digest
    drift = MeasuredDrift.model_validate({"model": live, "day": "2024-04-01", "columns": moved})
    found = shown(service, drift)
    assert found["headrace_drift_score"] == {of(feature="price", measure="psi"): 0.4}
    assert found["headrace_drift_limit"] == {of(feature="price", measure="psi"): 0.25}
    assert "headrace_drift_score" not in shown(service, drift.model_copy(update={"model": "another"}))


def test_a_damaged_file_of_drift_is_said_and_everything_else_is_shown(
    service: Service, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    drift = MeasuredDrift.model_validate({"model": "m", "day": "2024-04-01", "columns": []})
    write_drift(site.place, "shop", drift)
    assert read_drift(site.place, "shop") == drift
    path = site.place.logs / "shop" / "drift.json"
    path.write_text("{")
    page = Exposition(service, lambda: read_drift(site.place, "shop")).shown("")[0]
    path.unlink()
    assert "headrace_model_info" in page.decode()
    assert "Materialize shop/monitoring/drift again" in caplog.text
    assert read_drift(site.place, "shop") is None


def test_open_metrics_are_given_to_whoever_asks_for_them(service: Service) -> None:
    page, kind = Exposition(service, lambda: None).shown("application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text; version=1.0.0")
    assert page.decode().endswith("# EOF\n")
    assert {family.name for family in open_families(page.decode())} >= {"headrace_requests", "headrace_model"}


@needs_prometheus
def test_prometheus_own_lint_finds_nothing_to_say(service: Service) -> None:
    service.meter.refused(429)
    page = Exposition(service, lambda: None).shown("")[0]
    assert promtool("check", "metrics", given=page) == ""


def test_what_the_protocol_refuses_is_brought_over_once(service: Service) -> None:
    counted = Counter({401: 2})
    bring = Refusals(service.meter, counted)
    bring()
    counted.update({401: 1, 429: 5})
    bring()
    bring()
    found = shown(service)["headrace_refused_total"]
    assert (found[of(status="401")], found[of(status="429")], found[of(status="503")]) == (3.0, 5.0, 0.0)


def asked(server: Running) -> Mapping[str, Mapping[Labels, float]]:
    page = server.ask("/metrics")
    assert page.status == 200
    return told(page.body.decode())


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def workers(server: Running) -> list[int]:
    """Return the worker processes of a server: Python's tracker of resources is none."""
    own = children(server.process.pid)
    return [pid for pid in own if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@pytest.mark.slow
def test_any_worker_shows_what_all_have_counted_also_those_that_were_killed(site: Site) -> None:
    predicted = of(route="/v1/predict", status="200")
    with running(site, served(site, online={}, **PRICED), port=free_port(), workers=2) as server:
        for _ in range(40):
            assert server.ask("/v1/predict", ROW).status == 200
        server.ask("/v1/predict", b"{")
        server.ask("/v1/predict", b" " * 2_000_000)
        seen = [asked(server)["headrace_requests_total"] for _ in range(8)]
        assert {page[predicted] for page in seen} == {40.0}
        assert seen[-1][of(route="/v1/predict", status="400")] == 1.0
        until(lambda: asked(server)["headrace_refused_total"].get(of(status="413")) == 1.0)
        until(lambda: asked(server)["headrace_workers"][of()] == 2.0)
        for worker in workers(server):
            os.kill(worker, signal.SIGKILL)
        until(lambda: answered_again(server))
        server.ask("/v1/predict", ROW)
        found = asked(server)
        assert found["headrace_requests_total"][predicted] == 41.0
        until(lambda: asked(server)["headrace_workers"][of()] == 2.0)
        assert found["headrace_cpu_seconds_total"].keys() == {of(process="worker"), of(process="supervisor")}
        folders = list(counted_in(server))
        assert folders
    assert not any(folder.exists() for folder in folders)


def answered_again(server: Running) -> bool:
    try:
        return server.ask("/healthz").status == 200
    except OSError:
        return False


def counted_in(server: Running) -> set[Path]:
    """Return the folders whose files a server has mapped to count in."""
    maps = Path(f"/proc/{server.process.pid}/maps").read_text().splitlines()
    return {Path(line.split()[-1]).parent for line in maps if line.endswith(".cells")}
