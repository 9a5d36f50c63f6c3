"""What can be wrong with a canary, checked without data."""

from headrace.core.errors import DeclarationError
from headrace.rollout.declaration import Canary


def verify_canary(canary: Canary | None, *, is_online: bool, has_model: bool) -> None:
    """Raise DeclarationError for a canary that would never hear of a request."""
    if canary and not has_model:
        raise DeclarationError("a canary is of models: declare `model:`, or take `canary:` out", ("serve", "canary"))
    if canary and not is_online:
        raise DeclarationError(
            "a canary is judged by requests, and none are served: say `online: {}` beside it, or take it out",
            ("serve", "canary"),
        )
