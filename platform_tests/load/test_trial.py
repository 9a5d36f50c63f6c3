"""A load test of a real server: started for the test, or running already, and of a model that nobody has released."""

import json
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest

from headrace.access.keyring import Key
from headrace.access.keys import keys_of
from headrace.core.errors import DataError, Refused, StoreError
from headrace.core.ports import free_port
from headrace.evaluation.underload import recorded_load
from headrace.load.address import target_at
from headrace.load.declaration import Plan
from headrace.load.plots import load_plot
from headrace.load.requests import requests_in, requests_of
from headrace.load.server import for_a_test, own_server
from headrace.load.trial import Asked, try_candidate, try_own, try_server
from headrace.releases.release import Request, release_model
from headrace.serving.declaration import Sla
from headrace.serving.journal import journal_folder
from headrace.store.site import Site
from platform_tests.models.shop import gates, judged, model, trained
from platform_tests.serving.bar import ROW, bar, released, running, served

pytestmark = pytest.mark.slow

KEPT = Sla.model_validate({"p99": "9s", "rate": "30/s", "errors": "1%"})
MISSED = Sla.model_validate({"p99": "0.001ms", "rate": "30/s"})
SHORT = Plan(rates=[20], seconds=1, connections=8)
UNDER_LOAD = ["auc >= 0.6", "latency.p99 <= 9s"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = bar(tmp_path_factory.mktemp("bar"))
    released(site)
    return site


def test_a_promise_is_held_against_a_server_that_is_started_for_it(site: Site) -> None:
    report = try_own(site, served(site), Asked("shop", SHORT, KEPT))
    assert [step.rate for step in report.steps] == [20, 30]
    assert all(step.answered == step.asked >= 60 for step in report.steps)
    assert not report.is_missed
    assert report.capacity == 30
    assert "kept   p99 <= 9000ms at 30/s" in report.text
    missed = try_own(site, served(site), Asked("shop", SHORT, MISSED))
    assert missed.is_missed
    assert missed.capacity is None
    assert "MISSED p99 <= 0.001ms at 30/s" in missed.text


def test_the_key_of_a_test_is_revoked_and_its_answers_stay_out_of_the_journal(site: Site) -> None:
    declared = served(site, limits={"per_key": "1/s", "per_address": "1/s", "burst": 1})
    with own_server(for_a_test(declared), site.place) as target:
        report = try_server(Asked("shop", SHORT, None), target, requests_of(site, declared), "a test")
        known = keys_of(site.place, "shop").check(f"Bearer {target.key}".encode(), "predict", datetime.now(UTC))
        assert isinstance(known, Key)
    assert report.steps[0].answered == report.steps[0].asked
    assert {key.state(datetime.now(UTC)) for key in keys_of(site.place, "shop").all()} == {"revoked"}
    with pytest.raises(StoreError, match="Nobody answers"):
        try_server(Asked("shop", SHORT, None), target, [b"{}"], "a test")
    assert not site.tables.exists("shop/predictions/online")
    assert not journal_folder(site.place, "shop").exists()


def test_a_server_that_runs_already_is_asked_at_its_address_and_a_wrong_key_is_an_error(site: Site) -> None:
    bodies = requests_of(site, served(site))
    with running(site, port=free_port(), keys=True) as server:
        key = keys_of(site.place, "shop").create("somebody", ["predict"], datetime.now(UTC), None)
        url = f"http://127.0.0.1:{server.port}/"
        report = try_server(Asked("shop", SHORT, None), target_at(url, key.text), bodies, url)
        assert report.steps[0].answered == report.steps[0].asked
        denied = try_server(Asked("shop", SHORT, KEPT), target_at(url, ""), bodies, url)
        keys_of(site.place, "shop").revoke(key.key.id, datetime.now(UTC))
    assert set(denied.steps[0].errors) == {"401"}
    assert denied.capacity is None
    assert denied.is_missed


def test_what_breaks_the_contract_is_an_error_and_no_answer(site: Site) -> None:
    report = try_own(site, served(site), Asked("shop", SHORT, KEPT), [b'{"customer": 1}'])
    assert set(report.steps[0].errors) == {"422"}
    assert [held.kept for held in report.held] == [False, False]


def test_the_first_candidate_of_a_product_is_tested_before_anything_is_live_and_its_evidence_decides(
    tmp_path: Path,
) -> None:
    site = bar(tmp_path)
    digest = trained(site, model(trees=20, ignore=["customer", "land"]))
    judged(site, digest, *UNDER_LOAD)
    with pytest.raises(Refused, match="No model is live yet"):
        try_own(site, served(site), Asked("shop", SHORT, None))
    untested = release_model(site, Request(digest, "a test", "to see"), gates(*UNDER_LOAD))
    assert untested.outcome == "refused"
    assert "was never load tested: materialize model/loadtest, or: headrace loadtest shop --candidate" in untested.why
    report = try_candidate(site, served(site), Asked("shop", SHORT, KEPT), digest)
    found = recorded_load(site, digest)
    assert found
    assert report.evidence
    assert (found.rate, found.asked, found.p99_ms) == (30, report.evidence.asked, report.evidence.p99_ms)
    assert found.machine["cores"]
    assert found.versions["uvicorn"]
    refused = release_model(site, Request(digest, "a test", "to see"), gates("auc >= 0.6", "latency.p99 <= 0.001ms"))
    assert "latency.p99 <= 0.001ms" in refused.why
    assert f"requests at 30/s in {found.seconds:g} s" in refused.why
    assert release_model(site, Request(digest, "a test", "to see"), gates(*UNDER_LOAD)).outcome == "released"


def test_a_candidate_is_tested_itself_and_not_the_model_that_is_live(site: Site) -> None:
    digest = trained(site, model(trees=5, ignore=["customer", "land"]))
    with own_server(for_a_test(served(site), digest), site.place) as target:
        seen = _model_at(target.port, target.key)
    assert seen == digest[:12]
    live = site.releases.live("shop")
    assert live
    assert live.model != digest


def test_without_a_promise_gates_are_held_at_half_of_the_capacity(site: Site) -> None:
    digest = site.releases.all("shop")[-1].model
    report = try_candidate(site, served(site), Asked("shop", Plan(rates=[20, 40], seconds=1), None), digest)
    found = recorded_load(site, digest)
    assert found
    assert report.capacity
    assert found.rate == report.capacity / 2


def test_the_picture_shows_three_latencies_and_what_became_of_the_requests(site: Site) -> None:
    report = try_own(site, served(site), Asked("shop", Plan(rates=[20, 40], seconds=1, overload=True), None))
    assert report.overload
    assert report.overload.loaded.rate == 120
    latency, answers = load_plot(report).axes
    assert [line.get_label() for line in latency.lines][:3] == ["p50", "p95", "p99"]
    assert list(answers.lines[1].get_xdata()) == [20, 40, 120]


def test_requests_are_rows_of_the_training_set_that_keep_the_contract(site: Site, tmp_path: Path) -> None:
    bodies = requests_of(site, served(site))
    assert len(bodies) > 900
    assert b'"at"' not in bodies[0]
    assert b"returned" not in bodies[0]
    file = tmp_path / "asked.jsonl"
    file.write_bytes(b"\n".join(bodies[:3]) + b"\n\n")
    assert requests_in(file) == bodies[:3]
    for text, said in (("{}\n{", "asked.jsonl:2: this is no JSON"), ("\n", "holds no request"), ("1", "an object")):
        file.write_text(text)
        with pytest.raises(DataError, match=said):
            requests_in(file)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("127.0.0.1:8080", "is no server's address"),
        ("http://127.0.0.1:99999", "has no port that there is"),
        ("http://192.0.2.1:8080", "in clear over the network"),
    ],
)
def test_an_address_that_is_none_or_would_give_the_key_away_is_refused(url: str, said: str) -> None:
    with pytest.raises(Refused, match=said):
        target_at(url, "hr_x")


def _model_at(port: int, key: str) -> str:
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/predict", json.dumps(ROW).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        told: str = json.load(answer)["model"]
    return told
