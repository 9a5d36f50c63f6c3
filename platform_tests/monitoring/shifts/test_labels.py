"""Labels: compared once all of a window are known, as categories or as numbers."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from headrace.core.days import DAY
from headrace.monitoring.shifts.labels import drift_of_label, mature_window, shifts_of_label
from headrace.monitoring.shifts.rows import Sample, trained_rows
from headrace.monitoring.shifts.shift import Shift
from headrace.store.releases import Release
from headrace.store.site import Site
from platform_tests.models.shop import LABEL, orders
from platform_tests.monitoring.shifts.worlds import LAST, policy
from platform_tests.monitoring.watched import FIRST, at, open_shop, release, watched_shop

POLICY = policy(multivariate={}, window="3d", label_psi=0.2)


def live(site: Site) -> Release:
    found = site.releases.live("shop")
    assert found
    return found


def returned_more_often(rows: pa.Table) -> pa.Table:
    """Return the orders, all of them returned from the first scored day on."""
    late = np.array([moment.date() >= FIRST for moment in rows["at"].to_pylist()])
    place = rows.column_names.index("returned")
    return rows.set_column(place, "returned", pa.array(np.where(late, 1, rows["returned"]).astype(np.int8)))


def label(site: Site) -> tuple[list[Shift], str]:
    found = shifts_of_label(site, live(site), LABEL, POLICY, trained_rows(site, live(site), ["returned"], 0))
    return found.shifts, found.words


def psi(shifts: list[Shift]) -> Shift:
    [one] = [one for one in shifts if one.measure == "psi"]
    return one


def test_labels_that_come_true_as_in_training_have_not_moved_and_every_measure_is_there(tmp_path: Path) -> None:
    shifts, words = label(watched_shop(tmp_path))
    assert {one.measure for one in shifts} == {"psi", "jensen_shannon", "chi_square", "missing", "new_categories"}
    assert (psi(shifts).alarms, psi(shifts).rows, psi(shifts).limit) == (False, 150, 0.2)
    assert [one.measure for one in shifts if one.limit is not None] == ["psi"]
    assert words == "the limits are those that are declared"


def test_a_label_that_moved_is_found_and_said(tmp_path: Path) -> None:
    shifts, _ = label(watched_shop(tmp_path, returned_more_often))
    assert psi(shifts).alarms
    assert str(psi(shifts)).startswith("PSI of the label returned is ")


def test_only_whole_days_whose_labels_have_had_their_time_count(tmp_path: Path) -> None:
    site = watched_shop(tmp_path)
    at(site, datetime(2024, 4, 9, 12, tzinfo=UTC))
    window = mature_window(site, live(site), LABEL, POLICY)
    assert window
    assert str(window.last) == "2024-04-07"
    at(site, datetime(2024, 4, 9, tzinfo=UTC) - timedelta(seconds=1))
    earlier = mature_window(site, live(site), LABEL, POLICY)
    assert earlier
    assert earlier.last == window.last - DAY


def test_rows_that_the_model_learned_from_say_nothing_about_its_labels(tmp_path: Path) -> None:
    site = open_shop(tmp_path)
    release(site)
    at(site, datetime(2024, 4, 1, tzinfo=UTC))
    assert label(site) == ([], "the labels of a whole window behind the training set are not all known yet")


def test_days_without_a_label_say_so(tmp_path: Path) -> None:
    site = watched_shop(tmp_path)
    site.tables.replace("shop/validated/orders", orders().slice(0, 1000))
    assert label(site) == ([], "no row from 2024-04-07 to 2024-04-09 has a label")


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_a_label_that_is_a_number_is_compared_as_one(shift: float) -> None:
    chance = np.random.default_rng(0)
    trained = Sample(pa.table({"price": chance.normal(100, 10, 3000)}), np.repeat(np.arange(30), 100))
    window = pa.table({"price": chance.normal(100 + 10 * shift, 10, 500)})
    found = drift_of_label(trained, window, LAST, "regression", POLICY)
    assert {"ks", "wasserstein"} < {one.measure for one in found.shifts}
    assert psi(found.shifts).alarms == bool(shift)


def test_the_limit_of_a_label_comes_from_the_history_where_that_is_asked() -> None:
    chance = np.random.default_rng(0)
    trained = Sample(pa.table({"late": (chance.random(6000) < 0.3).astype(np.int8)}), np.repeat(np.arange(60), 100))
    asked = policy(multivariate={}, threshold="calibrated", false_alarms="1 per 10d", label_psi=5.0)
    window = pa.table({"late": (chance.random(500) < 0.6).astype(np.int64)})
    found = drift_of_label(trained, window, LAST, "classification", asked)
    assert psi(found.shifts).alarms
    assert found.words.startswith("limits calibrated on 56 windows of 5d of the training set")
