"""Headlines: the numbers of scikit-learn, or a reason."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    log_loss,
    mean_absolute_error,
    mean_pinball_loss,
    mean_squared_error,
    ndcg_score,
    roc_auc_score,
)

from headrace.models.headline import Asked, headline


def drawn(seed: int, rows: int = 60) -> tuple[Any, Any]:
    """Return answers of 0 and 1, and scores with ties."""
    chance = np.random.default_rng(seed)
    return np.r_[0.0, 1.0, chance.integers(0, 2, rows)], chance.integers(1, 9, rows + 2) / 10


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**31))
def test_numbers_are_those_of_scikit_learn(seed: int) -> None:
    answers, scores = drawn(seed)
    found = headline("classification", Asked(answers), scores).numbers
    assert found == {
        "auc": pytest.approx(roc_auc_score(answers, scores)),
        "log_loss": pytest.approx(log_loss(answers, scores)),
    }
    found = headline("regression", Asked(answers), scores).numbers
    assert found["rmse"] == pytest.approx(mean_squared_error(answers, scores) ** 0.5)
    assert found["mae"] == pytest.approx(mean_absolute_error(answers, scores))
    found = headline("quantile", Asked(answers, quantile=0.9), scores).numbers
    assert found["pinball"] == pytest.approx(mean_pinball_loss(answers, scores, alpha=0.9))


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**31))
def test_the_ndcg_is_the_mean_of_the_groups_that_can_be_ranked(seed: int) -> None:
    chance = np.random.default_rng(seed)
    groups, grades = np.repeat([0, 1, 2], 8), chance.integers(0, 4, 24).astype(float)
    grades[:8], grades[8], grades[16] = 1, 3, 3
    grades[9], grades[17] = 0, 0
    scores = chance.integers(0, 5, 24) / 5
    order = chance.permutation(24)
    wanted = [ndcg_score([2 ** grades[g] - 1], [scores[g]]) for g in (slice(8, 16), slice(16, 24))]
    found = headline("ranking", Asked(grades[order], groups[order]), scores[order]).numbers
    assert found == {"ndcg": pytest.approx(np.mean(wanted))}


@pytest.mark.parametrize(
    ("task", "answers", "scores", "why"),
    [
        ("classification", [1.0, 1.0], [0.1, 0.2], "one class only"),
        ("classification", [], [], "no rows"),
        ("regression", [1.0, 2.0], [np.nan, 0.2], "not numbers"),
        ("ranking", [1.0, 1.0], [0.1, 0.2], "no group has two grades"),
    ],
)
def test_where_nothing_can_be_said_the_reason_is(
    task: Any, answers: list[float], scores: list[float], why: str
) -> None:
    found = headline(task, Asked(np.array(answers), np.zeros(len(answers))), np.array(scores))
    assert found.numbers == {}
    assert why in found.note
    assert set(found.listed(task).values()) == {"", found.note}
