"""Who scores a row: the live model, and the one that is taking over from it, by the step that it is in.

A candidate that fails costs nobody an answer: the live model gives it, and the failure is evidence against the candidate.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from headrace.core.errors import HeadraceError, Refused
from headrace.rollout.state import assigned
from headrace.serving.watch import Lineup, Ready

Role = Literal["live", "canary", "shadow"]
Fit = Callable[[Ready], None]


class Score(NamedTuple):
    """What a model says to a row."""

    ready: Ready
    role: Role
    value: float | None
    """None where it failed."""
    seen: Sequence[float] | None = None
    """The model's inputs as numbers, where the row was scored by itself."""


def scored(line: Lineup, values: Mapping[str, Any], who: str, fit: Fit) -> tuple[Score, Score | None]:
    """Return the score that is answered and, where another model was asked beside or before, that, too.

    `who` decides which model an entity gets while one takes over; `fit` raises Refused for a model that cannot see such
    rows. Raises Refused where the live model cannot, or gives no number.
    """
    rollout, candidate = line.rollout, line.candidate
    if rollout is None or candidate is None:
        return _live(line, values, fit), None
    if rollout.shadow:
        return _live(line, values, fit), _tried(candidate, "shadow", values, fit)
    if assigned(rollout, who.encode(errors="surrogatepass")) == "champion":
        return _live(line, values, fit), None
    tried = _tried(candidate, "canary", values, fit)
    return (tried, None) if tried.value is not None else (_live(line, values, fit), tried)


def _live(line: Lineup, values: Mapping[str, Any], fit: Fit) -> Score:
    if line.over:
        raise Refused(line.over)
    ready = line.live
    fit(ready)
    seen = ready.model.encoded(values)
    value = ready.model.scored(seen)
    if not math.isfinite(value):
        raise Refused(f"Model {ready.model.digest[:12]} gives {value} for this row, which is no prediction.")
    return Score(ready, "live", value, seen)


def _tried(ready: Ready, role: Role, values: Mapping[str, Any], fit: Fit) -> Score:
    try:
        fit(ready)
        seen = ready.model.encoded(values)
        value = ready.model.scored(seen)
    except HeadraceError:
        return Score(ready, role, None)
    return Score(ready, role, value if math.isfinite(value) else None, seen)
