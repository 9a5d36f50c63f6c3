"""Limits from the product's own history: false alarms at most as declared over seasons, and real shifts still found."""

import os
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError
from scipy.stats import binom

from headrace.core.days import DAY
from headrace.models.meta import Input
from headrace.models.profile import Profile, merged_profiles, profile_of
from headrace.monitoring.calibrate import calibrate, neighbours, together
from headrace.monitoring.declaration import Drift
from headrace.monitoring.drift import (
    MISSING,
    PSI,
    DayProfile,
    Moved,
    cells_of,
    drift_by_day,
    grouped,
    groups_of,
    stability_index,
)

YEARS = int(os.environ.get("CALIBRATION_YEARS", "6"))
"""How many pairs of years are tried; docs/drift.md tells of twenty."""
UNSEEN = 100
"""Their first seed: how many neighbours are left out was chosen on those below."""
START, YEAR, WINDOW, ROWS = date(2023, 1, 1), 364, 7, 100
INPUTS = [Input(name=f"x{n}", kind="numeric") for n in range(12)]
POLICY = Drift(window=timedelta(days=WINDOW), psi=0.2, threshold="calibrated")


def world(seed: int, days: int, shift: float = 0.0, since: int = 10**6) -> list[DayProfile]:
    """Return days of columns with a season, weekdays, and slow wandering; one of them shifts from a day on."""
    chance = np.random.default_rng(seed)
    wander, parts = np.zeros(len(INPUTS)), []
    for day in range(days):
        wander = 0.9 * wander + chance.normal(0, 0.05, len(INPUTS))
        phase = np.arange(len(INPUTS))
        middle = 0.4 * np.sin(2 * np.pi * day / YEAR + phase) + 0.2 * (day % 7 >= 5) + wander
        middle[0] += shift * (day >= since)
        drawn = chance.normal(middle, 1.0, (ROWS, len(INPUTS)))
        parts.append((START + DAY * day, pa.table({i.name: drawn[:, n] for n, i in enumerate(INPUTS)})))
    before = pa.concat_tables([rows for _, rows in parts[:YEAR]])
    bins = profile_of(before, INPUTS)
    return [DayProfile(day, profile_of(rows, INPUTS, bins)) for day, rows in parts]


def watched(parts: list[DayProfile], policy: Drift = POLICY) -> tuple[list[Moved], str]:
    """Return what moved in the days behind the first year, with limits of that year."""
    history, live = parts[:YEAR], parts[YEAR:]
    reference: Profile = merged_profiles([part.profile for part in history])
    found = calibrate(history, reference, policy)
    since = {column.name: live[0].day for column in INPUTS}
    return drift_by_day(live, reference, policy, since, found.limits), found.words


@pytest.mark.slow
def test_a_year_of_days_alarms_no_more_often_than_was_declared() -> None:
    alarming = days = 0
    for seed in range(UNSEEN, UNSEEN + YEARS):
        moved, words = watched(world(seed, 2 * YEAR))
        alarming += len({m.day for m in moved if m.alarms})
        days += len({m.day for m in moved})
        assert words.startswith(
            "limits calibrated on 358 windows of 7d of the training set, 2023-01-01 to 2023-12-30, for 1 per 30d"
        )
    windows = days // WINDOW
    most = binom.ppf(0.975, windows, 1 / 30) / windows
    assert alarming / days <= most, f"{alarming} of {days} days alarmed, at most {most:.3f} of them may"


@pytest.mark.slow
def test_a_real_shift_is_found_within_three_windows() -> None:
    moved, _ = watched(world(7, YEAR + 60, shift=1.0, since=YEAR + 30))
    first = min(m.day for m in moved if m.alarms and m.column == "x0")
    assert START + DAY * (YEAR + 30) <= first <= START + DAY * (YEAR + 30 + 3 * WINDOW)


def small(values: list[Any]) -> tuple[list[DayProfile], Profile]:
    bins = profile_of(pa.table({"x0": np.concatenate(values)}), INPUTS[:1])
    days = [profile_of(pa.table({"x0": day}), INPUTS[:1], bins) for day in values]
    return [DayProfile(START + DAY * n, day) for n, day in enumerate(days)], bins


def test_the_limit_is_what_the_declared_share_of_windows_stays_below() -> None:
    chance = np.random.default_rng(0)
    history, reference = small([chance.normal(0, 1, 50) for _ in range(120)])
    policy = Drift.model_validate({"window": "2d", "threshold": "calibrated", "false_alarms": "1 per 10d"})
    limit = calibrate(history, reference, policy).limits["x0", PSI]
    since = {"x0": START}
    moved = [m for m in drift_by_day(history, reference, policy, since, {("x0", PSI): 0.0}) if m.measure == PSI]
    beyond = sum(m.value > limit for m in moved) / len(moved)
    assert 0.05 <= beyond <= 0.12


def test_a_history_too_short_for_the_rate_says_so_and_has_no_limit_below_the_declared_one() -> None:
    chance = np.random.default_rng(0)
    history, reference = small([chance.normal(day > 20, 1, 50) for day in range(28)])
    for declared in (0.001, 0.9):
        found = calibrate(history, reference, POLICY.model_copy(update={"psi": declared}))
        assert "too few for that rate: each limit is the farthest that any of them lay, and at least" in found.words
        assert found.limits["x0", PSI] == max(farthest(history, reference), declared)
    found = calibrate(history[:20], reference, POLICY)
    assert (dict(found.limits), found.words) == (
        {},
        "the limits are those that are declared: 20 days of history are too few",
    )


def farthest(history: list[DayProfile], reference: Profile) -> float:
    """Return how far the farthest window of the history lies from all days that are no neighbours of it."""
    days = np.array([[*cells_of(part.profile["x0"]), 0] for part in history], np.float64)
    groups = groups_of(reference["x0"])
    far = []
    for first in range(len(days) - WINDOW + 1):
        rest = [n for n in range(len(days)) if not first - 5 <= n < first + WINDOW + 5]
        sides = [
            grouped(part[:-1], groups) for part in (days[rest].sum(axis=0), days[first : first + WINDOW].sum(axis=0))
        ]
        far.append(stability_index(*sides))
    return max(far)


@pytest.mark.parametrize(("days", "span", "near"), [(364, 7, 21), (60, 7, 13), (21, 7, 3), (3, 1, 0)])
def test_neighbours_are_three_windows_at_most_and_leave_half_of_the_other_days(days: int, span: int, near: int) -> None:
    assert neighbours(days, span) == near


def test_the_rate_is_that_of_windows_that_have_no_day_in_common() -> None:
    far = {"x": np.arange(1.0, 359.0)}
    assert together(far, 1 / 30, 51, {"x": 0.0}).limits["x"] == pytest.approx(353.0)
    assert together(far, 1 / 30, 358, {"x": 0.0}).limits["x"] == pytest.approx(348.0)
    assert together(far, 1 / 30, 29, {"x": 999.0}).limits["x"] == pytest.approx(358.0)
    assert together(far, 1 / 30, 28, {"x": 999.0}).limits["x"] == 999.0


def test_a_column_without_missing_values_keeps_its_declared_limit_for_them() -> None:
    chance = np.random.default_rng(0)
    history, reference = small([chance.normal(0, 1, 50) for _ in range(60)])
    found = calibrate(history, reference, POLICY)
    assert set(found.limits) == {("x0", PSI)}
    live = [
        DayProfile(START + DAY * (60 + n), profile_of(pa.table({"x0": [1.0, None]}), INPUTS[:1], reference))
        for n in range(7)
    ]
    [rise] = [
        m
        for m in drift_by_day(live, reference, POLICY, {"x0": START}, found.limits)
        if m.measure == MISSING and m.day == live[-1].day
    ]
    assert rise.limit >= POLICY.missing


def test_a_rate_is_a_number_of_days_per_a_span() -> None:
    assert Drift(false_alarms="2 per 60d").false_alarms.share == pytest.approx(1 / 30)
    assert Drift.model_validate_json(Drift(false_alarms="2 per 60d").model_dump_json()).false_alarms.days == 2
    with pytest.raises(ValidationError, match="'often' is no rate of false alarms: write <days> per <duration>"):
        Drift(false_alarms="often")
