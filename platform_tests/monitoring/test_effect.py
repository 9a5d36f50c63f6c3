"""What a cause may do to the metric: scikit-learn is the oracle of the weighted metric, rows that are drawn anew that of the estimate."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from headrace.models.encode import inputs_of
from headrace.monitoring.bins import codes_of, columns_of
from headrace.monitoring.effect import ScoredRows, expected_effect, weighted_auc
from headrace.monitoring.slices import Condition, Found, Searched, Slice

ROWS = st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.floats(0.1, 5)), min_size=4, max_size=60)


@given(ROWS)
@settings(deadline=None)
def test_the_weighted_auc_is_that_of_scikit_learn(rows: list[tuple[int, bool, float]]) -> None:
    scores, answers, weights = (np.array(part, dtype=float) for part in zip(*rows, strict=True))
    if len(set(answers)) < 2:
        assert weighted_auc(answers, scores, weights) is None
    else:
        assert weighted_auc(answers, scores, weights) == pytest.approx(
            roc_auc_score(answers, scores, sample_weight=weights)
        )


def world(count: int, high: float, seed: int) -> tuple[pa.Table, Any, Any]:
    """Return rows of two levels, scores and answers; a model ranks rows of the high level worse."""
    chance = np.random.default_rng(seed)
    level = np.where(chance.random(count) < high, 9.0, 1.0) + chance.random(count) * 0.5
    site = chance.choice(["a", "b"], size=count)
    truth = chance.normal(size=count)
    answers = (truth + chance.normal(size=count) > 0).astype(float)
    noise = np.where(level > 5, 4.0, 0.3)
    return pa.table({"level": level, "site": site}), truth + noise * chance.normal(size=count), answers


def asked(before: pa.Table, after: pa.Table, tested: pa.Table) -> tuple[Searched, Any]:
    columns = columns_of(before, inputs_of(before, []))
    days = np.zeros(after.num_rows, dtype=np.int64)
    window = Searched(columns, codes_of(before, columns), codes_of(after, columns), days, 0.2)
    return window, codes_of(tested, columns)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_estimate_is_what_rows_of_the_window_show(task: Any) -> None:
    before, _, _ = world(20_000, 0.2, 0)
    tested, scores, answers = world(20_000, 0.2, 1)
    after, later_scores, later_answers = world(20_000, 0.6, 2)
    window, codes = asked(before, after, tested)
    effect = expected_effect(ScoredRows(codes, scores, answers, task), window, Found("values", Slice(), 0, 50.0))
    assert effect is not None
    if task == "classification":
        seen = roc_auc_score(later_answers, later_scores) - roc_auc_score(answers, scores)
        assert effect.metric == "auc"
    else:
        seen = np.sqrt(((later_answers - later_scores) ** 2).mean()) - np.sqrt(((answers - scores) ** 2).mean())
        assert effect.metric == "rmse"
    assert abs(seen) > 0.03
    assert effect.value == pytest.approx(seen, abs=0.25 * abs(seen))


def test_a_slice_with_another_share_weighs_its_rows_more() -> None:
    before, _, _ = world(20_000, 0.19, 0)
    tested, scores, answers = world(20_000, 0.2, 1)
    after, later_scores, later_answers = world(20_000, 0.6, 2)
    window, codes = asked(before, after, tested)
    [level] = [place for place, column in enumerate(window.columns) if column.name == "level"]
    column = window.columns[level]
    first = int(np.searchsorted(column.edges, 5.0))
    high = Slice((Condition(level, first, column.ordinary - 1),))
    effect = expected_effect(
        ScoredRows(codes, scores, answers, "classification"), window, Found("share", high, level, 50.0)
    )
    seen = roc_auc_score(later_answers, later_scores) - roc_auc_score(answers, scores)
    assert effect is not None
    assert effect.value == pytest.approx(seen, abs=0.25 * abs(seen))


def test_values_that_no_test_row_has_leave_the_effect_unknown() -> None:
    before, _, _ = world(5000, 0.2, 0)
    tested, scores, answers = world(5000, 0.2, 1)
    after = before.set_column(0, "level", pa.nulls(5000, pa.float64()))
    window, codes = asked(before, after, tested)
    effect = expected_effect(
        ScoredRows(codes, scores, answers, "classification"), window, Found("values", Slice(), 0, 50.0)
    )
    assert effect is not None
    assert (effect.value, effect.unseen) == (None, 1.0)


def test_a_ranking_has_no_estimate() -> None:
    before, scores, answers = world(500, 0.2, 0)
    window, codes = asked(before, before, before)
    assert (
        expected_effect(ScoredRows(codes, scores, answers, "ranking"), window, Found("values", Slice(), 0, 9.0)) is None
    )
