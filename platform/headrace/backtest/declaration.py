"""What a user may say about the policies that a back-test compares."""

import re
from collections.abc import Sequence
from datetime import timedelta

from pydantic import ValidationError

from headrace.automation.declaration import Budget, Retrain, Trigger, parse_trigger
from headrace.core.declaration import Declaration
from headrace.core.errors import DeclarationError
from headrace.core.names import did_you_mean, parse_duration
from headrace.monitoring.declaration import Monitors

SCHEDULES = {"daily": timedelta(days=1), "weekly": timedelta(days=7), "monthly": timedelta(days=30)}
REPLAYED = ("drift", "quality", "freshness", "age", "rows")
"""The triggers that a history of rows and labels decides. What a schema or code once was is in no table."""
WORDS = ("never", *SCHEDULES, "every <duration>", "declared", "drift", "quality", "freshness", "age > <duration>")
_SLACK = timedelta(hours=2)
"""Local days are an hour shorter or longer where clocks change."""
_UNBOUND = Budget(trainings=31, per=timedelta(days=30))
"""As many as there are days."""


class Policy(Declaration):
    """One way to decide about training again, and what it is called."""

    name: str
    retrain: Retrain
    left_out: tuple[str, ...] = ()
    """Triggers of the declaration that cannot be replayed."""


def policy_of(words: str, declared: Retrain, monitors: Monitors) -> Policy:
    """Return the policy that words such as "never", "weekly", "every 14d", "drift, age > 30d" or "declared" say.

    Triggers keep the declared cooldown, budget, confirmation and hysteresis; a schedule has none but itself. Raises DeclarationError
    for words that are no policy, and for a trigger that never fires or cannot be replayed.
    """
    name = " ".join(words.split())
    every = re.fullmatch(r"every (\w+)", name)
    if name == "never":
        return Policy(name=name, retrain=declared.model_copy(update={"when": []}))
    if name in SCHEDULES or every:
        return Policy(name=name, retrain=_schedule(_span(name, every[1]) if every else SCHEDULES[name], declared))
    if name == "declared":
        kept = [trigger for trigger in declared.when if trigger.on in REPLAYED]
        left = tuple(str(trigger) for trigger in declared.when if trigger.on not in REPLAYED)
        return Policy(name=name, retrain=declared.model_copy(update={"when": kept}), left_out=left)
    triggers = _triggers(name)
    _refuse_silent(name, triggers, monitors)
    return Policy(name=name, retrain=declared.model_copy(update={"when": triggers}))


def policies_of(words: Sequence[str], declared: Retrain, monitors: Monitors) -> list[Policy]:
    """Return the policies, each once; where nothing is said, those that most products choose between."""
    usual = ["never", "weekly", "drift", *(["quality"] if monitors.quality.has_limit else []), "declared"]
    found = {(one := policy_of(word, declared, monitors)).name: one for word in words or usual}
    return list(found.values())


def _schedule(span: timedelta, declared: Retrain) -> Retrain:
    always = Trigger(on="age")
    return declared.model_copy(update={"when": [always], "cooldown": span - _SLACK, "budget": _UNBOUND})


def _span(name: str, text: str) -> timedelta:
    try:
        span: timedelta = parse_duration(text)
    except ValueError as error:
        raise DeclarationError(f"--policy '{name}': {error}") from None
    if span < timedelta(days=1):
        raise DeclarationError(f"--policy '{name}': a back-test goes from day to day; say every 1d or more")
    return span


def _triggers(name: str) -> list[Trigger]:
    try:
        triggers = [Trigger.model_validate(parse_trigger(part)) for part in name.split(",")]
    except ValidationError as error:
        raise DeclarationError(f"--policy '{name}': {error.errors()[0]['msg']}") from None
    except ValueError:
        raise DeclarationError(
            f"'{name}' is no policy; there are {', '.join(WORDS)}, and triggers with commas between them."
            f"{did_you_mean(name, WORDS)}"
        ) from None
    for trigger in triggers:
        if trigger.on not in REPLAYED:
            raise DeclarationError(
                f"--policy '{name}': `{trigger.on}` cannot be replayed; {', '.join(REPLAYED)} can. Leave it out"
            )
    return triggers


def _refuse_silent(name: str, triggers: Sequence[Trigger], monitors: Monitors) -> None:
    kinds = {trigger.on for trigger in triggers}
    if "quality" in kinds and not monitors.quality.has_limit:
        raise DeclarationError(
            f"--policy '{name}' never fires without a limit: declare `monitors: {{quality: {{floor: ...}}}}`, or a ceiling"
        )
    if "freshness" in kinds and monitors.freshness is None:
        raise DeclarationError(f"--policy '{name}' never fires without a limit: declare `monitors: {{freshness: 60d}}`")
