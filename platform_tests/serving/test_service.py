"""The service: an answer is what training would say of the same row, whatever the row comes by."""

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from headrace.core.errors import Refused
from headrace.models.predict import load_predictor
from headrace.online.gather import gather
from headrace.online.skew import check_skew
from headrace.serving.about import explanation, model_facts
from headrace.serving.gather import gather_predictions
from headrace.serving.opened import open_service
from headrace.serving.problem import Problem
from headrace.serving.service import Service
from headrace.store.site import Site
from platform_tests.models.shop import LABEL, plain, trained
from platform_tests.online.redis_server import running_redis
from platform_tests.serving.bar import CUSTOMERS, FEATURES, ROW, bar, published, released, served

LOADED = """
import sys
from pathlib import Path
from headrace.core.place import Place
from headrace.serving.opened import open_service
from headrace.serving.served import Served
import headrace.serving.server
service = open_service(Served.model_validate_json(sys.argv[1]), Place.at(Path(sys.argv[2])), print)
service.answer(service.call(sys.argv[3].encode()))
service.close()
# pandas is loaded by pyarrow itself, wherever it is installed.
print(sorted(name for name in ("dagster", "mlflow", "polars", "duckdb", "deltalake", "lightgbm", "scipy") if name in sys.modules))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = bar(tmp_path_factory.mktemp("bar"))
    released(site)
    return site


@pytest.fixture
def service(site: Site) -> Iterator[Service]:
    yield from opened(site)


def opened(site: Site, **declared: Any) -> Iterator[Service]:
    service = open_service(served(site, **declared), site.place, print)
    yield service
    service.close()


def one(service: Service, row: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(service.answer(service.call(json.dumps(row).encode())))
    return told


def many(service: Service, rows: list[dict[str, Any]]) -> Any:
    [answer] = service.answer_all([service.call(json.dumps(rows).encode())])
    return json.loads(answer) if isinstance(answer, bytes) else answer


def rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    chance = random.Random(seed)
    return [
        {
            "customer": f"c{chance.randrange(CUSTOMERS + 10)}",
            "price": chance.choice([None, chance.gauss(0, 1), 3]),
            "country": chance.choice(["DE", "FR", "PT"]),
            "land": None,
            "gift": chance.random() < 0.5,
        }
        for _ in range(count)
    ]


def as_trained(rows: list[dict[str, Any]]) -> pa.Table:
    """Return requests as the point-in-time join would give them."""
    known = [int(row["customer"][1:]) for row in rows]
    visits = [40 + n if n < CUSTOMERS else None for n in known]
    return pa.table(
        {
            "price": pa.array([row["price"] for row in rows], pa.float64()),
            "country": [row["country"] for row in rows],
            "gift": [row["gift"] for row in rows],
            "habit_visits": pa.array(visits, pa.int64()),
            "habit_mean": pa.array([v / 10.0 if v else None for v in visits], pa.float64()),
        }
    )


def test_answers_are_the_scores_of_training_to_the_last_bit(site: Site, service: Service) -> None:
    asked = rows(200)
    release = site.releases.live("shop")
    assert release
    expected = load_predictor(site.models, release.model).predict(as_trained(asked)).tolist()
    assert [one(service, row)["prediction"] for row in asked] == expected
    assert many(service, asked)["predictions"] == expected


def test_an_answer_says_by_which_release_model_and_features(service: Service, site: Site) -> None:
    told = one(service, ROW)
    release = site.releases.live("shop")
    assert release
    assert (told["release"], told["model"]) == (release.number, release.model[:12])
    assert told["features"] == 1
    assert set(told) == {"prediction", "release", "model", "features", "request"}


def test_what_was_answered_is_kept(tmp_path: Path) -> None:
    site = bar(tmp_path)
    released(site)
    for service in opened(site):
        told = one(service, ROW | {"order_id": "o9", "at": "2030-05-01T12:00:00Z"})
        many(service, [ROW, ROW])
    assert gather_predictions(site).rows == 3
    kept = {(row["request"], row["row"]): row for row in site.tables.read("shop/predictions/online").to_pylist()}
    row = kept[told["request"], 0]
    assert (row["score"], row["entity"], row["role"], row["status"]) == (told["prediction"], "o9", "live", 200)
    assert (row["customer"], row["habit_visits"], row["at"].year) == ("c7", 47, 2030)
    assert row["milliseconds"] > 0


def test_a_declared_share_is_kept(tmp_path: Path) -> None:
    site = bar(tmp_path)
    released(site)
    for service in opened(site, predictions={"share": "20%"}):
        for _ in range(500):
            one(service, ROW)
    assert 50 < gather_predictions(site).rows < 160


def test_requests_that_go_together_are_answered_as_alone(service: Service) -> None:
    asked = rows(40, seed=1)
    calls = [service.call(json.dumps(row).encode()) for row in asked]
    together = [json.loads(answer)["prediction"] for answer in service.answer_all(calls) if isinstance(answer, bytes)]
    assert together == [one(service, row)["prediction"] for row in asked]


def test_a_request_that_cannot_be_answered_spoils_no_other(site: Site, service: Service) -> None:
    early = ROW | {"at": "1999-01-01T00:00:00Z"}
    calls = [service.call(json.dumps(row).encode()) for row in (ROW, early, ROW)]
    answers = service.answer_all(calls)
    assert [isinstance(answer, bytes) for answer in answers] in ([True, False, True], [True, True, True])


def test_features_computed_of_the_request_are_those_of_training(tmp_path: Path) -> None:
    site = bar(tmp_path, computed=True)
    digest = released(site)
    asked = rows(50)
    expected = as_trained(asked)
    worth = [
        None if r["price"] is None or v is None else r["price"] * v
        for r, v in zip(asked, expected["habit_visits"].to_pylist(), strict=True)
    ]
    expected = expected.append_column("basket_worth", pa.array(worth, pa.float64()))
    for service in opened(site):
        service.call(json.dumps(ROW).encode())
        assert not service.lookups.is_plain
        assert many(service, asked)["predictions"] == load_predictor(site.models, digest).predict(expected).tolist()


@pytest.mark.parametrize("trainer", ["xgboost", "sklearn:sklearn.ensemble.HistGradientBoostingClassifier"])
def test_a_model_of_another_trainer_answers_too(tmp_path: Path, trainer: str) -> None:
    site = bar(tmp_path)
    released(site)
    digest = trained(site, plain(trainer, ignore=["customer", "land"]))
    decision = {
        "outcome": "released",
        "model": digest,
        "at": site.clock.now(),
        "who": "a test",
        "why": "",
        "evidence": {},
    }
    site.releases.decide("shop", decision, after=1)
    asked = rows(20)
    for service in opened(site):
        expected = load_predictor(site.models, digest).predict(as_trained(asked))
        assert np.allclose([one(service, row)["prediction"] for row in asked], expected, rtol=0, atol=1e-12)
        with pytest.raises(Problem, match="does not say here") as caught:
            explanation(service, json.dumps(ROW).encode())
        assert caught.value.status == 501


def test_reasons_sum_up_to_the_raw_score(service: Service) -> None:
    told = json.loads(explanation(service, json.dumps([ROW, ROW | {"price": None}]).encode()))
    assert len(told["explanations"]) == 2
    for explained in told["explanations"]:
        raw = explained["base"] + sum(reason["contribution"] for reason in explained["reasons"])
        assert 1 / (1 + np.exp(-raw)) == pytest.approx(explained["prediction"])
        sizes = [abs(reason["contribution"]) for reason in explained["reasons"]]
        assert sizes == sorted(sizes, reverse=True)


def test_the_model_that_answers_is_told(site: Site, service: Service) -> None:
    facts = model_facts(service)
    release = site.releases.live("shop")
    assert release
    assert (facts["release"], facts["model"], facts["since"]) == (release.number, release.model, release.at.isoformat())
    assert facts["inputs"] == ["price", "country", "gift", "habit_visits", "habit_mean"]


def test_features_that_are_not_those_of_training_are_not_served(tmp_path: Path) -> None:
    site = bar(tmp_path, computed=True)
    released(site)
    published(site)
    for service in opened(site):
        with pytest.raises(Problem, match="needs 'basket_worth'") as caught:
            one(service, ROW)
        assert caught.value.status == 503
        assert "basket_worth" in service.why_not_ready()


def test_without_published_features_nothing_is_served(tmp_path: Path) -> None:
    site = bar(tmp_path)
    released(site)
    (site.place.online / "shop.sqlite").unlink()
    for service in opened(site):
        with pytest.raises(Refused, match="No features of shop are published"):
            service.verify()


@pytest.mark.parametrize(("policy", "told"), [("fail", 503), ("default", 200), ("10m", 200)])
def test_while_redis_is_away_the_declared_policy_answers(tmp_path: Path, policy: str, told: int) -> None:
    with running_redis() as address:
        site = bar(tmp_path, address=address)
        released(site)
        services = opened(site, online={"when_down": policy})
        service = next(services)
        assert "degraded" not in many(service, [ROW])
    answer = service.answer_all([service.call(json.dumps([ROW]).encode())])[0]
    if told == 200:
        assert isinstance(answer, bytes)
        after = json.loads(answer)
        assert after["degraded"]
        [seen], _ = service.seen(service.call(json.dumps([ROW]).encode()))
        assert seen["habit_visits"] == (47 if policy == "10m" else None)
    else:
        assert isinstance(answer, Problem)
        assert (answer.status, answer.retry_after) == (503, 1)
    assert service.why_not_ready()
    service.close()


def test_a_rule_of_the_contract_holds_where_the_label_passes_a_column_on(site: Site) -> None:
    rules = served(site).rules
    assert rules["country"].one_of == ["DE", "FR", "PT"]
    assert rules["customer"].matches == "c[0-9]{1,3}"
    assert "land" not in rules


def test_policies_are_read_as_declared(site: Site) -> None:
    assert served(site, online={"when_down": "10m"}).when_down == timedelta(minutes=10)


def test_a_server_loads_what_it_needs_alone(site: Site) -> None:
    command = [sys.executable, "-c", LOADED, served(site).model_dump_json(), str(site.place.root), json.dumps(ROW)]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip() == "[]"


def test_a_sample_of_the_requests_is_computed_anew_by_skewcheck(tmp_path: Path) -> None:
    site = bar(tmp_path)
    released(site)
    published(site, log="100%")
    for service in opened(site, online={"log": "100%"}):
        asked = rows(30, seed=3)
        for row in asked[:20]:
            one(service, row | {"order_id": "o1", "land": row["country"]})
        many(service, [row | {"order_id": "o2", "land": row["country"]} for row in asked[20:]])
    assert gather(site).rows == 30
    found = check_skew(site, FEATURES, LABEL)
    assert (found.requests, found.skews) == (30, [])


def test_a_request_that_fails_is_written_down_once_whoever_came_with_it(tmp_path: Path) -> None:
    with running_redis() as address:
        site = bar(tmp_path, address=address)
        released(site)
        services = opened(site, online={"when_down": "fail"})
        service = next(services)
        many(service, [ROW])
    calls = [service.call(json.dumps([ROW]).encode()) for _ in range(3)]
    assert all(isinstance(answer, Problem) for answer in service.answer_all(calls))
    service.close()
    gather_predictions(site)
    failed = [r["request"] for r in site.tables.read("shop/predictions/online").to_pylist() if r["status"] == 503]
    assert sorted(failed) == sorted(call.request for call in calls)
