"""Gates: what a candidate must meet. What cannot be measured is a refusal."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from headrace.core.errors import DeclarationError
from headrace.evaluation.declaration import Gate
from headrace.evaluation.duel import Difference, Differences, Duel
from headrace.evaluation.evaluate import LEAST_ROWS, Evaluation, Measured
from headrace.models.words import COUNTS, MEASURED, UNITS, Task


@dataclass(frozen=True)
class Verdict:
    """One gate, held against one evaluation."""

    gate: str
    passed: bool
    value: float | None
    limit: float | None
    why: str
    low: float | None = None
    """Where the value lies with the declared confidence; for a relative gate, where the difference does."""
    high: float | None = None


def judge(gates: Sequence[Gate], candidate: Evaluation, duel: Duel | None) -> list[Verdict]:
    """Return a verdict for each gate, for each slice where it is by slice.

    Absolute gates look at the whole test, relative ones at the duel; without a live model relative gates pass. Fewer
    than LEAST_ROWS rows refuse a candidate as a whole; a slice that small decides nothing, but one slice must be large
    enough. With no gate declared a candidate must at least be one that can be measured.
    """
    verdicts = [verdict for gate in gates for verdict in _verdicts(gate, candidate, duel)]
    return verdicts or [_measurable(candidate.overall)]


def refuse_other_task(gates: Sequence[Gate], task: Task) -> None:
    """Raise DeclarationError where a gate is on a metric that another task has."""
    for gate in gates:
        others = [other for other, metrics in MEASURED.items() if gate.metric in metrics and other != task]
        if others:
            raise DeclarationError(
                f"'{gate}' is of a {others[0]}; `task: {task}` has {', '.join(MEASURED[task])}.", ("gates",)
            )


def _verdicts(gate: Gate, candidate: Evaluation, duel: Duel | None) -> Iterator[Verdict]:
    if gate.champion and duel is None:
        yield Verdict(str(gate), True, None, None, "no model is live yet")
    elif gate.gap:
        yield _gap(gate, candidate)
    elif gate.by:
        yield from _by_slice(gate, candidate, duel)
    elif gate.champion and duel:
        yield _relative(str(gate), gate, duel.candidate.overall, _Rival(duel, duel.champion.overall, duel.differences))
    else:
        yield _absolute(str(gate), gate, candidate.overall)


@dataclass(frozen=True)
class _Rival:
    """The champion on some rows, and how far the candidate lies above it there."""

    duel: Duel
    measured: Measured | None
    differences: Differences


def _by_slice(gate: Gate, candidate: Evaluation, duel: Duel | None) -> Iterator[Verdict]:
    column, opponent = gate.by or "", duel if gate.champion else None
    slices = (opponent.candidate if opponent else candidate).slices.get(column, {})
    if not _large(slices):
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
        elif opponent:
            theirs = opponent.champion.slices.get(column, {}).get(value)
            found = opponent.by_slice.get(column, {}).get(value, {})
            yield _relative(name, gate, measured, _Rival(opponent, theirs, found))
        else:
            yield _absolute(name, gate, measured)


def _gap(gate: Gate, candidate: Evaluation) -> Verdict:
    """Return the verdict on the distance between the best and the worst large value of a column."""
    large = _large(candidate.slices.get(gate.by or "", {}))
    if len(large) < 2:
        why = f"fewer than two values of '{gate.by}' have {LEAST_ROWS} rows to compare"
        return Verdict(str(gate), False, None, None, why)
    known = {name: _known(gate, measured) for name, measured in large.items()}
    values = {name: value for name, value in known.items() if value is not None}
    missing = sorted(known.keys() - values.keys())
    if missing:
        return Verdict(str(gate), False, None, None, f"[{missing[0]}] has {_nothing(gate, large[missing[0]])}")
    low, high = min(values, key=lambda name: values[name]), max(values, key=lambda name: values[name])
    gap = values[high] - values[low]
    passed = gap <= gate.limit
    why = f"{gap:.4f} {_words(gate, passed)} {gate.limit:.4f}: {values[low]:.4f} of {low}, {values[high]:.4f} of {high}"
    known_gap = candidate.gaps.get(gate.by or "", {}).get(gate.metric)
    bounds = (known_gap.low, known_gap.high) if known_gap else (None, None)
    return Verdict(str(gate), passed, gap, gate.limit, why, *bounds)


def _absolute(name: str, gate: Gate, measured: Measured) -> Verdict:
    value = _known(gate, measured)
    if value is None:
        return Verdict(name, False, None, None, _nothing(gate, measured))
    if measured.rows < LEAST_ROWS and gate.metric not in (*COUNTS, *UNITS):
        return Verdict(name, False, value, None, _too_few(measured))
    passed = {">=": value >= gate.limit, "<=": value <= gate.limit, "==": value == gate.limit}[gate.comparison]
    low, high = measured.intervals.get(gate.metric, (None, None))
    note = measured.notes.get(gate.metric)
    why = f"{_told(gate, value)} {_words(gate, passed)} {_told(gate, gate.limit)}{f': {note}' if note else ''}"
    return Verdict(name, passed, value, gate.limit, why, low, high)


def _relative(name: str, gate: Gate, measured: Measured, rival: _Rival) -> Verdict:
    """Return the verdict on a difference: all of its interval must be within the limit, not its middle alone.

    Source: non-inferiority as in M. Piaggio et al., Reporting of noninferiority and equivalence randomized trials (JAMA 2012).
    """
    value = _known(gate, measured)
    if value is None:
        return Verdict(name, False, None, None, _nothing(gate, measured))
    if measured.rows < LEAST_ROWS:
        return Verdict(name, False, value, None, _too_few(measured))
    theirs = _known(gate, rival.measured) if rival.measured else None
    if theirs is None:
        return Verdict(name, False, value, None, f"the champion has no {gate.metric} on the same rows")
    found = rival.differences.get(gate.metric)
    if found is None:
        return Verdict(
            name,
            False,
            value,
            None,
            "too many samples of these rows have no difference: one class is rare, or they lie on few days",
        )
    middle, sure = (
        (found.value >= gate.limit, found.low >= gate.limit)
        if gate.comparison == ">="
        else (found.value <= gate.limit, found.high <= gate.limit)
    )
    why = f"{value:.4f} against {theirs:.4f}: {_difference(found, rival.duel)}, {_words(gate, sure)} {gate.limit:+.4f}"
    if middle and not sure:
        evidence = f"{measured.rows} rows of {found.blocks} days"
        why += f" for sure; {evidence} tell differences from {found.detectable:.4f} on: test longer, or allow more"
    return Verdict(name, sure, value, theirs + gate.limit, why, found.low, found.high)


def _difference(found: Difference, duel: Duel) -> str:
    return f"{found.value:+.4f} ({found.low:+.4f} to {found.high:+.4f} at {100 * duel.candidate.confidence:g} %)"


def _known(gate: Gate, measured: Measured) -> float | None:
    value = measured.metrics.get(gate.metric)
    return value if value is not None and math.isfinite(value) else None


def _nothing(gate: Gate, measured: Measured) -> str:
    return f"no {gate.metric}: {measured.notes.get(gate.metric) or measured.note or 'it was not measured'}"


def _large(slices: Mapping[str, Measured]) -> dict[str, Measured]:
    return {name: measured for name, measured in slices.items() if measured.rows >= LEAST_ROWS}


def _told(gate: Gate, value: float) -> str:
    return f"{value:.4f}" if gate.metric not in UNITS else gate.told(float(f"{value:.3g}"))


def _words(gate: Gate, passed: bool) -> str:
    return f"is {gate.comparison}" if passed else f"is not {gate.comparison}"


def _measurable(measured: Measured) -> Verdict:
    scored = [value for name, value in measured.metrics.items() if name not in (*COUNTS, *UNITS)]
    known = any(value is not None and math.isfinite(value) for value in scored)
    why = "measured; no gate is declared" if known else f"nothing could be measured: {measured.note}"
    return Verdict("can be measured", known, None, None, why)


def _too_few(measured: Measured) -> str:
    return f"{measured.rows} rows are too few to judge by, fewer than {LEAST_ROWS}"
