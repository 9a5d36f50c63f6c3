"""What may be said about retraining, and how it reads back."""

from datetime import timedelta

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from headrace.automation.declaration import Budget, Confirm, Money, Retrain, Trigger
from headrace.automation.verify import verify_triggers
from headrace.core.errors import DeclarationError
from headrace.monitoring.declaration import Monitors
from headrace.serving.declaration import Serve

SPAN = st.integers(1, 400).map(lambda days: timedelta(days=days))
TRIGGERS = st.one_of(
    st.sampled_from(["drift", "quality", "estimated", "freshness", "schema", "code"]).map(lambda on: Trigger(on=on)),
    SPAN.map(lambda span: Trigger(on="age", older_than=span)),
    st.integers(1, 10**9).map(lambda rows: Trigger(on="rows", more_rows=rows)),
    st.integers(1, 500).map(lambda share: Trigger(on="rows", more_share=share / 100)),
)
MONEY = st.integers(1, 10**6).map(lambda cents: Money(amount=cents / 100, currency="EUR"))
BUDGETS = st.one_of(
    st.builds(Budget, trainings=st.integers(1, 99), per=SPAN),
    st.builds(Budget, trainings=st.integers(1, 99) | st.none(), cost=MONEY, per=SPAN),
)
CONFIRMS = st.integers(1, 100).flatmap(lambda of: st.builds(Confirm, windows=st.integers(1, of), of=st.just(of)))


@given(st.lists(TRIGGERS, max_size=6), BUDGETS, CONFIRMS, st.integers(1, 100))
def test_what_is_declared_reads_back_as_it_was_written(
    when: list[Trigger], budget: Budget, confirm: Confirm, clear: int
) -> None:
    policy = Retrain(when=when, budget=budget, confirm=confirm, clear=clear / 100)
    again = Retrain.model_validate_json(policy.model_dump_json())
    assert again.model_dump_json() == policy.model_dump_json()
    assert again.budget == policy.budget


def test_a_budget_may_be_written_as_a_text_or_key_by_key_for_the_editor_too() -> None:
    schema = Retrain.model_json_schema()
    for budget in (
        "8 per 30d",
        "5 USD per 30d",
        "8 and 5 USD per 30d",
        {"trainings": 8, "cost": "5 USD", "per": "30d"},
    ):
        jsonschema.validate({"budget": budget}, schema)
        assert Retrain.model_validate({"budget": budget}).budget.per == timedelta(days=30)
    assert str(Retrain.model_validate({"budget": {"cost": "5 USD", "per": "30d"}}).budget) == "5 USD per 30d"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"when": ["drfit"]}, "'drfit' is no trigger; there are drift, shifts, quality, estimated"),
        ({"when": ["rows > -1"]}, "'rows > -1' is no trigger"),
        ({"when": ["rows > 0"]}, "greater than or equal to 1"),
        ({"budget": "often"}, "'often' is no budget: write <number> per <duration>"),
        ({"budget": {"per": "30d"}}, "a budget needs a number of trainings, a cost or both"),
        ({"budget": {"cost": "5", "per": "30d"}}, "'5' is no amount of money"),
        ({"confirm": "3 of 2"}, "3 of 2 windows can never be"),
        ({"confirm": "mostly"}, "'mostly' is no number of windows"),
        ({"clear": "0%"}, "greater than 0"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_words(said: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Retrain.model_validate(said)


def test_a_budget_in_money_needs_a_price_in_its_currency() -> None:
    policy = Retrain.model_validate({"budget": "5 USD per 30d"})
    priced = Serve.model_validate({"price": {"cpu_hour": 0.04, "currency": "USD"}})
    verify_triggers(policy, Monitors(), priced)
    with pytest.raises(DeclarationError, match="nobody says what an hour of a processor costs"):
        verify_triggers(policy, Monitors(), Serve())
    other = Serve.model_validate({"price": {"cpu_hour": 0.04, "currency": "EUR"}})
    with pytest.raises(DeclarationError, match="is in USD, and the price of `serve: price:` in EUR"):
        verify_triggers(policy, Monitors(), other)
