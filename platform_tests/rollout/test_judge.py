"""What the evidence of a step allows; and in hundreds of made-up worlds, how often that is wrong and how fast harm is found."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from benchmarks.worlds import HARM, SAME, SHORT, Nature, arms_of, rollouts
from headrace.core.names import parse_share
from headrace.rollout.bounds import Sums
from headrace.rollout.declaration import Canary
from headrace.rollout.judge import (
    Arms,
    Evidence,
    Judgement,
    Measure,
    Measured,
    harm_of,
    judge,
    levels_of,
)


def sums(count: float, mean: float, deviation: float = 0.0) -> Sums:
    squares = count * (deviation**2 + mean**2)
    return Sums(count, count, count * mean, count, count * mean, squares)


def often(count: float, share: float) -> Sums:
    return sums(count, share, (share * (1 - share)) ** 0.5)


def evidence(**changes: Any) -> Evidence:
    """Return the evidence of two models that do alike in the first of two steps, but for the changes."""
    arms: Mapping[Measure, list[Arms]] = {
        "errors": [Arms(often(50_000, 0.001), often(4000, 0.001))],
        "latency": [Arms(often(50_000, 0.01), often(4000, 0.003))],
        "shift": [Arms(sums(50_000, 0.0, 1.0), sums(4000, 0.01, 1.0))],
        "quality": [],
    }
    said = Evidence(0, 2, timedelta(minutes=31), 4000, {**arms, **changes.pop("arms", {})}, slow_ms=80.0)
    return replace(said, **changes)


def of(judgement: Judgement, measure: Measure) -> Measured:
    return next(each for each in judgement.measures if each.measure == measure)


def test_models_that_do_alike_take_the_next_step_and_behind_the_last_one_the_release_takes_over() -> None:
    found = judge(evidence(), Canary())
    assert (found.verdict, found.reasons) == (
        "go_on",
        ("after 31m and 4,000 requests no harm is left that is not tolerated",),
    )
    assert judge(evidence(step=1), Canary()).verdict == "promote"


def test_a_step_waits_for_its_time_and_its_requests_and_says_so() -> None:
    found = judge(evidence(baked=timedelta(minutes=12), requests=312), Canary())
    assert found.verdict == "wait"
    assert found.reasons == ("the step has lasted 12m of 30m", "the candidate has had 312 of 500 requests")


def test_a_step_waits_while_harm_is_not_excluded_and_says_between_what_it_lies() -> None:
    found = judge(evidence(arms={"errors": [Arms(often(50_000, 0.001), often(600, 0.01))]}), Canary())
    assert found.verdict == "wait"
    [reason] = found.reasons
    assert reason.startswith("errors: 0.90% more of the requests fail, surely ")
    assert reason.endswith("tolerated 1.00%; more requests will tell")


HARMS: dict[Measure, Arms] = {
    "errors": Arms(often(20_000, 0.001), often(1000, 0.05)),
    "latency": Arms(often(20_000, 0.01), often(1000, 0.15)),
    "shift": Arms(sums(20_000, 0.0, 1.0), sums(1000, -0.5, 1.0)),
    "quality": Arms(sums(20_000, 0.15, 0.2), sums(1000, 0.21, 0.2)),
}


@pytest.mark.parametrize("measure", HARMS)
def test_what_is_surely_worse_than_tolerated_goes_back_at_once_with_its_numbers(measure: Measure) -> None:
    found = judge(evidence(arms={measure: [HARMS[measure]]}, baked=timedelta(), requests=10), Canary())
    assert found.verdict == "roll_back"
    [reason] = found.reasons
    assert reason.startswith(f"{measure}: ")
    assert "surely" in reason
    told = of(found, measure)
    assert told.least is not None
    assert told.tolerance is not None
    assert told.least > told.tolerance


@pytest.mark.parametrize("measure", HARMS)
def test_a_measure_whose_tolerance_is_null_is_shown_and_decides_nothing(measure: Measure) -> None:
    shown = Canary.model_validate({"tolerance": {measure: None}})
    found = judge(evidence(arms={measure: [HARMS[measure]]}), shown)
    assert found.verdict == "go_on"
    assert of(found, measure).harm is not None
    assert of(found, measure).tolerance is None


def test_a_shift_counts_either_way() -> None:
    up = Arms(sums(20_000, 0.0, 1.0), sums(1000, 0.5, 1.0))
    assert judge(evidence(arms={"shift": [up]}), Canary()).verdict == "roll_back"


def test_a_shift_that_may_be_none_is_surely_at_least_none() -> None:
    assert of(judge(evidence(), Canary()), "shift").least == 0


def test_labels_hold_a_step_only_if_it_lasts_until_they_come() -> None:
    assert judge(evidence(), Canary()).verdict == "go_on"
    found = judge(evidence(labels_due=True), Canary())
    assert found.verdict == "wait"
    assert found.reasons == (
        "quality: labels known of 0 entities by both models are too few to compare (100); more requests will tell",
    )


def test_quality_is_that_of_all_steps_each_compared_within_itself() -> None:
    """The second step's rows are harder for both: pooled, the candidate, which has more of them, would look worse."""
    easy = Arms(sums(40_000, 0.10, 0.1), sums(2000, 0.10, 0.1))
    hard = Arms(sums(10_000, 0.30, 0.1), sums(10_000, 0.30, 0.1))
    found = judge(evidence(arms={"quality": [easy, hard]}, labels_due=True), Canary())
    assert found.verdict == "go_on"
    assert of(found, "quality").harm == pytest.approx(0.0, abs=1e-9)


def test_pairs_of_a_shadow_step_tell_what_separate_rows_cannot() -> None:
    rows = sums(400, 0.0, 1.0)
    alone = judge(evidence(arms={"shift": [Arms(rows, rows)]}), Canary())
    paired = judge(evidence(arms={"shift": [Arms(rows, rows, sums(400, 0.0, 0.1))]}), Canary())
    assert (alone.verdict, paired.verdict) == ("wait", "go_on")


def test_what_cannot_be_measured_is_said_and_holds_nothing_and_what_holds_is_said() -> None:
    found = judge(evidence(notes={"quality": "no loss"}, labels_due=True), Canary())
    assert found.verdict == "go_on"
    assert of(found, "quality").note == "no loss"
    held = judge(evidence(holds=("nobody is named",)), Canary())
    assert (held.verdict, held.reasons) == ("wait", ("nobody is named",))


def test_where_nothing_was_asked_yet_the_step_waits() -> None:
    found = judge(Evidence(0, 2, timedelta(hours=1)), Canary())
    assert found.verdict == "wait"
    assert "errors: no requests of both models yet; more requests will tell" in found.reasons


def test_worlds_are_judged_as_evidence_is() -> None:
    """The simulations below use the same function on arrays: here one look at one world is judged alone."""
    found = arms_of(Nature(slower=3.0), SHORT, "50%", np.random.default_rng(3))
    judged = judge(evidence(arms={m: [_at(arms, 7, 60)] for m, arms in found.items()}, steps=3), SHORT)
    assert judged.verdict == "roll_back"
    for measure, tolerance in SHORT.tolerance:
        harm = harm_of(measure, [found[measure]], parse_share(tolerance), levels_of(measure, SHORT, 3))
        told = of(judged, measure)
        assert (told.harm, told.least, told.most) == tuple(part[7, 60] for part in vars(harm).values())


def _at(arms: Arms, world: int, look: int) -> Arms:
    taken = [
        Sums(*(float(part[world, look]) for part in vars(each).values())) for each in (arms.champion, arms.candidate)
    ]
    return Arms(*taken)


@pytest.mark.slow
@pytest.mark.parametrize("name", SAME)
def test_a_release_that_is_as_good_goes_back_no_more_often_than_declared(name: str) -> None:
    nature, canary = SAME[name]
    outcome = rollouts(nature, canary, seed=1)
    assert outcome.share_back <= canary.false_alarms


@pytest.mark.slow
@pytest.mark.parametrize("canary", [Canary(), SHORT], ids=["shadow", "5%"])
@pytest.mark.parametrize("name", HARM)
def test_a_release_that_does_harm_goes_back_in_19_of_20_worlds(name: str, canary: Canary) -> None:
    outcome = rollouts(HARM[name], canary, seed=2)
    assert outcome.share_back >= 0.95
