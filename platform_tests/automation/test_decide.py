"""The decision to train: a pure function, so every rule of it can be stated."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from headrace.automation.alarm import Reading
from headrace.automation.decide import Decision, Grown, Seen, Signal, Spent, decide
from headrace.automation.declaration import Budget, Confirm, Retrain

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


def test_how_each_trigger_stands_is_said_when_nothing_is_done() -> None:
    policy = Retrain.model_validate({"when": ["drift", "quality", "age > 30d", "rows > 20%", "schema", "code"]})
    read = {"drift": (Reading(NOW, 0.62, "PSI of temp is 0.155"),)}
    decision = decide(policy, seen(readings=read, grown=Grown(1000, 1030)), NOW)
    assert str(decision) == (
        "Nothing to do: drift: at 62% of its limit; quality: no check fails; age: live for 10.0 d of 30d; "
        "rows: 30 labelled rows more than the 1,000 that the live model was trained on, of 20%; "
        "schema: as when the live model was trained; code: as when the live model was trained."
    )


@pytest.mark.parametrize(("on", "what"), [("estimated", "auc is about 0.61"), ("freshness", "judged on old labels")])
def test_a_failed_check_trains_where_it_is_a_trigger(on: str, what: str) -> None:
    policy = Retrain.model_validate({"when": [on]})
    decision = decide(policy, seen(signals=(Signal(on, what),)), NOW)  # type: ignore[arg-type]
    assert str(decision) == f"Train: {on}: {what}"


def test_new_labelled_rows_train_above_a_number_or_a_share_of_those_that_the_live_model_has_seen() -> None:
    for text, enough in (("rows > 20%", 1201), ("rows > 100", 1101)):
        policy = Retrain.model_validate({"when": [text]})
        assert not decide(policy, seen(grown=Grown(1000, enough - 1)), NOW).train
        decision = decide(policy, seen(grown=Grown(1000, enough)), NOW)
        assert decision.train
        assert f"{enough - 1000} labelled rows more than the 1,000" in str(decision)
        assert not decide(policy, seen(), NOW).train


@pytest.mark.parametrize("on", ["schema", "code"])
def test_another_contract_or_other_feature_code_trains(on: str) -> None:
    policy = Retrain.model_validate({"when": [on]})
    assert not decide(policy, seen(changed={"schema" if on == "code" else "code": "something else"}), NOW).train
    decision = decide(policy, seen(changed={on: "shop/features/habit: Feature as declared"}), NOW)
    assert str(decision) == f"Train: {on}: shop/features/habit: Feature as declared"


def test_a_window_beyond_the_limit_waits_until_others_confirm_it_whatever_the_last_check_said() -> None:
    policy = POLICY_OF_MANY.model_copy(update={"confirm": Confirm(windows=2, of=3)})
    once = (Reading(NOW - timedelta(days=1), 0.5, "low"), Reading(NOW, 1.5, "far"))
    decision = decide(policy, seen(signals=(DRIFT,), readings={"drift": once}), NOW)
    assert not decision.train
    assert "drift: beyond its limit in 1 of the last 3 windows, 2 confirm it: far" in str(decision)
    twice = (*once, Reading(NOW, 1.5, "far"))
    assert str(decide(policy, seen(signals=(DRIFT,), readings={"drift": twice}), NOW)) == f"Train: drift: {DRIFT.what}"
    assert str(decide(policy, seen(readings={"drift": twice}), NOW)) == "Train: drift: far"


def test_an_alarm_whose_training_came_to_no_end_is_still_a_reason_and_one_that_was_judged_is_not() -> None:
    read = {"drift": tuple(Reading(NOW - timedelta(days=d), 1.1, "far") for d in (6, 5, 4, 3, 2, 1, 0))}
    failed = seen(readings=read, trainings=days_ago(5), decided_at=NOW - timedelta(days=9))
    assert decide(POLICY_OF_MANY, failed, NOW).train
    judged = seen(readings=read, trainings=days_ago(5), decided_at=NOW - timedelta(days=4.9))
    assert not decide(POLICY_OF_MANY, judged, NOW).train


def test_no_training_is_launched_that_would_probably_cost_more_than_is_left() -> None:
    policy = Retrain.model_validate({"when": ["drift"], "cooldown": "1h", "budget": "5 USD per 30d"})
    costs = tuple(Spent(at, 2.0) for at in days_ago(20, 10))
    spent = seen(signals=(DRIFT,), trainings=days_ago(20, 10), costs=costs)
    assert "budget: 4 of 5 USD are spent, and a training takes about 2" in str(decide(policy, spent, NOW))
    assert decide(policy, seen(signals=(DRIFT,), trainings=days_ago(31, 10), costs=costs[1:]), NOW).train
    failed = seen(signals=(DRIFT,), trainings=days_ago(20, 10), costs=costs[:1])
    assert not decide(policy, failed, NOW).train, "one that failed was not measured, and cost as much"


def test_flapping_around_the_limit_for_a_thousand_windows_costs_less_than_the_budget_and_hides_no_real_shift() -> None:
    """FAULTS.md, row 26."""
    policy = Retrain.model_validate({"when": ["drift"], "confirm": "2 of 3", "cooldown": "3d", "budget": "8 per 30d"})
    for seed in range(20):
        chance = np.random.default_rng(seed)
        flapping = chance.uniform(0.85, 1.15, 1000)
        trained = _live_through(policy, [*flapping, *([2.0] * 3)])
        assert len([n for n in trained if n < 1000]) <= 1000 / 30 + 1
        assert all(len([n for n in trained if start <= n < start + 30]) <= 8 for start in range(1000))
        assert any(1000 <= n < 1003 for n in trained), "a real shift is caught within three windows"


def _live_through(policy: Retrain, ratios: list[float]) -> list[int]:
    """Return at which windows is trained; each candidate is refused, so that nothing ever mends the drift."""
    trained: list[int] = []
    for n in range(len(ratios)):
        now = NOW + timedelta(days=n)
        first = max(0, n - 200)
        read = [Reading(NOW + timedelta(days=first + k), r, "") for k, r in enumerate(ratios[first : n + 1])]
        at = tuple(NOW + timedelta(days=k) for k in trained)
        state = seen(readings={"drift": tuple(read)}, trainings=at, decided_at=at[-1] if at else None)
        if decide(policy, state, now).train:
            trained.append(n)
    return trained


class Life(RuleBasedStateMachine):
    """Whatever happens to a product, day by day."""

    def __init__(self) -> None:
        super().__init__()
        self.policy = Retrain.model_validate(
            {
                "when": ["drift", "quality", "age > 9d", "rows > 20%"],
                "confirm": "2 of 3",
                "budget": "3 and 9 USD per 30d",
            }
        )
        self.now, self.live, self.trainings = NOW, NOW, list[datetime]()
        self.costs, self.read = list[Spent](), list[Reading]()
        self.state, self.decided = seen(), Decision(False, (), ())

    @rule(
        hours=st.integers(1, 200),
        ratio=st.floats(0, 3),
        blocked=st.sampled_from(["", "busy", "waits", "lacks", "late_sources", "broken_contracts"]),
        ends=st.sampled_from(["released", "refused", "failed"]),
        cost=st.floats(0.1, 4),
    )
    def time_passes(self, hours: int, ratio: float, blocked: str, ends: str, cost: float) -> None:
        self.now += timedelta(hours=hours)
        self.read.append(Reading(self.now, ratio, f"at {ratio}"))
        obstacle = {blocked: ("x",) if blocked.endswith("s") and blocked not in ("waits", "lacks") else "x"}
        changes: dict[str, object] = {
            "live_since": self.live,
            "readings": {"drift": tuple(self.read)},
            "trainings": tuple(self.trainings),
            "costs": tuple(self.costs),
            "decided_at": self.trainings[-1] if self.trainings else None,
        }
        self.blocked, self.state = blocked, seen(**changes | (obstacle if blocked else {}))
        self.decided = decide(self.policy, self.state, self.now)
        if self.decided.train:
            assert not blocked
            self._trained(ends, cost)

    def _trained(self, ends: str, cost: float) -> None:
        before = self.trainings[-1] if self.trainings else None
        assert before is None or self.now - before >= self.policy.cooldown
        self.trainings.append(self.now)
        if ends != "failed":
            self.costs.append(Spent(self.now, cost))
        if ends == "released":
            self.live, self.read = self.now, []

    @invariant()
    def no_period_has_more_trainings_than_the_budget(self) -> None:
        period = timedelta(days=30)
        assert all(sum(s <= at < s + period for at in self.trainings) <= 3 for s in self.trainings)

    @invariant()
    def no_period_costs_more_than_the_budget_and_what_the_last_training_cost_unexpectedly(self) -> None:
        period = [s.amount for s in self.costs if self.now - s.at < timedelta(days=30)]
        assert sum(period[:-1]) <= 9

    @invariant()
    def the_same_is_decided_again_and_said_in_words(self) -> None:
        again = decide(self.policy, self.state, self.now)
        assert decide(self.policy, self.state, self.now) == again
        assert str(again).startswith(("Train: ", "Nothing to do: ", "Not now ("))
        assert again.train == (bool(again.reasons) and not again.obstacles)


TestWhateverHappens = Life.TestCase
