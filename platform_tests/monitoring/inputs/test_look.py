"""Scored rows one by one: each kind of strangeness is found where it was planted, and ordinary days are calm."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import IsolationForest

from headrace.features.statistics import statistics_of
from headrace.models.encode import inputs_of
from headrace.monitoring.declaration import Inputs
from headrace.monitoring.inputs.assets import CHECK, input_assets
from headrace.monitoring.inputs.look import OUTLIER, Known, Scored, Strange, strange_rows
from headrace.monitoring.inputs.outliers import grown
from platform_tests.models.shop import LABEL, model, orders
from platform_tests.monitoring.watched import LAST, open_shop, shifted, watched_shop

NO_INPUTS = ["order_id", "at", "returned"]
INPUTS = inputs_of(orders(), NO_INPUTS)
KNOWN = Known("m", INPUTS, statistics_of(orders()), grown(orders(), INPUTS))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def day(seed: int = 1, **changes: Any) -> Scored:
    """Return a day of 400 scored orders, with columns changed."""
    rows = orders(400, seed=seed)
    scores = np.random.default_rng(seed).random(400)
    for name, values in ({"score": scores} | changes).items():
        there = name in rows.column_names
        rows = (
            rows.set_column(rows.column_names.index(name), name, pa.array(values))
            if there
            else rows.append_column(name, pa.array(values))
        )
    return Scored(date(2024, 4, 1), "predictions/batch", rows, "order_id")


def found(scored: Scored) -> dict[tuple[str, str], Strange]:
    """Return what is measured, by column and measure."""
    return {(one.column, one.measure): one for one in strange_rows(scored, KNOWN, Inputs()) if one.measure != OUTLIER}


def alarms(scored: Scored) -> set[tuple[str, str]]:
    return {key for key, one in found(scored).items() if one.alarms}


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 2**31))
def test_an_ordinary_day_alarms_nothing(seed: int) -> None:
    assert alarms(day(seed)) == set()


def test_values_outside_what_training_had_are_counted() -> None:
    noise = np.where(np.arange(400) < 20, 99.0, 0.0)
    assert found(day(noise=noise))["noise", "out_of_range"].value == pytest.approx(0.05)
    assert ("noise", "out_of_range") in alarms(day(noise=noise))


def test_texts_that_training_never_had_are_counted() -> None:
    country = ["XX" if i < 40 else "DE" for i in range(400)]
    assert found(day(country=country))["country", "unseen"].value == pytest.approx(0.1)
    assert ("country", "unseen") in alarms(day(country=country))


def test_a_feature_that_is_lost_alarms_by_how_much_more_is_missing_than_in_training() -> None:
    lost = found(day(price=pa.nulls(400, pa.float64())))["price", "missing"]
    before = KNOWN.statistics["price"].missing_share
    assert lost.value == pytest.approx(1 - before)
    assert lost.alarms


def test_one_score_for_everybody_alarms() -> None:
    assert ("score", "constant") in alarms(day(score=np.full(400, 0.3)))


def test_degraded_answers_are_counted_where_the_log_knows_them() -> None:
    assert ("", "degraded") not in found(day())
    assert found(day(degraded=np.arange(400) < 100))["", "degraded"].value == pytest.approx(0.25)


def test_the_strangest_rows_are_named_by_their_entity_and_do_not_alarm_alone() -> None:
    price, noise = np.zeros(400), np.zeros(400)
    price[7], noise[7] = 50.0, -50.0
    scored = day(price=price, noise=noise)
    named = [one for one in strange_rows(scored, KNOWN, Inputs()) if one.measure == OUTLIER]
    assert named[0].entity == scored.rows["order_id"][7].as_py()
    assert not named[0].alarms


def test_a_day_that_is_strange_as_a_whole_alarms_as_outliers() -> None:
    far = day(price=np.full(400, 9.0), noise=np.full(400, -9.0))
    assert ("", "outliers") in alarms(far)


def test_the_forest_is_scikit_learns_and_the_same_each_time() -> None:
    rows = orders(400, seed=3)
    plain = [i for i in INPUTS if i.name in ("noise", "gift")]
    values = np.stack([rows[i.name].cast(pa.float64()).to_numpy() for i in plain], axis=1)
    theirs = -IsolationForest(n_estimators=100, random_state=0).fit(values).score_samples(values)
    ours = grown(rows, plain)
    assert ours.scores(rows) == pytest.approx(theirs)
    assert grown(rows, plain).scores(rows).tolist() == ours.scores(rows).tolist()


@pytest.mark.slow
@pytest.mark.parametrize("is_changed", [False, True])
def test_the_asset_says_in_words_what_is_strange_about_the_newest_day(
    tmp_path: Path, instance: dg.DagsterInstance, is_changed: bool
) -> None:
    site = watched_shop(tmp_path, (lambda rows: shifted(doubled(rows), 9.0)) if is_changed else doubled)
    policy = Inputs()
    result = dg.materialize(input_assets(site, LABEL, model(), policy), instance=instance)
    [check] = result.get_asset_check_evaluations()
    assert (check.check_name, check.passed) == (CHECK, not is_changed)
    what = str(check.metadata["what"].value)
    assert ("have a price outside what training had" in what) == is_changed
    rows = site.tables.read("shop/monitoring/inputs").to_pylist()
    assert max(row["day"] for row in rows) == LAST
    assert any(row["measure"] == OUTLIER and row["entity"] for row in rows) or not is_changed


def doubled(rows: pa.Table) -> pa.Table:
    """Return the orders of the shop three times over: a day needs 100 rows to be looked at."""
    more = [
        rows.set_column(0, "order_id", pa.array([f"{name}{part}" for name in rows["order_id"].to_pylist()]))
        for part in "bc"
    ]
    return pa.concat_tables([rows, *more]).sort_by("at")


@pytest.mark.slow
def test_before_anything_is_live_nothing_is_looked_at(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    result = dg.materialize(input_assets(open_shop(tmp_path), LABEL, model(), Inputs()), instance=instance)
    [check] = result.get_asset_check_evaluations()
    assert check.passed
    assert "no model is live yet" in str(check.metadata["what"].value)
