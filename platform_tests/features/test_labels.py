"""Moved labels: 5 % turned around are found where days are alike, and days that differ raise no alarm."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from headrace.features.declaration import Label
from headrace.features.labels import moved_labels

LABEL = Label(sql="label.sql", entity="order_id", time="at", column="returned", known_after=timedelta(days=1))
SPRING = datetime(2024, 3, 1, tzinfo=UTC)


def labelled(seed: int, *, days: int = 60, a_day: int = 1000, differing: float = 0.0, turned: float = 0.0) -> pa.Table:
    """Return labels of which about a fifth are 1, more or less by day; of the newest seven days a share is turned around."""
    chance = np.random.default_rng(seed)
    day = np.repeat(np.arange(days), a_day)
    odds = (-1.4 + differing * chance.normal(size=days))[day]
    labels = chance.random(len(day)) < 1 / (1 + np.exp(-odds))
    labels ^= (chance.random(len(day)) < turned) & (day >= days - 7)
    moments = np.datetime64(SPRING.replace(tzinfo=None), "us") + day.astype("timedelta64[D]")
    return pa.table({"at": pa.array(moments, pa.timestamp("us", "UTC")), "returned": labels.astype(np.int8)})


@pytest.mark.parametrize("share", [0.05, 0.1, 0.3, 1.0])
def test_labels_that_were_turned_around_in_the_newest_week_are_found(share: float) -> None:
    assert sum(moved_labels(labelled(seed, turned=share), LABEL, "UTC").found for seed in range(20)) >= 19


@pytest.mark.parametrize("differing", [0.0, 0.3, 1.0])
def test_of_a_hundred_weeks_like_those_before_hardly_one_is_called_moved(differing: float) -> None:
    found = sum(moved_labels(labelled(s, a_day=100, differing=differing), LABEL, "UTC").found for s in range(100))
    assert found <= 2


def test_what_is_said_names_both_means_and_what_days_explain() -> None:
    moved = moved_labels(labelled(0, turned=1.0), LABEL, "UTC")
    assert moved.value == pytest.approx(0.6, abs=0.03)
    assert moved.what.startswith("the mean label of the newest 7 days is 0.8")
    assert "and days explain up to 0.0" in moved.what


def test_labels_that_never_differed_and_then_do_are_moved() -> None:
    rows = labelled(0)
    same = rows.set_column(1, "returned", pa.array((np.arange(rows.num_rows) >= 59_000).astype(np.int8)))
    assert moved_labels(same, LABEL, "UTC").found


@pytest.mark.parametrize("days", [0, 1, 20])
def test_few_days_tell_nothing(days: int) -> None:
    moved = moved_labels(labelled(0, days=days, turned=1.0), LABEL, "UTC")
    assert not moved.found
    assert "are too few to tell by" in moved.what


def test_labels_that_are_numbers_are_compared_by_their_mean() -> None:
    rows = labelled(0)
    numbers = 100 + rows["returned"].to_numpy() * 5.0
    numbers[-7000:] *= 1.1
    moved = moved_labels(rows.set_column(1, "returned", pa.array(numbers)), LABEL, "UTC")
    assert (moved.found, moved.value == pytest.approx(10, abs=0.5)) == (True, True)
