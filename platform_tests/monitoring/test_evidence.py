"""Evidence against chance: SciPy is the oracle."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2, chi2_contingency

from headrace.monitoring.drift import stability_index
from headrace.monitoring.evidence import contributions, distance, evidence, likelihood_ratio, of_share, of_values

COUNTS = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=2, max_size=12).filter(
    lambda pairs: all(map(sum, zip(*pairs, strict=True)))
)


def sides(pairs: list[tuple[int, int]]) -> tuple[Any, Any]:
    before, after = np.array(pairs).T
    return before, after


@given(COUNTS)
@settings(deadline=None)
def test_the_ratio_is_that_of_scipy_without_the_bins_that_both_lack(pairs: list[tuple[int, int]]) -> None:
    before, after = sides(pairs)
    known = before + after > 0
    ratio, free = likelihood_ratio(before, after)
    if known.sum() < 2:
        assert ratio == pytest.approx(0, abs=1e-8)
        return
    told = chi2_contingency([before[known], after[known]], correction=False, lambda_="log-likelihood")
    assert ratio == pytest.approx(told.statistic, abs=1e-7)
    assert free == told.dof


@given(st.floats(0.01, 600), st.integers(1, 40))
@settings(deadline=None)
def test_chance_reaches_a_ratio_no_oftener_than_the_evidence_says(ratio: float, free: int) -> None:
    assert chi2.sf(ratio, free) <= np.exp(-evidence(ratio, free)) * (1 + 1e-9)


@given(COUNTS)
@settings(deadline=None)
def test_a_sample_against_itself_gives_no_evidence_and_no_distance(pairs: list[tuple[int, int]]) -> None:
    before, _ = sides(pairs)
    nats, _ = of_values(before, before)
    assert nats == pytest.approx(0, abs=1e-8)
    assert distance(before, before) == 0


@given(COUNTS)
@settings(deadline=None)
def test_what_the_bins_add_sums_up_to_the_index(pairs: list[tuple[int, int]]) -> None:
    before, after = sides(pairs)
    parts = contributions(before, after)
    assert parts.sum() == pytest.approx(stability_index(before, after))
    assert (parts >= -1e-12).all()


def test_many_samples_at_once_are_judged_as_one_by_one() -> None:
    chance = np.random.default_rng(0)
    before, after = chance.integers(0, 90, size=(2, 7, 5))
    nats, bins = of_values(before, after)
    for row in range(7):
        one, best = of_values(before[row], after[row])
        assert (one, best) == (pytest.approx(nats[row]), bins[row])
        assert distance(before[row], after[row]) == pytest.approx(distance(before, after)[row])


def test_a_rise_of_one_bin_is_told_by_that_bin() -> None:
    before, after = np.array([100, 100, 100, 100, 100, 0]), np.array([90, 90, 90, 90, 90, 50])
    nats, best = of_values(before, after)
    assert best == 5
    assert nats > evidence(*likelihood_ratio(before, after))


def test_the_same_share_is_no_evidence_and_another_one_is() -> None:
    assert of_share(np.array(100), 1000, np.array(200), 2000) == 0
    assert of_share(np.array(100), 1000, np.array(200), 1000) > 15
