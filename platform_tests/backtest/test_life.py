"""Policies on histories whose truth is known."""

from datetime import timedelta
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from headrace.automation.evidence import end_of
from headrace.backtest.challenger import Challenger, quicker
from headrace.core.days import DAY
from platform_tests.backtest.world import A_DAY, DAYS, LABEL, MODEL, START, history_of, lives, rows, world_of

TURNED = 50


def day(number: int) -> "object":
    return START + timedelta(days=number)


def test_all_policies_begin_with_one_model_and_never_trains_no_other() -> None:
    found = lives(history_of(rows()), "never", "weekly", "quality")
    assert len({life.releases[0] for life in found.values()}) == 1
    assert len(found["never"].trainings) == 1
    assert found["quality"].trainings[1:] == [], "nothing changes, and chance alone does not reach the floor"


def test_a_week_is_a_week() -> None:
    trained = [one.day for one in lives(history_of(rows()), "weekly")["weekly"].trainings]
    assert len(trained) == (DAYS - 9) // 7 + 1
    assert {(b - a) // DAY for a, b in pairwise(trained)} == {7}


def test_a_week_is_a_week_where_clocks_change() -> None:
    found = lives(history_of(rows(), "America/New_York"), "weekly")["weekly"]
    trained = [one.day for one in found.trainings]
    assert {(b - a) // DAY for a, b in pairwise(trained)} == {7}


def test_quality_trains_when_the_world_turns_and_not_before_its_labels_are_known() -> None:
    quality = lives(history_of(rows(turned=TURNED)), "quality")["quality"]
    first = quality.trainings[1]
    assert first.day >= day(TURNED + 1), "the labels of the day are known a day later"
    assert first.day <= day(TURNED + 8), "within one window of seven days"
    assert first.reasons[0].startswith("quality: auc is ")


def test_drift_trains_when_inputs_move_whatever_comes_true() -> None:
    moved, turned = (lives(history_of(table), "drift")["drift"] for table in (rows(moved=TURNED), rows(turned=TURNED)))
    assert moved.trainings[1].day in (day(TURNED), day(TURNED + 1), day(TURNED + 2))
    assert moved.trainings[1].reasons[0].startswith("drift: PSI of ")
    assert len(turned.trainings) == 1, "the inputs are as they were"


def test_a_day_is_scored_by_a_model_that_was_live_before_it() -> None:
    weekly = lives(history_of(rows()), "weekly")["weekly"]
    at = dict.fromkeys(weekly.releases)
    for scored, by in weekly._scored_by.items():
        assert by <= end_of(scored - DAY, weekly.world.history.zone)
        assert by == end_of(max(d for d in at if d < scored), weekly.world.history.zone)
    assert np.isnan(weekly.scores[: (weekly.releases[0] - START).days * A_DAY]).all()


def test_no_model_has_seen_a_label_that_was_not_known_or_a_row_that_it_is_judged_on() -> None:
    world = world_of(history_of(rows()))
    now = end_of(day(40), world.history.zone)  # type: ignore[arg-type]
    made = world.challengers.at(now)
    assert isinstance(made, Challenger)
    assert pc.max(world.history.known_at(now)["at"]).as_py() <= now - LABEL.known_after
    assert made.newest <= now - LABEL.known_after
    assert made.predictor.meta.train_to <= made.newest - MODEL.split.span - LABEL.known_after


@pytest.mark.parametrize("policy", ["weekly", "drift", "quality"])
def test_what_comes_later_changes_nothing_before(policy: str) -> None:
    cut = 60
    before, after = rows(turned=TURNED, moved=TURNED + 4), rows(turned=TURNED, moved=TURNED + 4, seed=1)
    other = pa.concat_tables([before.slice(0, cut * A_DAY), after.slice(cut * A_DAY)])
    one, two = (lives(history_of(table), policy)[policy] for table in (before, other))
    assert np.array_equal(one.scores[: cut * A_DAY], two.scores[: cut * A_DAY], equal_nan=True)
    until = [[t.day for t in life.trainings if t.day < day(cut)] for life in (one, two)]  # type: ignore[operator]
    assert until[0] == until[1]
    assert len(until[0]) > 1


def test_a_gate_that_is_missed_leaves_the_live_model_and_says_why() -> None:
    def strict(history: object) -> object:
        return world_of(history, ("auc >= champion + 0.2",))  # type: ignore[arg-type]

    weekly = lives(history_of(rows()), "weekly", world=strict)["weekly"]  # type: ignore[arg-type]
    assert len(weekly.releases) == 1
    assert all(one.outcome.startswith("refused: auc >= champion + 0.2: ") for one in weekly.trainings[1:])
    assert set(weekly._scored_by.values()) == {weekly.trainings[0].at}


def test_a_quick_model_has_a_quarter_of_the_trees_and_others_stay() -> None:
    quick = quicker(MODEL.model_copy(update={"trees": 400, "params": {"learning_rate": 0.03}}))
    assert (quick.trees, quick.params["learning_rate"]) == (100, 0.12)
    assert quicker(MODEL.model_copy(update={"trees": 400, "params": {}})).params["learning_rate"] == 0.3
    forest = MODEL.model_copy(update={"trainer": "sklearn:sklearn.linear_model.LogisticRegression"})
    assert quicker(forest) is forest
