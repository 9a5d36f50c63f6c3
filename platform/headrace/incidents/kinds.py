"""Kinds of alarms, and which check of which asset raises which."""

from collections.abc import Sequence
from typing import Literal, get_args

Kind = Literal[
    "drift",
    "quality",
    "estimated",
    "freshness",
    "contract",
    "files",
    "skew",
    "check",
    "gate_failed",
    "rolled_back",
    "failed_run",
    "failed_sensor",
    "tampered",
]
"""`rolled_back`: by hand or by the canary. `check`: any other check whose failure is an error. `tampered`: what the guard of
releases has found. `failed_sensor`: a sensor or schedule of the product whose looks fail."""
KINDS: tuple[Kind, ...] = get_args(Kind)
ELSEWHERE = frozenset({"guarded", "mirrored", "released", "gates", "attached"})
"""Checks whose failures the release log and the guard write down themselves, or that mend themselves."""
_BY_NAME: dict[str, Kind] = {"freshness": "freshness", "skew": "skew"}
_BY_LAYER: dict[str, Kind] = {"validated": "contract", "raw": "files"}
_BY_ASSET: dict[str, Kind] = {"drift": "drift", "shifts": "drift", "quality": "quality", "estimated": "estimated"}
NEEDS_ERROR = frozenset({"contract", "files", "check"})
"""Of these, a failure that is a warning is none: some rows were set aside, as declared."""


def kind_of(asset: Sequence[str], check: str, *, severe: bool) -> Kind | None:
    """Return which kind of alarm a failure of a check is; None for none. `asset` is its key: product, layer, name."""
    layer, name = (*asset[1:], "", "")[:2]
    if check in ELSEWHERE:
        return None
    kind = _BY_NAME.get(check) or _BY_LAYER.get(layer)
    if kind is None and layer == "monitoring":
        kind = next((_BY_ASSET[word] for word in (name, check) if word in _BY_ASSET), None)
    kind = kind or "check"
    return None if kind in NEEDS_ERROR and not severe else kind
