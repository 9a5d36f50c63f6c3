"""Measures of drift from profiles, held against SciPy on the rows themselves."""

import json
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from headrace.models.meta import Input
from headrace.models.profile import FARTHEST, grid_of, profile_of
from headrace.monitoring.measures import Measure, chi_square, jensen_shannon, measures_of, new_categories

NUMBER = Input(name="x", kind="numeric")
FEW = st.lists(st.integers(-40, 40).map(lambda n: n / 4), min_size=2, max_size=80)
MANY = st.lists(st.floats(-1e5, 1e5), min_size=2, max_size=800)
COUNTS = st.lists(st.integers(0, 10**6), min_size=4, max_size=4).filter(any)


def profiles(before: Any, now: Any) -> list[dict[str, Any]]:
    reference = profile_of(pa.table({"x": pa.array(before, pa.float64())}), [NUMBER])
    return [reference["x"], profile_of(pa.table({"x": pa.array(now, pa.float64())}), [NUMBER], reference)["x"]]


def texts(before: list[str], now: list[str]) -> list[dict[str, Any]]:
    column = Input(name="x", kind="categorical", categories=sorted(set(before)))
    reference = profile_of(pa.table({"x": before}), [column])
    return [reference["x"], profile_of(pa.table({"x": now}), [column], reference)["x"]]


def measured(before: Any, now: Any) -> dict[str, Measure]:
    return {measure.name: measure for measure in measures_of(*profiles(before, now))}


@settings(deadline=None)
@given(FEW, FEW)
def test_where_each_bin_holds_one_value_kolmogorov_smirnov_is_that_of_scipy_to_the_last_digits(
    before: list[float], now: list[float]
) -> None:
    now = [value for value in now if value in before] or before
    ks, own = measured(before, now)["ks"], stats.ks_2samp(before, now, method="asymp")
    assert ks.value == pytest.approx(own.statistic, abs=1e-12)
    if ks.value:
        assert ks.p == pytest.approx(own.pvalue, rel=1e-6, abs=1e-12)


@settings(deadline=None)
@given(MANY, MANY)
def test_kolmogorov_smirnov_of_the_rows_lies_between_the_value_and_its_bound(
    before: list[float], now: list[float]
) -> None:
    ks, own = measured(before, now)["ks"], stats.ks_2samp(before, now, method="asymp").statistic
    assert ks.value - 1e-12 <= own <= ks.value + ks.bound + 1e-12


@settings(deadline=None)
@given(st.one_of(FEW, MANY), st.one_of(FEW, MANY))
def test_the_earth_movers_distance_of_the_rows_lies_within_the_bound(before: list[float], now: list[float]) -> None:
    grid = grid_of(profiles(before, now)[0]["edges"])
    assume(max(abs(value - grid.middle) * grid.steps for value in before + now) < FARTHEST)
    assume(np.std(before) * grid.steps > 1)
    far, deviation = measured(before, now)["wasserstein"], np.std(before)
    own = stats.wasserstein_distance(before, now) / deviation
    # The deviation itself is that of numbers rounded to steps.
    unsure = 2 / (deviation * grid.steps) * (1 + own)
    assert far.value - unsure <= own * (1 + 1e-9)
    assert own * (1 - 1e-9) <= far.value + far.bound + unsure


@pytest.mark.parametrize("shift", [0.0, 0.02, 0.05, 0.1])
def test_with_many_rows_the_p_is_near_that_of_the_longer_computation(shift: float) -> None:
    chance = np.random.default_rng(2)
    ks = measured(chance.normal(size=9000), chance.normal(shift, 1, size=6000))["ks"]
    assert ks.p == pytest.approx(stats.kstwo.sf(ks.value, 3600), rel=0.02, abs=1e-6)


def test_with_many_rows_both_bounds_are_narrow() -> None:
    chance = np.random.default_rng(0)
    before, now = chance.normal(size=50_000), chance.normal(0.1, 1.1, size=50_000)
    found = measured(before, now)
    ks, far = found["ks"], found["wasserstein"]
    assert 0 <= stats.ks_2samp(before, now).statistic - ks.value <= ks.bound < 0.006
    own = stats.wasserstein_distance(before, now) / np.std(before)
    assert far.value == pytest.approx(own, rel=0.01)
    assert abs(own - far.value) <= far.bound < 0.05


@settings(deadline=None)
@given(COUNTS, COUNTS)
def test_jensen_shannon_is_that_of_scipy(before: list[int], now: list[int]) -> None:
    own = float(jensenshannon(before, now, base=2))
    assert jensen_shannon(before, now).value == pytest.approx(0.0 if np.isnan(own) else own, abs=1e-6)


@settings(deadline=None)
@given(COUNTS, COUNTS)
def test_chi_square_is_that_of_scipy(before: list[int], now: list[int]) -> None:
    table = np.array([before, now])
    table = table[:, table.sum(axis=0) > 0]
    found, own = chi_square(before, now), stats.chi2_contingency(table, correction=False)
    assert found.value == pytest.approx(own.statistic, rel=1e-9, abs=1e-9)
    assert found.p == pytest.approx(own.pvalue, rel=1e-6, abs=1e-12)


@settings(deadline=None)
@given(st.lists(st.none() | st.just(1.0), min_size=1), st.lists(st.none() | st.just(1.0), min_size=1))
def test_the_test_of_missing_rates_is_chi_square_of_the_two_by_two_table(before: list[Any], now: list[Any]) -> None:
    found = measured(before, now)["missing"]
    table = [[rows.count(None), len(rows) - rows.count(None)] for rows in (before, now)]
    assert found.value == pytest.approx(now.count(None) / len(now) - before.count(None) / len(before))
    assert found.p == pytest.approx(chi_square(*table).p, abs=1e-9)


def test_a_sample_has_not_moved_from_itself_by_any_measure() -> None:
    sample = [*np.random.default_rng(0).normal(size=999), None]
    found = measured(sample, sample)
    assert set(found) == {"psi", "jensen_shannon", "ks", "wasserstein", "missing"}
    assert {measure.value for measure in found.values()} == {0.0}
    assert {measure.p for measure in found.values()} == {1.0, None}


def test_the_order_of_the_shift_is_kept_by_each_measure() -> None:
    chance = np.random.default_rng(1)
    before = chance.normal(size=4000)
    steps = [measured(before, chance.normal(shift, 1, 4000)) for shift in (0.0, 0.2, 0.6, 1.5)]
    for name in ("psi", "jensen_shannon", "ks", "wasserstein"):
        assert all(one[name].value < other[name].value for one, other in pairwise(steps))
    assert [round(step["wasserstein"].value, 1) for step in steps] == [0.0, 0.2, 0.6, 1.5]


def test_new_categories_are_expected_as_often_as_the_reference_has_seen_some_once() -> None:
    settled, rare = ["a", "b"] * 1000, ["a", "b"] * 950 + [f"r{n}" for n in range(100)]
    now = ["a"] * 190 + ["new"] * 10
    assert new_categories(*texts(settled, now)).value == 0.05
    assert (new_categories(*texts(settled, now)).p or 0) == pytest.approx(stats.binom.sf(9, 200, 1 / 2001))
    assert (new_categories(*texts(rare, now)).p or 0) > 0.3
    assert new_categories(*texts(settled, settled)).p == 1.0


def test_a_column_without_rows_or_values_has_only_the_measures_that_make_sense() -> None:
    assert measures_of(*profiles([1.0, 2.0], [])) == []
    assert [measure.name for measure in measures_of(*profiles([1.0, 2.0], [None]))] == ["missing"]
    assert "wasserstein" not in measured([3.0] * 9, [4.0] * 9)
    assert "wasserstein" not in {
        m.name for m in measures_of({"edges": [1.0], "counts": [2, 1], "missing": 0}, profiles([1.0], [1.0])[1])
    }


ROOT = Path(__file__).parents[2]
EVIDENTLY = ROOT / ".venv-evidently" / "bin" / "python"
ANSWERS = Path(__file__).parent / "evidently.json"


def same_columns() -> dict[str, dict[str, list[Any]]]:
    """Return columns of 4,000 rows before and 1,000 now, in whole hundredths so that any machine has the same."""
    chance = np.random.RandomState(5)
    names, shares = ["a", "b", "c", "d"], [0.4, 0.3, 0.2, 0.1]
    drawn = {
        "same": [chance.normal(0, 1, rows) for rows in (4000, 1000)],
        "shifted": [chance.normal(0, 1, 4000), chance.normal(0.15, 1, 1000)],
        "wider": [chance.normal(0, 1, 4000), chance.normal(0, 1.3, 1000)],
        "skewed": [chance.lognormal(0, 1, 4000), chance.lognormal(0.1, 1, 1000)],
        "steps": [chance.randint(0, 12, 4000), chance.randint(1, 12, 1000)],
    }
    columns: dict[str, list[list[Any]]] = {n: [np.round(v, 2).tolist() for v in both] for n, both in drawn.items()}
    columns["texts"] = [chance.choice(names, rows, p=shares).tolist() for rows in (4000, 1000)]
    columns["moved texts"] = [columns["texts"][0], chance.choice(names, 1000, p=shares[::-1]).tolist()]
    return {name: {"before": before, "now": now} for name, (before, now) in columns.items()}


@pytest.mark.slow
def test_what_is_kept_of_evidently_is_what_it_says(tmp_path: Path) -> None:
    if not EVIDENTLY.exists():
        pytest.skip("NOT HELD AGAINST EVIDENTLY ITSELF: .venv-evidently is not there; make evidently")
    asked, answers = tmp_path / "columns.json", tmp_path / "answers.json"
    asked.write_text(json.dumps(same_columns()))
    subprocess.run([EVIDENTLY, Path(__file__).with_name("ask_evidently.py"), asked, answers], check=True)
    kept, said = json.loads(ANSWERS.read_text()), json.loads(answers.read_text())
    assert said["columns"].keys() == kept["columns"].keys()
    for name, values in said["columns"].items():
        assert values == pytest.approx(kept["columns"][name], rel=1e-9), said["evidently"]


@pytest.mark.parametrize("name", ["same", "shifted", "wider", "skewed", "steps"])
def test_numbers_move_as_far_as_evidently_says(name: str) -> None:
    column, theirs = same_columns()[name], json.loads(ANSWERS.read_text())["columns"][name]
    found = measured(column["before"], column["now"])
    far, ks = found["wasserstein"], found["ks"]
    assert far.value - 0.002 <= theirs["wasserstein"] <= far.value + far.bound
    assert far.value == pytest.approx(theirs["wasserstein"], rel=0.02)
    # Evidently tells the p alone, up to 10,000 rows the exact one, which lies near the asymptotic one that is ours: between
    # that of our distance and that of the distance with its bound.
    greatest = float(stats.kstwo.sf(ks.value + ks.bound, 800))
    assert greatest - 1e-9 <= theirs["ks"] <= (ks.p or 0.0) * 1.05
    assert (theirs["ks"] < 0.05) == ((ks.p or 0.0) < 0.05)


@pytest.mark.parametrize("name", ["texts", "moved texts"])
def test_texts_move_as_far_as_evidently_says(name: str) -> None:
    column, theirs = same_columns()[name], json.loads(ANSWERS.read_text())["columns"][name]
    found = {measure.name: measure for measure in measures_of(*texts(column["before"], column["now"]))}
    # Evidently takes the natural logarithm, and ours has half a row a bin more in the index.
    assert found["jensen_shannon"].value * np.log(2) ** 0.5 == pytest.approx(theirs["jensen_shannon"], abs=1e-6)
    assert found["psi"].value == pytest.approx(theirs["psi"], rel=0.02)
