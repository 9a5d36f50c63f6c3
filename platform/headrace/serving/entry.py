"""Who may ask for what: a rule for each path, made into the hook of the server's protocol."""

from collections.abc import Mapping

from headrace.access.admission import Admission, Headers, Open, Rule
from headrace.access.guard import Guard
from headrace.access.keyring import Scope
from headrace.access.keys import keys_of
from headrace.access.limits import Limiter
from headrace.access.protocol import GuardedProtocol
from headrace.access.tls import refuse_plain
from headrace.core.errors import Refused
from headrace.core.place import Place
from headrace.serving.served import Served

RULES: Mapping[str, Scope | None] = {
    "/": None,
    "/openapi.json": None,
    "/healthz": None,
    "/readyz": None,
    "/v1/predict": "predict",
    "/v1/explain": "explain",
    "/v1/model": "predict",
    "/v1/card": "predict",
    "/v2": "predict",
    "/v2/health/live": None,
    "/v2/health/ready": None,
    "/metrics": "metrics",
}
"""Path → the scope that its key must have; None for everybody."""
BELOW: Mapping[str, Scope] = {"/v2/models/": "predict"}
"""The same, for all paths that begin so."""


class Entry(GuardedProtocol):
    """The protocol of a worker process; its guard is set before the first connection."""


def guard(served: Served, place: Place, *, with_keys: bool) -> Guard:
    """Return what the connections of a worker share: with keys, a path that no rule names is for nobody."""
    free = frozenset(path for path, scope in RULES.items() if scope is None)
    if not with_keys:
        return Guard(served.limits, _everybody, free)
    keys = keys_of(place, served.product)
    rules = {path: Rule(keys, scope) if scope else Open() for path, scope in RULES.items()}
    below = {path: Rule(keys, scope) for path, scope in BELOW.items()}
    return Guard(served.limits, Admission(rules, Limiter(served.limits), below), free)


def _everybody(_: str, __: Headers, ___: str) -> None:
    """Let in who asks from this machine."""


def refuse_without_keys(host: str) -> None:
    """Raise Refused where a server without keys would listen to more than this machine."""
    try:
        refuse_plain(host, None)
    except Refused:
        raise Refused(
            f"Without keys anybody who reaches {host} could ask: listen on 127.0.0.1, or make keys: headrace keys create"
        ) from None
