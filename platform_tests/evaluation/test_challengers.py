"""The gate's error rates: 200 worlds each with a challenger that is worse, at the limit, equal or better by a known distance.

Champion and challenger score the same rows of the same days; days differ in level and in how much can be told. What is
known of each distance is its mean over a world of a million rows, so that a release is right or wrong by the truth.
"""

from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
import pyarrow as pa
import pytest

from headrace.evaluation.duel import compare
from headrace.evaluation.evaluate import Measuring, sample
from headrace.evaluation.gate import judge
from headrace.evaluation.metrics import auc, ranked
from headrace.models.blocks import Array
from platform_tests.models.shop import LABEL, gates

pytestmark = pytest.mark.slow

WORLDS, DAYS, A_DAY = 200, 28, 250
LIMIT = "auc >= champion - 0.005"
SPRING = datetime(2024, 3, 1, tzinfo=UTC)
SHARED = 1.0
"""How much of their noise both models share: they see the same features."""


def world(seed: int, days: int, a_day: int) -> tuple[Array, Array, Array, Array]:
    """Return what came true, the champion's noise, the challenger's own noise, and what can be told, a row each."""
    chance = np.random.default_rng(seed)
    day = np.repeat(np.arange(days), a_day)
    told = chance.normal(size=len(day))
    odds = (1.5 + 0.3 * chance.normal(size=days))[day] * told + (0.7 * chance.normal(size=days))[day] - 1
    came_true = (chance.random(len(day)) < 1 / (1 + np.exp(-odds))).astype(np.int8)
    return came_true, chance.normal(size=len(day)), chance.normal(size=len(day)), told


def champion_scores(told: Array, noise: Array) -> Array:
    return 1 / (1 + np.exp(-(told + SHARED * noise - 1)))


def challenger_scores(told: Array, noise: Array, own: Array, level: float) -> Array:
    """Return scores with as much of the champion's noise, a little of their own, and `level` more or less of all."""
    return 1 / (1 + np.exp(-(told + level * (0.95 * noise + np.sqrt(1 - 0.95**2) * own) - 1)))


@cache
def true_distance(level: float) -> float:
    """Return how far the challenger's AUC lies above the champion's in a world of a million rows."""
    came_true, noise, own, told = world(99, 20_000, 50)
    both = (challenger_scores(told, noise, own, level), champion_scores(told, noise))
    ours, theirs = (float(auc(ranked(came_true, scores), np.ones((1, 1)))[0]) for scores in both)
    return ours - theirs


@cache
def level_of(distance: float) -> float:
    """Return the level of noise that puts the challenger so far above the champion."""
    low, high = 0.2, 2.0
    for _ in range(14):
        middle = (low + high) / 2
        low, high = (middle, high) if true_distance(middle) > distance else (low, middle)
    return (low + high) / 2


def is_released(seed: int, level: float) -> bool:
    came_true, noise, own, told = world(seed, DAYS, A_DAY)
    count = len(came_true)
    at = [SPRING + timedelta(days=DAYS) * (n / count) for n in range(count)]
    names = [f"o{n}" for n in range(count)]
    rows = pa.table({"order_id": names, "at": pa.array(at, pa.timestamp("us", "UTC")), "returned": came_true})
    measuring = Measuring(LABEL)
    ours, theirs = (
        sample(rows, scores, measuring)
        for scores in (challenger_scores(told, noise, own, level), champion_scores(told, noise))
    )
    duel = compare(rows, ours, theirs, measuring)
    return all(verdict.passed for verdict in judge(gates(LIMIT), duel.candidate, duel))


def released(distance: float) -> int:
    """Return how many of 200 challengers at a distance are released, and print it."""
    level = level_of(distance)
    count = sum(is_released(seed, level) for seed in range(WORLDS))
    print(f"  true AUC {true_distance(level):+.4f} against the champion: {count:3d} of {WORLDS} released by {LIMIT}")  # noqa: T201  the table is read with -s
    return count


def test_of_200_worse_challengers_none_is_released() -> None:
    assert released(-0.02) == 0


def test_of_200_challengers_at_the_very_limit_hardly_one_is_released() -> None:
    assert released(-0.005) <= 12


def test_of_200_equal_challengers_those_are_released_that_the_rows_can_tell_from_worse_ones() -> None:
    assert 20 <= released(0.0) <= 200


def test_of_200_clearly_better_challengers_at_least_190_are_released() -> None:
    assert released(0.02) >= 190
