"""Drift beyond one column as an asset: real runs, a check for each kind that is declared, and rows that stay."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from headrace.core.days import DAY, Days
from headrace.core.errors import DeclarationError, StoreError
from headrace.incidents.kinds import kind_of
from headrace.monitoring.declaration import Drift
from headrace.monitoring.shifts.assets import shift_assets
from headrace.monitoring.shifts.rows import trained_rows, window_rows
from headrace.monitoring.shifts.watch import live_shifts, shifts_table
from headrace.monitoring.watch import alike_models, live_drift, whole_window
from headrace.store.releases import Release
from headrace.store.site import Site
from platform_tests.models.shop import LABEL, orders
from platform_tests.monitoring.watched import LAST, open_shop, release, score, shifted, watched_shop

DECLARED = Drift.model_validate(
    {
        "window": "5d",
        "multivariate": {"domain_classifier": {}, "pca": {"variance": 0.7}},
        "by": ["country"],
        "least_rows": 50,
        "label_psi": 0.3,
    }
)
SLICES = Drift.model_validate({"window": "5d", "by": ["country"], "least_rows": 50})


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def live(site: Site) -> Release:
    found = site.releases.live("shop")
    assert found
    return found


def uncoupled_shop(folder: Path) -> Site:
    """Return a shop whose noise was the price in training and is not any more: both are distributed as they were."""
    site, rows = open_shop(folder), orders()
    noise = rows["price"].combine_chunks().fill_null(rows["noise"].combine_chunks())
    site.tables.replace("shop/training/set", rows.set_column(rows.column_names.index("noise"), "noise", noise))
    release(site)
    score(site)
    return site


def run(site: Site, instance: dg.DagsterInstance, declared: Drift = DECLARED) -> dg.ExecuteInProcessResult:
    return dg.materialize(shift_assets(site, LABEL, declared), instance=instance, raise_on_error=False)


def checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {found.check_name: found for found in result.get_asset_check_evaluations()}


def known(check: dg.AssetCheckEvaluation) -> dict[str, Any]:
    return {key: value.value for key, value in check.metadata.items()}


def test_what_is_not_declared_is_not_made(tmp_path: Path) -> None:
    assert shift_assets(open_shop(tmp_path), LABEL, Drift()) == []


@pytest.mark.slow
def test_columns_that_move_together_alone_fail_their_checks_with_the_columns_and_nothing_else_does(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    site = uncoupled_shop(tmp_path)
    assert not [moved for moved in live_drift(site, live(site), DECLARED) if moved.alarms]
    result = run(site, instance)
    found = checks(result)
    assert {name: check.passed for name, check in found.items()} == {
        "domain_classifier": False,
        "pca": False,
        "slices": True,
        "label": True,
    }
    told = known(found["domain_classifier"])
    assert set(told["told_by"].split(", ")[:2]) == {"price", "noise"}
    assert told["value"] > told["limit"] == 0.65
    assert told["days"] == f"{LAST - DAY * 4} to {LAST}"
    assert found["domain_classifier"].severity == dg.AssetCheckSeverity.WARN
    assert "held against 25 windows of 5d of the training set" in known(found["pca"])["threshold"]
    rows = site.tables.read("shop/monitoring/shifts").to_pylist()
    assert {row["kind"] for row in rows} == {"domain_classifier", "pca", "slices", "label"}
    assert {row["model"] for row in rows} == {live(site).model}
    [made] = result.asset_materializations_for_node("shop__monitoring__shifts")
    assert made.metadata["dagster/row_count"].value == len(rows)


@pytest.mark.slow
def test_a_shift_is_found_within_each_slice_and_rows_of_another_day_stay(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    site = watched_shop(tmp_path, shifted)
    slices = checks(run(site, instance, SLICES))["slices"]
    assert not slices.passed
    assert "PSI of price where country = DE is " in str(slices.description)
    before = site.tables.read("shop/monitoring/shifts").to_pylist()
    score(site, LAST, LAST)
    run(site, instance, SLICES)
    assert site.tables.read("shop/monitoring/shifts").to_pylist() == before
    later = [row for row in before if row["column"] == "price"]
    site.tables.replace("shop/monitoring/shifts", pa.Table.from_pylist([{**r, "day": LAST - DAY} for r in later]))
    run(site, instance, SLICES)
    days = site.tables.read("shop/monitoring/shifts")["day"].to_pylist()
    assert (days.count(LAST - DAY), days.count(LAST)) == (len(later), len(before))


@pytest.mark.slow
def test_before_a_whole_window_is_scored_checks_pass_and_say_why(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    site = open_shop(tmp_path)
    found = checks(run(site, instance))
    assert {str(check.description) for check in found.values()} == {"Nothing to compare yet: no model is live yet."}
    release(site)
    score(site, LAST - DAY * 3, LAST)
    assert whole_window(site, live(site), DECLARED) is None
    found = checks(run(site, instance))
    assert known(found["pca"])["what"] == "Nothing to compare yet: the live model has not scored a whole window."
    assert all(check.passed and "value" not in check.metadata for name, check in found.items() if name != "label")


@pytest.mark.slow
def test_usual_windows_are_measured_once_for_a_model_and_a_policy(tmp_path: Path) -> None:
    site = watched_shop(tmp_path)
    first = live_shifts(site, live(site), LABEL, DECLARED)
    kept = site.models.recorded(live(site).model, "usual.shop")
    assert kept
    site.models.record(live(site).model, "usual.shop", {**kept, "errors": [9.0, 9.1, 9.2]})
    again = live_shifts(site, live(site), LABEL, DECLARED)
    errors = [next(s for s in found.shifts if s.kind == "pca") for found in (first, again)]
    assert errors[0].value == errors[1].value
    assert errors[1].low is not None
    assert errors[1].low > 8
    other = DECLARED.model_copy(update={"least_rows": 60})
    anew = next(s for s in live_shifts(site, live(site), LABEL, other).shifts if s.kind == "pca")
    assert (anew.low, anew.limit) == (errors[0].low, errors[0].limit)


@pytest.mark.slow
def test_rows_are_those_that_the_model_was_trained_on_and_those_of_the_window(tmp_path: Path) -> None:
    site = watched_shop(tmp_path)
    trained = trained_rows(site, live(site), ["price", "country"], 0)
    site.tables.replace("shop/training/set", pa.table({"other": [1]}))
    assert trained_rows(site, live(site), ["price", "country"], 0).rows == trained.rows
    assert len(set(trained.days.tolist())) == 29
    window = window_rows(site, live(site), Days(LAST - DAY, LAST), ["price"], 0)
    scored = site.tables.read("shop/predictions/batch", days=Days(LAST - DAY, LAST))
    assert window.rows["price"].to_pylist() == scored["price"].to_pylist()
    assert alike_models(site, live(site)) == [live(site).model]


@pytest.mark.slow
def test_a_column_that_is_not_there_is_said_with_the_key_and_the_nearest_one(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    site = watched_shop(tmp_path)
    with pytest.raises(DeclarationError, match=r"`by` names 'contry', .* Did you mean 'country'\?") as refused:
        live_shifts(site, live(site), LABEL, SLICES.model_copy(update={"by": ["contry"]}))
    assert refused.value.path == ("monitors", "drift", "by")


@pytest.mark.slow
def test_a_training_set_that_is_gone_is_said_and_not_taken_for_no_shift(tmp_path: Path) -> None:
    site = watched_shop(tmp_path)
    for path in (site.models._folder / "records" / live(site).model).glob("trained.*"):
        path.unlink()
    with pytest.raises(StoreError, match=r"is gone, and with it the rows .* or train again"):
        live_shifts(site, live(site), LABEL, SLICES)


@pytest.mark.slow
def test_nothing_measured_leaves_what_was(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    site = watched_shop(tmp_path)
    run(site, instance, SLICES)
    assert shifts_table(site, [], live(site).model) == site.tables.read("shop/monitoring/shifts")


def test_a_shift_is_an_alarm_of_drift() -> None:
    assert kind_of(("shop", "monitoring", "shifts"), "domain_classifier", severe=False) == "drift"
