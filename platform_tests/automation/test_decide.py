"""The decision to train: a pure function, so every rule of it can be stated."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from headrace.automation.decide import Seen, Signal, decide
from headrace.automation.declaration import Budget, Retrain

NOW = datetime(2013, 9, 1, tzinfo=UTC)
POLICY = Retrain.model_validate({"when": ["drift", "quality", "age > 30d"], "cooldown": "3d", "budget": "2 per 30d"})
POLICY_OF_MANY = POLICY.model_copy(update={"budget": Budget(trainings=100, per=timedelta(days=30))})
DRIFT = Signal("drift", "PSI of weather_now_temp is 0.41, limit 0.25, since 2013-07-04")


def days_ago(*days: float) -> tuple[datetime, ...]:
    return tuple(NOW - timedelta(days=d) for d in days)


def seen(**changes: object) -> Seen:
    return Seen(**{"live_since": NOW - timedelta(days=10), **changes})  # type: ignore[arg-type]


def test_a_product_without_a_model_trains_one() -> None:
    assert decide(POLICY, seen(live_since=None), NOW).reasons == ("no model is live yet",)


def test_nothing_is_done_for_no_reason_and_it_says_so() -> None:
    decision = decide(POLICY, seen(), NOW)
    assert not decision.train
    assert "Nothing to do" in str(decision)


def test_drift_trains_and_is_quoted() -> None:
    decision = decide(POLICY, seen(signals=(DRIFT,)), NOW)
    assert decision.train
    assert str(decision) == f"Train: drift: {DRIFT.what}"


def test_a_signal_that_the_policy_does_not_name_is_no_reason() -> None:
    assert not decide(POLICY, seen(signals=(Signal("freshness", "old"),)), NOW).train


def test_age_trains_only_when_past_its_limit() -> None:
    assert not decide(POLICY, seen(live_since=NOW - timedelta(days=30)), NOW).train
    assert decide(POLICY, seen(live_since=NOW - timedelta(days=30, seconds=1)), NOW).train


def test_a_late_source_or_a_broken_contract_forbids_training() -> None:
    for obstacle in ({"late_sources": ("weather is 3 d late",)}, {"broken_contracts": ("flights: 9 % bad",)}):
        decision = decide(POLICY, seen(signals=(DRIFT,), **obstacle), NOW)
        assert not decision.train
        assert str(decision).startswith("Not now (")


def test_cooldown_and_budget_hold() -> None:
    assert not decide(POLICY, seen(signals=(DRIFT,), trainings=days_ago(2.9)), NOW).train
    assert decide(POLICY, seen(signals=(DRIFT,), trainings=days_ago(3.0)), NOW).train
    assert not decide(POLICY, seen(signals=(DRIFT,), trainings=days_ago(20, 10)), NOW).train
    assert decide(POLICY, seen(signals=(DRIFT,), trainings=days_ago(31, 10)), NOW).train


def first(**changes: object) -> Seen:
    return seen(**{"live_since": None, **changes})


def test_a_first_training_that_failed_is_tried_again_at_once_three_times_and_then_after_the_cooldown() -> None:
    minutes = [0.003, 0.002, 0.001]
    for failed in range(3):
        decision = decide(POLICY_OF_MANY, first(trainings=days_ago(*minutes[:failed])), NOW)
        assert decision.train, failed
        assert decision.reasons[0].startswith("no model is live yet")
    assert "(try 3: 2 failed)" in decision.reasons[0]
    waiting = decide(POLICY_OF_MANY, first(trainings=days_ago(*minutes)), NOW)
    assert str(waiting).startswith(
        "Not now (cooldown: last training 0.0 d ago, less than 3d, and 3 have failed in a row)"
    )
    assert decide(POLICY_OF_MANY, first(trainings=days_ago(3.2, 3.1, 3.0)), NOW).train
    assert not decide(POLICY_OF_MANY, first(trainings=days_ago(3.2, 3.1, 3.0, 0.1)), NOW).train


def test_a_first_training_that_was_refused_waits_for_the_cooldown_and_other_data() -> None:
    refused = first(trainings=days_ago(0.002), decided_at=NOW - timedelta(days=0.001))
    assert not decide(POLICY_OF_MANY, refused, NOW).train
    failed_since = first(trainings=days_ago(4, 0.002), decided_at=NOW - timedelta(days=3.9))
    assert decide(POLICY_OF_MANY, failed_since, NOW).train


def test_a_training_that_failed_beside_a_live_model_waits_for_the_cooldown() -> None:
    failed = seen(signals=(DRIFT,), trainings=days_ago(0.002), decided_at=NOW - timedelta(days=10))
    assert not decide(POLICY_OF_MANY, failed, NOW).train


def test_the_budget_holds_for_first_trainings_too() -> None:
    assert not decide(POLICY, first(trainings=days_ago(0.002, 0.001)), NOW).train


def test_nothing_starts_while_something_is_under_way() -> None:
    assert not decide(POLICY, seen(signals=(DRIFT,), busy="run 1234"), NOW).train


@given(st.lists(st.booleans(), min_size=60, max_size=120))
def test_however_the_checks_flap_the_budget_is_never_exceeded(failing: list[bool]) -> None:
    trainings: list[datetime] = []
    for day, fails in enumerate(failing):
        now = NOW + timedelta(days=day)
        if decide(POLICY, seen(signals=(DRIFT,) if fails else (), trainings=tuple(trainings)), now).train:
            trainings.append(now)
    assert all(sum(start <= t < start + timedelta(days=30) for t in trainings) <= 2 for start in trainings)


@given(st.lists(st.integers(1, 600), min_size=20, max_size=200))
def test_a_product_that_never_trains_tries_three_times_and_then_once_a_cooldown(minutes_apart: list[int]) -> None:
    now, trainings = NOW, list[datetime]()
    for minutes in minutes_apart:
        now += timedelta(minutes=minutes)
        if decide(POLICY_OF_MANY, first(trainings=tuple(trainings)), now).train:
            trainings.append(now)
    later = trainings[2:]
    assert all(b - a >= POLICY.cooldown for a, b in pairwise(later))
    assert trainings[:3] == [NOW + timedelta(minutes=sum(minutes_apart[: i + 1])) for i in range(3)]


def test_while_a_candidate_waits_for_approval_nothing_is_trained_and_it_says_so() -> None:
    waiting = seen(live_since=None, waits="model abc (decision 3)")
    decision = decide(POLICY, waiting, NOW)
    assert not decision.train
    assert str(decision) == "Not now (model abc (decision 3) waits for approval), although: no model is live yet"
    assert not decide(POLICY, seen(signals=(DRIFT,), waits="model abc (decision 3)"), NOW).train
