"""Which policy the evidence is for."""

from datetime import timedelta

import numpy as np
import pytest

from headrace.backtest.result import Figures, compared, figures_of, weeks_of
from headrace.core.days import Days
from platform_tests.backtest.world import DAYS, START, history_of, lives, rows, world_of


def figures(policy: str, weeks: list[float | None], cpu: float, trainings: int = 0) -> Figures:
    dated = [(START + timedelta(days=7 * n), value) for n, value in enumerate(weeks)]
    known = [value for value in weeks if value is not None]
    facts = {"released": trainings, "mean": float(np.mean(known)) if known else None, "worst": min(known, default=None)}
    nothing = {"worst_week": None, "beyond": None, "episodes": 0, "detected": 0, "delay_days": None, "cost": None}
    return Figures(policy=policy, left_out=(), trainings=[], weeks=dated, cpu_seconds=cpu, **facts, **nothing)  # type: ignore[arg-type]


def noisy(level: float, seed: int) -> list[float | None]:
    return list(
        level + 0.02 * np.random.default_rng(0).normal(size=30) + 0.002 * np.random.default_rng(seed).normal(size=30)
    )


def test_the_cheapest_is_recommended_of_those_that_chance_may_have_kept_from_being_the_best() -> None:
    found = [
        figures("never", noisy(0.65, 1), 1),
        figures("weekly", noisy(0.7005, 2), 90),
        figures("drift", noisy(0.7, 3), 20),
    ]
    judged, recommended, why = compared(found, "auc")
    assert recommended == "drift"
    assert [one.is_surely_worse for one in judged] == [True, False, False]
    assert "may be chance" in why
    assert "Surely worse than weekly: never -0.05" in why


def test_of_a_metric_that_falls_the_least_is_best() -> None:
    found = [figures("never", noisy(9.0, 1), 1), figures("weekly", noisy(8.0, 2), 90)]
    judged, recommended, _ = compared(found, "rmse")
    assert recommended == "weekly"
    assert judged[0].is_surely_worse


def test_few_weeks_recommend_nothing() -> None:
    found = [figures("never", [0.7] * 5, 1), figures("weekly", [0.8] * 5, 2)]
    assert compared(found, "auc")[1] is None
    assert "5 measured weeks tell too little" in compared(found, "auc")[2]


def test_equal_policies_recommend_the_cheapest_in_about_as_many_worlds_as_declared() -> None:
    wrong = 0
    for seed in range(200):
        chance = np.random.default_rng(seed)
        shared = chance.normal(0.7, 0.02, 40)
        found = [
            figures(name, list(shared + chance.normal(0, 0.01, 40)), cpu) for name, cpu in (("cheap", 1), ("dear", 9))
        ]
        wrong += compared(found, "auc")[1] != "cheap"
    # The better one of two equals is taken as the best: a two-sided 95 % interval of it then misses on one side, 2.5 %.
    assert wrong <= 12, "binomial, 200 at 2.5 %: 12 or more once in 200 such tests"


@pytest.mark.parametrize("turned", [DAYS, 40])
def test_figures_are_of_whole_weeks_and_the_worst_is_where_the_world_turned(turned: int) -> None:
    history = history_of(rows(turned=turned))
    world = world_of(history)
    life = lives(history, "never", world=lambda _: world)["never"]
    found = figures_of(life, world, history.days)
    weeks = weeks_of(life, history.days)
    assert all(len(week) == 7 for week in weeks)
    assert weeks[0].first == life.releases[0] + timedelta(days=1)
    assert weeks[-1].last <= history.days.last < weeks[-1].last + timedelta(days=7)
    assert found.mean == pytest.approx(np.mean([value for _, value in found.weeks]))
    assert found.detected == 0
    if turned == DAYS:
        assert (found.beyond, found.episodes, found.delay_days) == (0, 0, None)
    else:
        assert found.worst_week
        assert found.worst_week > START + timedelta(days=turned - 7)
        assert found.worst is not None
        assert found.worst < 0.3
        assert found.episodes == 1
        assert found.beyond == pytest.approx(DAYS - turned, abs=7)


def test_the_delay_is_counted_from_the_first_day_beyond_the_limit_to_the_training() -> None:
    history = history_of(rows(turned=40))
    world = world_of(history)
    life = lives(history, "quality", world=lambda _: world)["quality"]
    found = figures_of(life, world, history.days)
    assert (found.episodes >= 1, found.detected >= 1) == (True, True)
    assert found.delay_days is not None
    assert 0 <= found.delay_days <= 4


def test_who_trains_again_does_better_where_most_of_the_history_is_new() -> None:
    history = history_of(rows(turned=20))
    world = world_of(history)
    found = lives(history, "never", "weekly", world=lambda _: world)
    never, weekly = (figures_of(life, world, history.days) for life in found.values())
    assert weekly.mean is not None
    assert never.mean is not None
    assert weekly.mean > never.mean + 0.1
    assert compared([never, weekly], "auc")[1] == "weekly"


def test_the_days_of_a_history_are_local_days() -> None:
    history = history_of(rows(), "America/New_York")
    assert history.days == Days(START - timedelta(days=1), START + timedelta(days=DAYS - 1))
    place = history.between(START, START)
    first, last = (
        history.rows["at"][number].as_py().astimezone(history.zone) for number in (place.start, place.stop - 1)
    )
    assert first.date() == last.date() == START
    assert history.rows["at"][place.start - 1].as_py().astimezone(history.zone).date() < START
    assert history.rows["at"][place.stop].as_py().astimezone(history.zone).date() > START
