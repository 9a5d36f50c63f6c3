"""A server that is asked for long neither grows nor fails: its processes, and how growth is told from noise."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import linregress

from benchmarks.steady import MEANS, WARM, Sample, growth_of, line_of, measured

SECONDS, RATE = 600.0, 300.0
"""Ten minutes: 180,000 requests, of which each may leave 16 bytes before a step of an allocator's (3 MB) is passed."""


def samples(mb_an_hour: float, *, seconds: int = 1800, warm_mb: float = 0.0, noise_mb: float = 0.5) -> list[Sample]:
    """Return what is seen each second of a process that grows by so much, and by `warm_mb` in its first minutes."""
    chance = np.random.default_rng(4)
    return [
        Sample(s, 140 + mb_an_hour * s / 3600 + warm_mb * min(s / 200, 1) + noise_mb * chance.normal(), 40)
        for s in range(seconds)
    ]


def of(seen: list[Sample]) -> Any:
    """Return hours and megabytes."""
    return np.array([(s.at_s / 3600, s.pss_mb) for s in seen]).T


@pytest.mark.parametrize("mb_an_hour", [0.0, 0.5, 40.0, -3.0])
def test_growth_is_told_within_its_error_and_warming_up_does_not_count(mb_an_hour: float) -> None:
    found = growth_of(samples(mb_an_hour, warm_mb=50))
    assert abs(found.mb_an_hour - mb_an_hour) < 4 * found.error < 1.0
    assert found.holds == (mb_an_hour < 1)


def test_what_never_changes_does_not_grow() -> None:
    found = growth_of(samples(0.0, noise_mb=0.0))
    assert (found.mb_an_hour, found.error, found.holds) == (
        pytest.approx(0.0, abs=1e-9),
        pytest.approx(0.0, abs=1e-9),
        True,
    )


def test_a_step_of_an_allocator_is_no_growth_and_several_are() -> None:
    def stepped(step_mb: float) -> list[Sample]:
        return [Sample(s, 140 + step_mb * (s > 500), 40) for s in range(600)]

    assert growth_of(stepped(2.5)).holds
    assert not growth_of(stepped(5.0)).holds


def test_the_slope_is_that_of_least_squares_over_all_seconds() -> None:
    seen = samples(7.0)
    warm = seen[int(len(seen) * WARM) :]
    assert len(warm) % MEANS == 0
    assert growth_of(seen).mb_an_hour == pytest.approx(linregress(*of(warm)).slope, rel=0.02)
    line = linregress(*of(seen))
    assert line_of(*of(seen)) == pytest.approx((line.slope, line.stderr))


@pytest.mark.slow
def test_a_server_that_is_asked_for_ten_minutes_does_not_grow_and_answers_all(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    found = measured(tmp_path, SECONDS, RATE)
    said = {name: str(growth_of(seen)) for name, seen in found.samples.items()}
    record_property("steady", f"{found.step.asked} requests, {said}")
    assert found.step.failed == 0, found.step
    for name, seen in found.samples.items():
        growth = growth_of(seen)
        assert growth.holds, (name, said)
        assert growth.files[1] <= growth.files[0] + 2, (name, said)
