"""What can be wrong with the control loop, checked without data."""

from headrace.automation.declaration import Retrain
from headrace.core.errors import DeclarationError
from headrace.monitoring.declaration import Monitors
from headrace.serving.declaration import Serve


def verify_triggers(retrain: Retrain, monitors: Monitors, serve: Serve) -> None:
    """Raise DeclarationError for a trigger that was asked for and has no limit to fire at, or a budget that nobody can count."""
    asked = {trigger.on for trigger in retrain.when} if "when" in retrain.model_fields_set else set()
    needs = {
        "shifts": monitors.drift.shift_checks or None,
        "quality": monitors.quality.has_limit or None,
        "freshness": monitors.freshness,
    }
    examples = {
        "shifts": "monitors: {drift: {multivariate: {domain_classifier: {auc: 0.65}}}}",
        "quality": "monitors: {quality: {floor: 0.7}}",
        "freshness": "monitors: {freshness: 60d}",
    }
    for trigger, limit in needs.items():
        if trigger in asked and limit is None:
            raise DeclarationError(
                f"'{trigger}' would never fire: it has no limit. Say one, such as {examples[trigger]}, or leave it out.",
                ("retrain", "when"),
            )
    cost = retrain.budget.cost
    if cost and serve.price is None:
        raise DeclarationError(
            f"The budget is {cost}, and nobody says what an hour of a processor costs: "
            f"serve: {{price: {{cpu_hour: 0.04, currency: {cost.currency}}}}}",
            ("retrain", "budget"),
        )
    if cost and serve.price and serve.price.currency != cost.currency:
        raise DeclarationError(
            f"The budget is in {cost.currency}, and the price of `serve: price:` in {serve.price.currency}: say both in one.",
            ("retrain", "budget"),
        )
