"""What a user may say about retraining."""

import re
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer

from headrace.core.declaration import Declaration
from headrace.core.names import Duration, did_you_mean, duration_text, parse_duration

TRIGGERS = ("drift", "quality", "freshness", "age")
Obstacle = Literal["late_source", "broken_contract"]


class Trigger(Declaration):
    """One reason to retrain: `drift`, `quality`, `freshness`, or `age > 30d`."""

    on: Literal["drift", "quality", "freshness", "age"]
    older_than: Duration | None = None

    def __str__(self) -> str:
        return f"age > {duration_text(self.older_than)}" if self.older_than else self.on


class Budget(Declaration):
    """How often at most: `8 per 30d`."""

    trainings: int = Field(ge=1)
    per: Duration

    def __str__(self) -> str:
        return f"{self.trainings} per {duration_text(self.per)}"


def parse_trigger(text: Any) -> Any:
    """Return the trigger that a text such as "age > 30d" says."""
    if not isinstance(text, str):
        return text
    age = re.fullmatch(r"age\s*>\s*(\w+)", text.strip())
    if age:
        return {"on": "age", "older_than": parse_duration(age[1])}
    if text.strip() not in TRIGGERS or text.strip() == "age":
        raise ValueError(
            f"'{text}' is no trigger; there are drift, quality, freshness, age > <duration>.{did_you_mean(text, TRIGGERS)}"
        )
    return {"on": text.strip()}


def parse_budget(text: Any) -> Any:
    """Return the budget that a text such as "8 per 30d" says."""
    if not isinstance(text, str):
        return text
    found = re.fullmatch(r"(\d+)\s+per\s+(\w+)", text.strip())
    if not found:
        raise ValueError(f"'{text}' is no budget: write <number> per <duration>, such as 8 per 30d")
    return {"trainings": int(found[1]), "per": parse_duration(found[2])}


TriggerText = Annotated[Trigger, BeforeValidator(parse_trigger, json_schema_input_type=str), PlainSerializer(str)]
BudgetText = Annotated[Budget, BeforeValidator(parse_budget, json_schema_input_type=str), PlainSerializer(str)]


class Retrain(Declaration):
    """When the model is trained again, and when it must not be."""

    when: list[TriggerText] = Field(default=[Trigger(on="drift"), Trigger(on="quality")])
    """Any of these is a reason."""
    unless: list[Obstacle] = Field(default=["late_source", "broken_contract"])
    """Each of these forbids it."""
    cooldown: Duration = timedelta(days=3)
    """The least time between two trainings. While no model is live, a training that failed is tried again at once, three times in all."""
    budget: BudgetText = Budget(trainings=8, per=timedelta(days=30))
    """How many trainings a period may have."""
