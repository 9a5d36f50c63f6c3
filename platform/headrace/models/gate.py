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

    Absolute gates look at the whole test, relative ones at the duel; without a live model relative gates pass. Fewer
    than LEAST_ROWS rows refuse a candidate as a whole; a slice that small decides nothing, but one slice must be large
    enough. With no gate declared a candidate must at least be one that can be measured.
    """
    verdicts = [verdict for gate in gates for verdict in _verdicts(gate, candidate, duel)]
    return verdicts or [_measurable(candidate.overall)]


def _verdicts(gate: Gate, candidate: Evaluation, duel: Duel | None) -> Iterator[Verdict]:
    champion = duel.champion if duel else None
    if gate.champion and duel:
        candidate = duel.candidate
    if gate.champion and not duel:
        yield Verdict(str(gate), True, None, None, "no model is live yet")
    elif gate.by is None:
        yield _verdict(str(gate), gate, candidate.overall, champion.overall if champion else None)
    else:
        yield from _by_slice(gate, candidate, champion)


def _by_slice(gate: Gate, candidate: Evaluation, champion: Evaluation | None) -> Iterator[Verdict]:
    column = gate.by or ""
    slices = candidate.slices.get(column, {})
    theirs = champion.slices.get(column, {}) if champion else {}
    if not any(measured.rows >= LEAST_ROWS for measured in slices.values()):
        why = (
            f"no value of '{column}' has {LEAST_ROWS} rows to judge by"
            if slices
            else f"nothing was measured by '{column}'"
        )
        yield Verdict(str(gate), False, None, None, why)
    for value, measured in slices.items():
        name = f"{gate} [{value}]"
        if measured.rows < LEAST_ROWS:
            yield Verdict(name, True, None, None, f"not judged: {_too_few(measured)}")
        else:
            yield _verdict(name, gate, measured, theirs.get(value))


def _verdict(name: str, gate: Gate, measured: Measured, other: Measured | None) -> Verdict:
    value = measured.metrics.get(gate.metric)
    if value is None or not math.isfinite(value):
        return Verdict(name, False, None, None, f"no {gate.metric}: {measured.note or 'it was not measured'}")
    if measured.rows < LEAST_ROWS:
        return Verdict(name, False, value, None, _too_few(measured))
    limit = gate.limit
    if gate.champion:
        theirs = other.metrics.get(gate.metric) if other else None
        if theirs is None or not math.isfinite(theirs):
            return Verdict(name, False, value, None, f"the champion has no {gate.metric} on the same rows")
        limit += theirs
    passed = {">=": value >= limit, "<=": value <= limit, "==": value == limit}[gate.comparison]
    words = gate.comparison if passed else f"is not {gate.comparison}"
    return Verdict(name, passed, value, limit, f"{value:.4f} {words} {limit:.4f}")


def _measurable(measured: Measured) -> Verdict:
    known = any(value is not None and math.isfinite(value) for value in measured.metrics.values())
    why = "measured; no gate is declared" if known else f"nothing could be measured: {measured.note}"
    return Verdict("can be measured", known, None, None, why)


def _too_few(measured: Measured) -> str:
    return f"{measured.rows} rows are too few to judge by, fewer than {LEAST_ROWS}"
