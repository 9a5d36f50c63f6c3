"""Drift from profiles alone: laws of the index, windows, and what chance does."""

from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from headrace.core.days import DAY
from headrace.models.meta import Input
from headrace.models.predict import SCORE
from headrace.models.profile import Profile, profile_of
from headrace.monitoring.declaration import Drift
from headrace.monitoring.drift import MISSING, PSI, DayProfile, Moved, drift_by_day, psi, stability_index, worst

MONDAY = date(2024, 4, 1)
NUMBER, TEXT = Input(name="x", kind="numeric"), Input(name="c", kind="categorical", categories=["a", "b", "z"])
COUNTS = npst.arrays(np.int64, 8, elements=st.integers(0, 10**6))
FLOATS = st.lists(st.floats(-1e9, 1e9) | st.none(), min_size=1, max_size=200)


def profile(values: Any, against: Profile | None = None, column: Input = NUMBER) -> Profile:
    return profile_of(pa.table({column.name: pa.array(values, from_pandas=True)}), [column], against)


def normal(rows: int, seed: int = 0, shift: float = 0.0) -> Any:
    return np.random.default_rng(seed).normal(shift, 1.0, rows)


def drift(days: list[Any], reference: Profile, window: int = 1, **policy: Any) -> list[Moved]:
    """Return the drift of days in a row, each given by its values."""
    parts = [DayProfile(MONDAY + DAY * i, profile(v, reference)) for i, v in enumerate(days) if len(v)]
    return drift_by_day(parts, reference, Drift(window=timedelta(days=window), **policy), {"x": MONDAY})


def values(moved: list[Moved], measure: str = PSI) -> dict[date, float]:
    return {m.day: m.value for m in moved if m.measure == measure}


@given(FLOATS)
@settings(deadline=None)
def test_a_sample_has_not_moved_from_itself(sample: list[float | None]) -> None:
    reference = profile(pa.array(sample, pa.float64()))
    assert psi(reference["x"], reference["x"]) == 0.0


@given(COUNTS, COUNTS)
@settings(deadline=None)
def test_the_index_is_never_negative_always_finite_and_symmetric(one: Any, other: Any) -> None:
    index = stability_index(one, other)
    assert index >= 0.0
    assert np.isfinite(index)
    assert index == pytest.approx(stability_index(other, one))


@given(COUNTS, st.permutations(range(8)))
@settings(deadline=None)
def test_the_order_of_bins_does_not_matter(one: Any, order: list[int]) -> None:
    other = one[::-1]
    assert stability_index(one, other) == pytest.approx(stability_index(one[order], other[order]))


def test_the_index_is_the_one_of_the_books() -> None:
    expected, actual = np.array([0.2, 0.3, 0.5]) * 1e9, np.array([0.3, 0.3, 0.4]) * 1e9
    by_hand = 0.1 * np.log(0.3 / 0.2) + 0.0 - 0.1 * np.log(0.4 / 0.5)
    assert stability_index(expected, actual) == pytest.approx(by_hand, rel=1e-6)


@pytest.mark.parametrize(("shift", "least", "most"), [(0.0, 0.0, 0.02), (0.3, 0.05, 0.2), (1.0, 0.5, 2.0)])
def test_the_index_grows_with_the_shift(shift: float, least: float, most: float) -> None:
    reference = profile(normal(5000))
    assert least <= psi(reference["x"], profile(normal(5000, 1, shift), reference)["x"]) <= most


def test_a_shift_that_leaves_all_of_the_references_bins_is_large_and_finite() -> None:
    reference = profile(normal(5000))
    assert 2.0 < psi(reference["x"], profile(normal(5000, 1, 1e6), reference)["x"]) < 20.0


def test_a_category_that_vanishes_is_found_and_one_never_seen_is_one_of_the_rare_ones() -> None:
    reference = profile(["a", "b"] * 500, column=TEXT)
    now = profile(["a"] * 500 + ["new"] * 100, reference, TEXT)
    assert psi(reference["c"], now["c"]) > 0.25
    assert (now["c"]["new"], now["c"]["missing"]) == (100, 0)


def test_rare_categories_are_one() -> None:
    names = [f"n{i}" for i in range(50)]
    column = Input(name="c", kind="categorical", categories=["common", *names])
    reference = profile(["common"] * 9950 + names, column=column)
    swapped = profile(["common"] * 9950 + ["n0"] * 50, reference, column)
    assert psi(reference["c"], swapped["c"]) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("constant", [0.0, 7.5])
def test_a_constant_column_does_not_move_while_it_stays_what_it_is(constant: float) -> None:
    reference = profile(np.full(1000, constant))
    assert psi(reference["x"], profile(np.full(10, constant), reference)["x"]) == 0.0


def test_a_window_is_the_sum_of_its_days_whatever_the_window() -> None:
    reference = profile(normal(2000))
    days = [normal(50 + 7 * i, i, 0.1 * i) for i in range(10)]
    for window in (1, 3, 7):
        moved = values(drift(days, reference, window))
        for last in range(window - 1, 10):
            whole = profile(np.concatenate(days[last - window + 1 : last + 1]), reference)
            assert moved[MONDAY + DAY * last] == pytest.approx(psi(reference["x"], whole["x"]))


def test_profiles_of_the_same_day_add_up() -> None:
    reference = profile(normal(2000))
    whole, halves = normal(400, 1, 0.5), np.split(normal(400, 1, 0.5), 2)
    policy, since = Drift(window=timedelta(days=1)), {"x": MONDAY}
    one = drift_by_day([DayProfile(MONDAY, profile(whole, reference))], reference, policy, since)
    two = drift_by_day([DayProfile(MONDAY, profile(half, reference)) for half in halves], reference, policy, since)
    assert one == two


def test_the_order_in_which_days_come_does_not_matter() -> None:
    reference = profile(normal(2000))
    parts = [DayProfile(MONDAY + DAY * i, profile(normal(50, i), reference)) for i in range(6)]
    policy, since = Drift(window=timedelta(days=3)), {"x": MONDAY}
    assert drift_by_day(parts[::-1], reference, policy, since) == drift_by_day(parts, reference, policy, since)


def test_part_of_a_window_is_not_measured() -> None:
    moved = values(drift([normal(50, i) for i in range(5)], profile(normal(2000)), window=3))
    assert min(moved) == MONDAY + DAY * 2


def test_a_day_without_rows_has_no_drift_and_those_after_it_a_window_with_a_gap() -> None:
    moved = drift([normal(50), [], normal(60)], profile(normal(2000)), window=3)
    assert {(m.day, m.rows) for m in moved} == {(MONDAY + DAY * 2, 110)}


def test_a_column_that_came_later_does_not_shorten_the_window_of_the_others() -> None:
    reference = profile(normal(2000)) | {SCORE: profile(normal(2000))["x"]}
    parts = [DayProfile(MONDAY + DAY * i, profile(normal(50, i), reference)) for i in range(5)]
    parts[3:] = [DayProfile(p.day, p.profile | {SCORE: p.profile["x"]}) for p in parts[3:]]
    moved = drift_by_day(parts, reference, Drift(window=timedelta(days=3)), {"x": MONDAY, SCORE: MONDAY + DAY * 3})
    assert {m.rows for m in moved} == {150}
    assert {m.column for m in moved} == {"x"}


@pytest.mark.parametrize("rows", [5, 30, 100, 1000])
def test_chance_alone_does_not_alarm_however_few_the_rows(rows: int) -> None:
    reference = profile(normal(2000))
    days = [np.where(np.random.default_rng(i).random(rows) < 0.1, np.nan, normal(rows, i)) for i in range(1, 201)]
    holed = profile(np.where(np.random.default_rng(0).random(2000) < 0.1, np.nan, normal(2000)))
    assert sum(m.alarms for m in drift([normal(rows, i) for i in range(1, 201)], reference, psi=0.01)) <= 2
    assert sum(m.alarms for m in drift(days, holed, missing=0.01) if m.measure == MISSING) <= 4


def test_a_real_shift_alarms_in_a_hundred_rows() -> None:
    moved = drift([normal(100, 1, 1.5)], profile(normal(2000)))
    assert [m.alarms for m in moved if m.measure == PSI] == [True]


def test_with_many_rows_the_limit_is_the_declared_one() -> None:
    assert {m.limit for m in drift([normal(20000, 1)], profile(normal(20000)), psi=0.1, missing=0.05)} == {0.1, 0.05}


def test_the_rise_of_missing_values_is_found() -> None:
    reference = profile(np.where(np.arange(2000) % 10 == 0, np.nan, normal(2000)))
    now = np.where(np.arange(1000) % 2 == 0, np.nan, normal(1000, 1))
    [rise] = [m for m in drift([now], reference) if m.measure == MISSING]
    assert rise.value == pytest.approx(0.4)
    assert rise.alarms
    assert str(rise) == "rise of missing values of x is 0.400, limit 0.1, over 1,000 rows to 2024-04-01"


def test_fewer_missing_values_never_alarm() -> None:
    reference = profile(np.where(np.arange(2000) % 2 == 0, np.nan, normal(2000)))
    assert not [m for m in drift([normal(1000, 1)], reference) if m.alarms]


@pytest.mark.parametrize(("before", "now"), [(np.full(50, np.nan), normal(50)), (normal(50), np.full(50, np.nan))])
def test_a_column_without_values_on_one_side_has_no_index_but_a_share_of_missing_values(before: Any, now: Any) -> None:
    assert {m.measure for m in drift([now], profile(before))} == {MISSING}


def test_the_worst_is_the_farthest_beyond_its_own_limit() -> None:
    near, far = Moved(MONDAY, "x", PSI, 0.5, 0.25, 10), Moved(MONDAY, "y", MISSING, 0.3, 0.1, 10)
    assert worst([near, far]) == far
    assert worst([]) is None
