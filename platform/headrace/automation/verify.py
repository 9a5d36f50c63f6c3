"""What can be wrong with the control loop, checked without data."""

from headrace.automation.declaration import Retrain
from headrace.core.errors import DeclarationError
from headrace.monitoring.declaration import Monitors


def verify_triggers(retrain: Retrain, monitors: Monitors) -> None:
    """Raise DeclarationError for a trigger that was asked for and has no limit to fire at."""
    asked = {trigger.on for trigger in retrain.when} if "when" in retrain.model_fields_set else set()
    needs = {"quality": monitors.quality.floor, "freshness": monitors.freshness}
    examples = {"quality": "monitors: {quality: {floor: 0.7}}", "freshness": "monitors: {freshness: 60d}"}
    for trigger, limit in needs.items():
        if trigger in asked and limit is None:
            raise DeclarationError(
                f"'{trigger}' would never fire: it has no limit. Say one, such as {examples[trigger]}, or leave it out.",
                ("retrain", "when"),
            )
