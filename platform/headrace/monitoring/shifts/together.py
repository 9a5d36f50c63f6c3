"""Drift of all columns together, with limits from windows of the training set."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pyarrow as pa

from headrace.core.days import whole_days
from headrace.core.names import duration_text
from headrace.models.meta import Input
from headrace.monitoring.calibrate import DECLARED, LEAST_WINDOWS, Together, neighbours, together
from headrace.monitoring.declaration import Drift
from headrace.monitoring.drift import ONCE_IN_A_THOUSAND
from headrace.monitoring.shifts.classifier import MOST_NAMED, told_apart
from headrace.monitoring.shifts.reconstruction import Components, components_of, row_errors
from headrace.monitoring.shifts.rows import Sample, drawn
from headrace.monitoring.shifts.shift import AUC, ERROR, Shift

MOST_ROWS = 4_000
"""How many rows of a side a classifier learns from, or components are made of."""
MOST_WINDOWS = 60
"""How many windows of the training set the limits come from."""
LEAST_ROWS = 50
"""A window with fewer rows says nothing of all columns together."""


@dataclass(frozen=True)
class Usual:
    """What windows of the training set look like against its other days; empty where the history is too short."""

    aucs: Sequence[float] = ()
    errors: Sequence[float] = ()
    words: str = DECLARED
    apart: int = 0
    """How many windows have no day in common."""

    @property
    def error(self) -> float:
        """The mean reconstruction error of a window."""
        return float(np.mean(self.errors))


@dataclass(frozen=True)
class Asked:
    """What is compared: the inputs that are watched, as the policy says, with a seed."""

    inputs: Sequence[Input]
    policy: Drift
    seed: int = 0
    most: int = field(default=MOST_ROWS)


def usual_windows(history: Sample, asked: Asked) -> Usual:
    """Return how windows of the history lie to its other days: at most 60 of them, evenly over it.

    The AUC is measured only where the policy takes its limit from there. Fewer than three windows' length of days say nothing.
    """
    policy, span = asked.policy, whole_days(asked.policy.window)
    days = np.unique(history.days)
    if not len(days) or days[-1] - days[0] + 1 < LEAST_WINDOWS * span:
        return Usual(words=f"{DECLARED}: {len(days)} days of history are too few")
    whole = int(days[-1] - days[0]) + 1
    starts, near = np.arange(days[0], days[-1] - span + 2), neighbours(whole, span)
    chosen = starts[np.unique(np.linspace(0, len(starts) - 1, min(len(starts), MOST_WINDOWS)).astype(np.int64))]
    calibrated, aucs, errors = policy.threshold == "calibrated", [], []
    for number, first in enumerate(chosen):
        last = first + span - 1
        before, after = history.without(first - near, last + near), history.within(first, last)
        if min(before.num_rows, after.num_rows) < LEAST_ROWS:
            continue
        sides = [drawn(rows, asked.most, asked.seed + number) for rows in (before, after)]
        if policy.multivariate.domain_classifier and calibrated:
            aucs.append(told_apart(sides[0], sides[1], asked.inputs, asked.seed).auc)
        if policy.multivariate.pca:
            components = components_of(sides[0], asked.inputs, policy.multivariate.pca.variance)
            errors.append(float(row_errors(components.errors(sides[1])).mean()))
    counted = max(len(aucs), len(errors))
    if counted < LEAST_WINDOWS:
        return Usual(words=f"{DECLARED}: windows of the history have too few rows")
    first, last = (date.fromordinal(int(day) + date(1970, 1, 1).toordinal()) for day in (days[0], days[-1]))
    words = f"{counted} windows of {duration_text(policy.window)} of the training set, {first} to {last}"
    return Usual(aucs, errors, words, min(counted, whole // span))


def shifts_of_all(history: Sample, window: pa.Table, day: date, asked: Asked, usual: Usual) -> Iterator[Shift]:
    """Yield what is declared of all columns together; nothing of a window with fewer than 50 rows, or without limits."""
    if min(history.rows.num_rows, window.num_rows) < LEAST_ROWS or not asked.inputs:
        return
    before, after = (drawn(rows, asked.most, asked.seed) for rows in (history.rows, window))
    declared, limits = asked.policy.multivariate, _limits(asked.policy, usual).limits
    if declared.domain_classifier:
        told = told_apart(before, after, asked.inputs, asked.seed)
        limit = max(0.5 + limits[AUC] if AUC in limits else declared.domain_classifier.auc, told.chance)
        yield Shift(day, "domain_classifier", AUC, told.auc, limit, after.num_rows, told_by=told.by)
    if declared.pca:
        components = components_of(before, asked.inputs, declared.pca.variance)
        yield _reconstructed(components, (before, after), day, usual, limits.get(ERROR))


def words_of(policy: Drift, usual: Usual) -> str:
    """Return in words where the limits come from."""
    if policy.threshold == "calibrated" and (usual.aucs or usual.errors):
        note = _limits(policy, usual).note
        return f"limits calibrated on {usual.words}, for {policy.false_alarms} of both measures together{note}"
    return f"{DECLARED}; the error is held against {usual.words}" if usual.errors else usual.words


def _limits(policy: Drift, usual: Usual) -> Together[str]:
    """Return how far the AUC may lie from a half, and the error from that of usual windows."""
    errors = np.array(usual.errors)
    far = np.abs(errors - errors.mean()) if len(errors) else errors
    pca, classifier = policy.multivariate.pca, policy.multivariate.domain_classifier
    declared = {ERROR: float(pca.deviations * np.std(errors, ddof=1))} if pca and len(errors) else {}
    if policy.threshold == "declared":
        return Together(declared, len(errors))
    both = {AUC: np.array(usual.aucs) - 0.5, ERROR: far}
    least = declared | ({AUC: classifier.auc - 0.5} if classifier else {})
    known = {name: values for name, values in both.items() if len(values)}
    return together(known, policy.false_alarms.share, usual.apart, least)


def _reconstructed(
    components: Components, sides: tuple[pa.Table, pa.Table], day: date, usual: Usual, reach: float | None
) -> Shift:
    """Return the error of the window; where windows of the history say nothing, against what chance does to the reference's own."""
    squares = [components.errors(rows) for rows in sides]
    own, now = (row_errors(square) for square in squares)
    chance = ONCE_IN_A_THOUSAND * float(own.std() * (1 / len(own) + 1 / len(now)) ** 0.5)
    middle = usual.error if usual.errors else float(own.mean())
    reach = max(reach or 0.0, chance)
    rise = np.abs(squares[1].mean(axis=0) - squares[0].mean(axis=0))
    told = tuple(components.inputs[place].name for place in np.argsort(-rise, kind="stable")[:MOST_NAMED])
    return Shift(day, "pca", ERROR, float(now.mean()), middle + reach, len(now), low=middle - reach, told_by=told)
