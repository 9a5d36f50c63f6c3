"""Blocks: what is drawn together, and that intervals hold the truth as often as they say."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from headrace.evaluation.metrics import auc, ranked
from headrace.models.blocks import LEAST_BLOCKS, MOST_BLOCKS, SAMPLES, blocks_of, drawn, interval

SPRING = datetime(2024, 3, 1, tzinfo=UTC)


def times(days: int, a_day: int = 4) -> pa.ChunkedArray:
    moments = [SPRING + timedelta(days=day, hours=24 * n / a_day) for day in range(days) for n in range(a_day)]
    return pa.chunked_array([pa.array(moments, pa.timestamp("us", "UTC"))])


def test_rows_of_one_local_day_are_drawn_together() -> None:
    blocks = blocks_of(times(12), "UTC")
    assert blocks.tolist() == [day for day in range(12) for _ in range(4)]
    assert blocks_of(times(12), "America/New_York").tolist()[:3] == [0, 1, 1]


def test_few_days_are_cut_into_parts_of_their_time() -> None:
    blocks = blocks_of(times(3, a_day=40), "UTC")
    assert np.bincount(blocks).tolist() == [12] * LEAST_BLOCKS
    assert (np.diff(blocks) >= 0).all()


def test_many_days_are_joined_with_their_neighbours() -> None:
    blocks = blocks_of(times(365), "UTC")
    assert blocks.max() + 1 == MOST_BLOCKS
    assert (np.diff(blocks) >= 0).all()


def test_fewer_rows_than_blocks_are_a_block_each() -> None:
    assert blocks_of(times(1, a_day=3), "UTC").tolist() == [0, 1, 2]


def test_each_sample_draws_as_many_blocks_as_there_are_and_the_first_is_the_rows_as_they_are() -> None:
    draws = drawn(30)
    assert draws.shape == (SAMPLES + 1, 30)
    assert (draws[0] == 1).all()
    assert (draws.sum(axis=1) == 30).all()
    assert (drawn(30) == draws).all()


def test_a_metric_without_a_value_in_one_sample_of_twenty_has_no_interval() -> None:
    values = np.concatenate([[0.5], np.where(np.arange(SAMPLES) % 15 == 0, np.nan, 0.5)])
    assert interval(values, 30, 0.95) is None
    assert interval(np.full(SAMPLES + 1, 0.5), 30, 0.95) == (0.5, 0.5)


def returns(days: int, a_day: int, differing: float, seed: int) -> tuple[np.ndarray, ...]:
    """Return answers, scores and days: how much returns follow the score, and how many there are, differs by day."""
    chance = np.random.default_rng(seed)
    day, scores = np.repeat(np.arange(days), a_day), chance.normal(size=days * a_day)
    slope, level = 1 + differing / 2 * chance.normal(size=days), differing * chance.normal(size=days)
    odds = level[day] + slope[day] * scores - 1
    return (chance.random(len(day)) < 1 / (1 + np.exp(-odds))).astype(int), scores, day


def covered(days: int, a_day: int, differing: float) -> float:
    """Return how often, of 150 worlds, the interval of the AUC at 95 % holds that of the whole world."""
    answers, scores, _ = returns(20_000, 50, differing, 99)
    whole = auc(ranked(answers, scores), np.ones((1, 1)))[0]
    held = 0
    for seed in range(150):
        rows = ranked(*returns(days, a_day, differing, seed))
        low, high = interval(auc(rows, drawn(rows.count)), rows.count, 0.95) or (0, 0)
        held += low <= whole <= high
    return held / 150


@pytest.mark.slow
@pytest.mark.parametrize(("days", "a_day"), [(10, 25), (28, 100), (90, 100)])
@pytest.mark.parametrize("differing", [0.0, 1.0])
def test_an_interval_at_95_holds_the_truth_about_95_times_of_100_whether_days_differ_or_not(
    days: int, a_day: int, differing: float
) -> None:
    assert 0.89 <= covered(days, a_day, differing) <= 0.99
