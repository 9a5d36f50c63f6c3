"""Slices: what moved in one of them is named, and many columns of many slices together raise no more false alarms."""

from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from scipy.stats import binom

from headrace.models.profile import profile_of
from headrace.monitoring.declaration import Drift
from headrace.monitoring.drift import by_chance, cells_of, grouped, groups_of, psi
from headrace.monitoring.shifts.counts import Counts, measured
from headrace.monitoring.shifts.rows import Sample
from headrace.monitoring.shifts.shift import Shift
from headrace.monitoring.shifts.sliced import Sliced, shifts_of_slices
from headrace.monitoring.shifts.together import Asked
from platform_tests.monitoring.shifts.worlds import FIRST, INPUTS, history, policy, rows

DAY = date(2024, 3, 1)


def sliced(window: pa.Table, declared: Drift, trained: Sample | None = None) -> Sliced:
    trained = trained or history(60, 0)
    sample = Sample(window, np.full(window.num_rows, FIRST + 60))
    return shifts_of_slices(trained, sample, DAY, Asked(INPUTS, declared), profile_of(trained.rows, INPUTS))


def by_country(**changes: Any) -> Drift:
    return policy(multivariate={}, by=["country"], least_rows=50, **changes)


def alarms(found: Sliced) -> list[Shift]:
    return [one for one in found.shifts if one.alarms]


def moved_in(rows_: pa.Table, country: str, by: float) -> pa.Table:
    inside = pc.equal(rows_["country"], country).to_numpy().astype(float)
    return rows_.set_column(2, "x2", pa.array(rows_["x2"].to_numpy() + by * inside))


def test_a_column_that_moved_in_one_slice_is_named_with_it() -> None:
    found = sliced(moved_in(rows(900, 3), "PT", 1.0), by_country())
    assert {(one.column, one.by, one.part, one.measure) for one in alarms(found)} == {("x2", "country", "PT", "psi")}
    [one] = alarms(found)
    assert str(one).startswith(f"PSI of x2 where country = PT is {one.value:.3f}, limit 0.2, over {one.rows} rows to ")
    assert found.words == "the limits are those that are declared"


def test_a_shift_of_opposite_signs_in_two_slices_cancels_in_all_rows_and_is_found_in_both() -> None:
    window = moved_in(moved_in(rows(1800, 3), "PT", 0.9), "DE", -0.9)
    trained = history(60, 0)
    reference = profile_of(trained.rows, INPUTS)
    assert psi(reference["x2"], profile_of(window, INPUTS, reference)["x2"]) < 0.2
    assert {(one.column, one.part) for one in alarms(sliced(window, by_country(), trained))} == {
        ("x2", "PT"),
        ("x2", "DE"),
    }


def test_missing_values_of_a_slice_are_found() -> None:
    window = rows(900, 3)
    gone = pc.if_else(pc.equal(window["country"], "FR"), pa.scalar(None, pa.float64()), window["x3"])
    found = alarms(sliced(window.set_column(3, "x3", gone), by_country()))
    assert {(one.column, one.part, one.measure) for one in found} == {("x3", "FR", "missing")}


def test_a_slice_of_few_rows_on_either_side_is_not_measured() -> None:
    few = pa.concat_tables([rows(900, 3), rows(900, 4).filter(pc.equal(rows(900, 4)["country"], "PT")).slice(0, 0)])
    few = few.filter(pc.or_(pc.not_equal(few["country"], "PT"), pa.array(np.arange(900) < 100)))
    assert {one.part for one in sliced(few, by_country()).shifts} == {"DE", "FR"}
    named = rows(900, 3).set_column(4, "country", pa.array(["XX"] * 900))
    assert sliced(named, by_country()).shifts == []


def test_the_index_of_a_slice_is_that_of_the_profiles_of_its_rows() -> None:
    trained, window = history(60, 0), moved_in(rows(900, 3), "PT", 0.5)
    reference = profile_of(trained.rows, INPUTS)
    sides = [
        profile_of(side.filter(pc.equal(side["country"], "PT")), INPUTS, reference) for side in (trained.rows, window)
    ]
    groups = groups_of(reference["x2"])
    counts = {("x2", "", ""): Counts(*[np.append(grouped(cells_of(side["x2"]), groups), 0) for side in sides])}
    counts = {part: Counts(both.history[None, :], both.window) for part, both in counts.items()}
    [own] = measured(counts, {}, {"psi": 0.2})
    [told] = [o for o in sliced(window, by_country()).shifts if (o.column, o.part, o.measure) == ("x2", "PT", "psi")]
    assert told.value == pytest.approx(own.value, abs=1e-12)


def test_chance_is_shared_by_all_tests() -> None:
    one = Counts(np.array([[100, 100, 0]]), np.array([30, 30, 0]))
    alone, among = (
        next(measured({(str(n), "", ""): one for n in range(tests)}, {}, {"psi": 1e-6})).limit for tests in (1, 200)
    )
    assert alone == pytest.approx(by_chance(np.array([100, 100]), np.array([30, 30])), rel=1e-3)
    assert among > 1.8 * alone


@pytest.mark.slow
def test_calibrated_limits_hold_the_rate_over_all_columns_of_all_slices_together() -> None:
    declared = by_country(threshold="calibrated", false_alarms="1 per 10d", psi=1e-6, missing=1e-6)
    false = trials = 0
    for world in range(3):
        trained = history(120, world)
        for number in range(20):
            found = sliced(rows(500, 1000 * (world + 1) + number), declared, trained)
            false, trials = false + bool(alarms(found)), trials + 1
        assert found.words == (
            "limits calibrated on 116 windows of 5d of the training set, for 1 per 10d of 12 columns of slices together"
        )
    assert false <= binom.ppf(0.975, trials, 0.1), f"{false} of {trials} windows alarmed"
    assert alarms(sliced(moved_in(rows(500, 3), "PT", 1.0), declared))
