"""Gates: what a candidate must meet. What cannot be measured is a refusal."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from headrace.models.declaration import Gate
from headrace.models.evaluate import LEAST_ROWS, Evaluation, Measured


@dataclass(frozen=True)
class Verdict:
    """One gate, held against one evaluation."""

    gate: str
    passed: bool
    value: float | None
    limit: float | None
    why: str


class Duel(BaseModel):
    """Candidate and champion on the same rows, which neither has trained on."""

    candidate: Evaluation
    champion: Evaluation


def judge(gates: Sequence[Gate], candidate: Evaluation, duel: Duel | None) -> list[Verdict]:
    """Return a verdict for each gate, for each slice where it is by slice.

    Absolute gates look at the whole test, relative ones at the duel; without a live model relative gates pass.
    """
    return [verdict for gate in gates for verdict in _verdicts(gate, candidate, duel)]


def _verdicts(gate: Gate, candidate: Evaluation, duel: Duel | None) -> Iterator[Verdict]:
    champion = duel.champion if duel else None
    if gate.champion and duel:
        candidate = duel.candidate
    if gate.champion and not duel:
        yield Verdict(str(gate), True, None, None, "no model is live yet")
    elif gate.by is None:
        yield _verdict(str(gate), gate, candidate.overall, champion and champion.overall)
    elif gate.by not in candidate.slices:
        yield Verdict(str(gate), False, None, None, f"nothing was measured by '{gate.by}'")
    else:
        for value, measured in candidate.slices[gate.by].items():
            name = f"{gate} [{value}]"
            if measured.rows < LEAST_ROWS:
                yield Verdict(name, True, None, None, f"only {measured.rows} rows: too few to judge by")
            else:
                yield _verdict(name, gate, measured, champion and champion.slices.get(gate.by, {}).get(value))


def _verdict(name: str, gate: Gate, measured: Measured, other: Measured | None) -> Verdict:
    value = measured.metrics.get(gate.metric)
    if value is None or not math.isfinite(value):
        return Verdict(name, False, None, None, f"no {gate.metric}: {measured.note or 'it was not measured'}")
    limit = gate.limit
    if gate.champion:
        theirs = other.metrics.get(gate.metric) if other else None
        if theirs is None or not math.isfinite(theirs):
            return Verdict(name, False, value, None, f"the champion has no {gate.metric} on the same rows")
        limit += theirs
    passed = value >= limit if gate.comparison == ">=" else value <= limit
    return Verdict(name, passed, value, limit, f"{value:.4f} {gate.comparison if passed else 'is not ' + gate.comparison} {limit:.4f}")
