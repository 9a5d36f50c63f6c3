"""Batch scores: by the model that was live, once, with what the model saw."""

from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from headrace.core.days import Days
from headrace.core.errors import DataError, DigestMismatch, Refused
from headrace.models.predict import load_predictor, score_rows
from headrace.releases.release import Request, release_model
from headrace.rollout.state import rollouts_log
from headrace.serving.score import Scored, score_days
from headrace.store.site import Site
from platform_tests.models.shop import LABEL, SPRING, gates, judged, model, orders, shop, trained
from platform_tests.monitoring.watched import at

DAYS = Days(date(2024, 4, 1), date(2024, 4, 2))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "label.sql").write_text("select * from orders")
    site = shop(tmp_path, start=SPRING.date())
    site.tables.replace("shop/validated/orders", orders())
    return site


def release(site: Site, trees: int = 20) -> str:
    digest = trained(site, model(trees=trees))
    judged(site, digest, "auc >= 0.6")
    release_model(site, Request(digest, "a test", "to see"), gates("auc >= 0.6"))
    return digest


def score(site: Site, days: Days = DAYS) -> Scored:
    return score_days(site, {}, LABEL, days)


def kept(site: Site, days: Days = DAYS) -> Scored:
    scored = score(site, days)
    site.tables.replace("shop/predictions/batch", scored.rows, days=days)
    return scored


def test_all_rows_of_the_days_are_scored_and_no_others(site: Site) -> None:
    release(site)
    rows = score(site).rows
    assert rows.num_rows == 100
    assert set(rows["_day"].to_pylist()) == set(DAYS)
    assert rows["order_id"].to_pylist() == sorted(set(rows["order_id"].to_pylist()))


def test_a_score_is_the_live_models_and_stands_beside_what_it_saw(site: Site) -> None:
    digest = release(site)
    rows = score(site).rows
    assert rows.column_names == [
        "order_id",
        "at",
        "price",
        "country",
        "gift",
        "noise",
        "score",
        "model",
        "release",
        "feature_versions",
        "_day",
    ]
    assert set(rows["model"].to_pylist()) == {digest}
    assert set(rows["release"].to_pylist()) == {1}
    assert np.abs(rows["score"].to_numpy() - score_rows(rows, load_predictor(site.models, digest))).max() < 1e-12


def test_the_label_is_not_needed(site: Site) -> None:
    release(site)
    before = score(site).rows
    unlabelled = orders().drop_columns(["returned"]).append_column("returned", pa.nulls(2000, pa.int8()))
    site.tables.replace("shop/validated/orders", unlabelled)
    after = score(site).rows
    assert after.drop_columns(["feature_versions"]).equals(before.drop_columns(["feature_versions"]))


def test_without_a_live_model_nothing_is_scored(site: Site) -> None:
    trained(site)
    with pytest.raises(Refused, match="No model is live yet"):
        score(site)


def test_days_without_rows_have_no_scores(site: Site) -> None:
    release(site)
    scored = score(site, Days(date(2024, 6, 1), date(2024, 6, 1)))
    assert (scored.rows.num_rows, scored.new) == (0, 0)


def test_rows_that_were_scored_keep_their_score_when_another_model_goes_live(site: Site) -> None:
    release(site)
    first = kept(site)
    release(site, trees=30)
    again = kept(site)
    assert (again.live.number, again.new) == (2, 0)
    assert again.rows.equals(first.rows)


def test_a_row_is_scored_once_its_prediction_time_has_come_with_what_is_known_then(tmp_path: Path) -> None:
    (tmp_path / "label.sql").write_text("select * from orders")
    site = shop(tmp_path, start=SPRING.date(), clock="replay")
    site.tables.replace("shop/validated/orders", orders())
    at(site, datetime(2024, 4, 1, 12, tzinfo=UTC))
    release(site)
    morning = kept(site).rows
    assert pc.max(morning["at"]).as_py() == datetime(2024, 4, 1, 12, tzinfo=UTC)
    dearer = orders().set_column(orders().column_names.index("price"), "price", pc.add(orders()["price"], 1.0))
    site.tables.replace("shop/validated/orders", dearer)
    at(site, datetime(2024, 4, 3, tzinfo=UTC))
    day = kept(site)
    assert (morning.num_rows, day.new) == (26, 74)
    assert day.rows.slice(0, 26).equals(morning)
    assert day.rows["price"].to_pylist()[26:] == dearer.slice(31 * 50 + 26, 74)["price"].to_pylist()


def test_a_row_that_comes_late_is_scored_by_the_model_that_is_live_then(site: Site) -> None:
    release(site)
    site.tables.replace("shop/validated/orders", orders().filter(pc.not_equal(orders()["order_id"], "o01600")))
    kept(site)
    late = release(site, trees=30)
    site.tables.replace("shop/validated/orders", orders())
    rows = kept(site)
    assert rows.new == 1
    assert rows.rows.filter(pc.equal(rows.rows["model"], late))["order_id"].to_pylist() == ["o01600"]


def test_other_days_stay_as_they_are(site: Site) -> None:
    release(site)
    kept(site)
    kept(site, Days(date(2024, 4, 3), date(2024, 4, 3)))
    assert site.tables.read("shop/predictions/batch").num_rows == 150


def test_rows_without_an_input_are_refused_and_named(site: Site) -> None:
    release(site)
    site.tables.replace("shop/validated/orders", orders().drop_columns(["price"]))
    with pytest.raises(DataError, match=r"needs columns \['price'\]"):
        score(site)


def test_a_damaged_model_scores_nothing(site: Site) -> None:
    path = site.place.models / release(site) / "model.txt"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DigestMismatch):
        score(site)


def test_while_a_release_takes_over_in_steps_the_one_before_it_scores(site: Site) -> None:
    first = release(site)
    second = trained(site, model(trees=10))
    decision = {"outcome": "released", "model": second, "at": SPRING, "who": "a test", "why": "to see", "evidence": {}}
    site.releases.decide("shop", {**decision, "stages": ["shadow"]}, after=1)
    assert set(score(site).rows["model"].to_pylist()) == {first}
    promoted = {"what": "promoted", "release": 2, "against": 1, "step": 0, "at": SPRING.isoformat()}
    rollouts_log(site).add({**promoted, "who": "a test", "why": "", "evidence": {}})
    assert set(score(site).rows["model"].to_pylist()) == {second}
