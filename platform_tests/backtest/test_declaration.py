"""What the words of a policy mean."""

from datetime import timedelta

import pytest

from headrace.automation.declaration import Retrain
from headrace.backtest.declaration import policies_of, policy_of
from headrace.core.errors import DeclarationError
from headrace.monitoring.declaration import Monitors

DECLARED = Retrain.model_validate(
    {"when": ["drift", "age > 30d", "schema", "code"], "cooldown": "3d", "budget": "8 per 30d"}
)
LIMITED = Monitors.model_validate({"quality": {"floor": 0.7}, "freshness": "60d"})


def test_never_has_no_trigger_and_triggers_keep_what_is_declared_beside_them() -> None:
    assert policy_of("never", DECLARED, LIMITED).retrain.when == []
    policy = policy_of("drift,  age > 9d", DECLARED, LIMITED)
    assert policy.name == "drift, age > 9d"
    assert [str(trigger) for trigger in policy.retrain.when] == ["drift", "age > 9d"]
    assert policy.retrain.cooldown == DECLARED.cooldown
    assert policy.retrain.budget == DECLARED.budget


def test_a_schedule_is_its_own_cooldown_and_budget() -> None:
    weekly, fortnight = (policy_of(words, DECLARED, LIMITED).retrain for words in ("weekly", "every 14d"))
    assert weekly.cooldown == timedelta(days=7, hours=-2)
    assert fortnight.cooldown == timedelta(days=14, hours=-2)
    assert weekly.budget.trainings == 31


def test_what_no_table_remembers_is_left_out_of_the_declared_policy_and_named() -> None:
    policy = policy_of("declared", DECLARED, LIMITED)
    assert [str(trigger) for trigger in policy.retrain.when] == ["drift", "age > 30d"]
    assert policy.left_out == ("schema", "code")


def test_without_words_those_are_compared_that_can_fire() -> None:
    assert [p.name for p in policies_of((), DECLARED, LIMITED)] == ["never", "weekly", "drift", "quality", "declared"]
    assert [p.name for p in policies_of((), DECLARED, Monitors())] == ["never", "weekly", "drift", "declared"]
    assert [p.name for p in policies_of(("drift", "never", "drift"), DECLARED, LIMITED)] == ["drift", "never"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("wekly", "'wekly' is no policy; .*Did you mean 'weekly'"),
        ("every 5 cats", "is no policy"),
        ("every 5h", "goes from day to day"),
        ("every 5x", "5x"),
        ("drift, schema", "`schema` cannot be replayed"),
        ("rows > 0%", "--policy 'rows > 0%'"),
        ("quality", "never fires without a limit: declare `monitors: {quality: {floor"),
        ("freshness", "never fires without a limit: declare `monitors: {freshness"),
    ],
)
def test_words_that_mean_nothing_are_refused_in_words(words: str, said: str) -> None:
    with pytest.raises(DeclarationError, match=said):
        policy_of(words, DECLARED, Monitors())
