"""What a declaration says of a server under load, held against whether there is one."""

from collections.abc import Sequence

from headrace.core.errors import DeclarationError
from headrace.evaluation.declaration import Gate, under_load
from headrace.serving.declaration import Serve


def verify_load(serve: Serve, gates: Sequence[Gate], *, has_model: bool) -> None:
    """Raise DeclarationError where a promise, or a gate under load, is about a server that nobody declares."""
    if serve.online and has_model:
        return
    lacks = "say `serve: {online: {}}`, or take it out" if has_model else "there is no model to serve: take it out"
    for gate in under_load(gates):
        raise DeclarationError(f"'{gate}' is held against a load test of the server: {lacks}.", ("gates",))
    if serve.promised:
        raise DeclarationError(f"`sla` is promised of the server: {lacks}.", ("serve", "sla"))
