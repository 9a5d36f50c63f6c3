"""What a user may say about retraining."""

import re
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from headrace.core.declaration import Declaration
from headrace.core.names import Duration, Share, did_you_mean, duration_text, parse_duration, share_text

Kind = Literal["drift", "shifts", "quality", "estimated", "freshness", "age", "rows", "schema", "code"]
WORDS = ("drift", "shifts", "quality", "estimated", "freshness", "schema", "code")
"""The triggers that are a word alone."""
TRIGGERS = (*WORDS, "age > <duration>", "rows > <number or share>")
Obstacle = Literal["late_source", "broken_contract"]


class Trigger(Declaration):
    """One reason to retrain: `drift`, `shifts`, `quality`, `estimated`, `freshness`, `schema`, `code`, `age > 30d`, `rows > 20%` or `rows > 100000`."""

    on: Kind
    older_than: Duration | None = None
    """Of `age`: how old the live model may be."""
    more_rows: int | None = Field(default=None, ge=1)
    """Of `rows`: how many labelled rows more than the live model was trained on there may be."""
    more_share: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Of `rows`: the same, as a share of those that it was trained on."""

    def __str__(self) -> str:
        if self.older_than:
            return f"age > {duration_text(self.older_than)}"
        if self.more_share:
            return f"rows > {share_text(self.more_share)}"
        return f"rows > {self.more_rows}" if self.more_rows else self.on


class Money(Declaration):
    """An amount of money: `5 USD`."""

    amount: float = Field(gt=0, allow_inf_nan=False)
    currency: str = Field(pattern=r"^[A-Z]{3}$")

    def __str__(self) -> str:
        return f"{self.amount:.15g} {self.currency}"


def parse_money(text: Any) -> Any:
    """Return the money that a text such as "5 USD" says."""
    if not isinstance(text, str):
        return text
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s+([A-Z]{3})", text.strip())
    if not found:
        raise ValueError(f"'{text}' is no amount of money: write <number> <currency>, such as 5 USD")
    return {"amount": float(found[1]), "currency": found[2]}


MoneyText = Annotated[Money, BeforeValidator(parse_money, json_schema_input_type=str), PlainSerializer(str)]


class Budget(Declaration):
    """How much at most: `8 per 30d`, `5 USD per 30d`, `8 and 5 USD per 30d`, or `{trainings: 8, cost: 5 USD, per: 30d}`."""

    trainings: int | None = Field(default=None, ge=1)
    """How many trainings."""
    cost: MoneyText | None = None
    """What they may cost, in the currency of `serve: price:`: the processor time of training, tuning, evaluation and load test."""
    per: Duration = Field(gt=timedelta())
    """In how long a period."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.trainings is None and self.cost is None:
            raise ValueError("a budget needs a number of trainings, a cost or both, such as 8 per 30d")
        return self

    def __str__(self) -> str:
        parts = [str(part) for part in (self.trainings, self.cost) if part is not None]
        return f"{' and '.join(parts)} per {duration_text(self.per)}"


class Confirm(Declaration):
    """How many of the last windows must lie beyond a limit: `2 of 3`."""

    windows: int = Field(ge=1)
    of: int = Field(ge=1, le=100)

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.windows > self.of:
            raise ValueError(f"{self.windows} of {self.of} windows can never be: write the smaller number first")
        return self

    def __str__(self) -> str:
        return f"{self.windows} of {self.of}"


def parse_trigger(text: Any) -> Any:
    """Return the trigger that a text such as "age > 30d" says."""
    if not isinstance(text, str):
        return text
    age = re.fullmatch(r"age\s*>\s*(\w+)", text.strip())
    if age:
        return {"on": "age", "older_than": parse_duration(age[1])}
    share = re.fullmatch(r"rows\s*>\s*(\d+(?:\.\d+)?)\s*%", text.strip())
    if share:
        return {"on": "rows", "more_share": float(share[1]) / 100}
    rows = re.fullmatch(r"rows\s*>\s*(\d[\d_]*)", text.strip())
    if rows:
        return {"on": "rows", "more_rows": int(rows[1])}
    if text.strip() not in WORDS:
        raise ValueError(f"'{text}' is no trigger; there are {', '.join(TRIGGERS)}.{did_you_mean(text, TRIGGERS)}")
    return {"on": text.strip()}


def parse_budget(text: Any) -> Any:
    """Return the budget that a text such as "8 per 30d" says."""
    if not isinstance(text, str):
        return text
    found = re.fullmatch(r"(?:(\d+)(?: and (?=\d))?)?(?:(?<![\d.])(\d[\d.]* [A-Z]{3}))?\s+per\s+(\w+)", text.strip())
    if not found:
        raise ValueError(
            f"'{text}' is no budget: write <number> per <duration>, such as 8 per 30d, 5 USD per 30d or 8 and 5 USD per 30d"
        )
    parts = {"trainings": found[1] and int(found[1]), "cost": found[2], "per": parse_duration(found[3])}
    return {name: part for name, part in parts.items() if part is not None}


def parse_confirm(text: Any) -> Any:
    """Return what a text such as "2 of 3" says."""
    if not isinstance(text, str):
        return text
    found = re.fullmatch(r"(\d+)\s+of\s+(\d+)", text.strip())
    if not found:
        raise ValueError(f"'{text}' is no number of windows: write <number> of <number>, such as 2 of 3")
    return {"windows": int(found[1]), "of": int(found[2])}


TriggerText = Annotated[Trigger, BeforeValidator(parse_trigger, json_schema_input_type=str), PlainSerializer(str)]
BudgetText = Annotated[Budget, BeforeValidator(parse_budget, json_schema_input_type=str | Budget), PlainSerializer(str)]
ConfirmText = Annotated[Confirm, BeforeValidator(parse_confirm, json_schema_input_type=str), PlainSerializer(str)]


class Retrain(Declaration):
    """When the model is trained again, and when it must not be."""

    when: list[TriggerText] = Field(default=[Trigger(on="drift"), Trigger(on="quality")])
    """Any of these is a reason."""
    unless: list[Obstacle] = Field(default=["late_source", "broken_contract"])
    """Each of these forbids it."""
    confirm: ConfirmText = Confirm(windows=1, of=1)
    """In how many of the last windows drift, shifts, quality or estimated quality must lie beyond its limit: `2 of 3`."""
    clear: Annotated[Share, Field(gt=0, le=1)] = 0.8
    """An alarm ends where it has come back below this share of its limit. One that a training has answered, and that goes on, is a reason
    again once it is as much worse, or a period of the budget has passed."""
    cooldown: Duration = timedelta(days=3)
    """The least time between two trainings. While no model is live, a training that failed is tried again at once, three times in all."""
    budget: BudgetText = Budget(trainings=8, per=timedelta(days=30))
    """How many trainings a period may have, and what they may cost: `8 per 30d`, `{trainings: 8, cost: 5 USD, per: 30d}`."""
