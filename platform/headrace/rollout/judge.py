"""Go on, take over, go back or wait: what the evidence of a step allows. A pure function, valid whenever one looks.

A release goes back as soon as one measure is surely worse than tolerated: of all measures and steps together, chance does that
to a good release in `false_alarms` of all rollouts at most, so each has its part of it. It goes on where every measure is surely
not worse than tolerated: as all must be, none needs less than `false_alarms` for itself (R. Berger, 1982).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any, Literal

import numpy as np

from headrace.core.names import duration_text
from headrace.rollout.bounds import Numbers, Sums, mean_margin, proportion
from headrace.rollout.declaration import Canary, Tolerance

Verdict = Literal["go_on", "promote", "roll_back", "wait"]
Measure = Literal["errors", "latency", "shift", "quality"]
MEASURES: tuple[Measure, ...] = ("errors", "latency", "shift", "quality")
PROPORTIONS = ("errors", "latency")
LATE = 0.01
"""How many more of the candidate's requests may be slow."""
LEAST = 100
"""How many entities each model needs before means are compared: the bounds of means are those of large samples."""
_DEFAULTS = Tolerance()


@dataclass(frozen=True)
class Arms:
    """One measure's values by model; in a shadow step the differences on the same rows, too (candidate less champion)."""

    champion: Sums = field(default_factory=Sums)
    candidate: Sums = field(default_factory=Sums)
    pairs: Sums | None = None


@dataclass(frozen=True)
class Evidence:
    """What was seen of a rollout."""

    step: int
    steps: int
    baked: timedelta
    """How long the step lasts by now."""
    requests: int = 0
    """How many the candidate has had in it."""
    arms: Mapping[Measure, Sequence[Arms]] = field(default_factory=dict)
    """Errors, latency and shift of this step; quality by step, as labels come late."""
    slow_ms: float | None = None
    """The champion's 99th percentile, in milliseconds."""
    labels_due: bool = False
    """Whether a step lasts until labels of its requests are known."""
    notes: Mapping[Measure, str] = field(default_factory=dict)
    """What cannot be measured, and why."""
    holds: tuple[str, ...] = ()
    """Why the step is not passed, whatever was measured."""


@dataclass(frozen=True)
class Measured:
    """One measure of both models."""

    measure: Measure
    champion: float | None
    candidate: float | None
    harm: float | None
    """How much worse the candidate is; of a shift, how far away."""
    least: float | None
    """It is surely at least this: above the tolerance the release goes back."""
    most: float | None
    """It is surely at most this: within the tolerance the step may be passed."""
    tolerance: float | None
    """None: it is shown, and decides nothing."""
    counts: tuple[int, int]
    """Values of champion and candidate."""
    note: str = ""

    @property
    def is_harm(self) -> bool:
        """Whether it is surely worse than tolerated."""
        return self.tolerance is not None and self.least is not None and self.least > self.tolerance

    @property
    def is_harmless(self) -> bool:
        """Whether it is surely not worse than tolerated, or decides nothing."""
        return self.tolerance is None or (self.most is not None and self.most <= self.tolerance)


@dataclass(frozen=True)
class Judgement:
    """What is to be done, why, and what was measured."""

    verdict: Verdict
    reasons: tuple[str, ...]
    measures: tuple[Measured, ...] = ()

    @property
    def facts(self) -> dict[str, Any]:
        """It as plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Harm:
    """How much worse a candidate is, and between what that surely lies; arrays where there are many worlds."""

    value: Numbers
    least: Numbers
    most: Numbers


@dataclass(frozen=True)
class Levels:
    """How unlikely a mistake is to be: to go back without need, to go on in spite of harm."""

    back: float
    on: float


def judge(evidence: Evidence, declared: Canary) -> Judgement:
    """Return what the evidence allows by what is declared, with reasons in words and numbers."""
    measures = tuple(_measured(measure, evidence, declared) for measure in MEASURES)
    harms = [m for m in measures if m.is_harm]
    if harms:
        return Judgement("roll_back", tuple(f"{m.measure}: {harm_words(m, evidence)}" for m in harms), measures)
    waits = tuple(_waits(evidence, declared, measures))
    if waits:
        return Judgement("wait", waits, measures)
    said = f"after {_span(evidence.baked)} and {evidence.requests:,} requests no harm is left that is not tolerated"
    return Judgement("promote" if evidence.step + 1 >= evidence.steps else "go_on", (said,), measures)


def harm_words(measured: Measured, evidence: Evidence) -> str:
    """Return how much harm was seen, in words with numbers."""
    if measured.harm is None or measured.least is None or measured.most is None:
        return measured.note
    bounds = f"surely {_number(measured.measure, measured.least)} to {_number(measured.measure, measured.most)}"
    words = {
        "errors": f"{_number('errors', measured.harm)} more of the requests fail",
        "latency": f"{_number('latency', measured.harm)} more of the requests are slow, as 1% of the champion's are "
        f"(its 99th percentile is {evidence.slow_ms or 0:.3g} ms)",
        "shift": f"the mean score lies {measured.harm:.3g} standard deviations away",
        "quality": f"the loss is {measured.harm:+.4g}",
    }
    limit = "" if measured.tolerance is None else f", tolerated {_number(measured.measure, measured.tolerance)}"
    return f"{words[measured.measure]}, {bounds}{limit}"


def levels_of(measure: Measure, declared: Canary, steps: int) -> Levels:
    """Return which mistakes a measure may make: its part of `false_alarms`, of each step where it is judged in each."""
    told = declared.tolerance
    judged = sum(getattr(told, name) is not None for name in MEASURES)
    looks = 1 if measure == "quality" else steps
    return Levels(declared.false_alarms / max(judged, 1) / looks, declared.false_alarms)


def harm_of(measure: Measure, arms: Sequence[Arms], scale: float, levels: Levels) -> Harm:
    """Return how much worse the candidate is; several `arms` are strata, each weighed by what it tells."""
    if measure in PROPORTIONS:
        return _more_often(arms[0], levels)
    informations = [1 / np.maximum(_variance(each), scale**2 * 1e-12) for each in arms]
    variance = 1 / sum(informations)
    value = variance * sum(i * _difference(each) for i, each in zip(informations, arms, strict=True))
    on = mean_margin(variance, scale, levels.on)
    if measure == "shift":
        back = mean_margin(variance, scale, levels.back / 2)
        return Harm(np.abs(value), np.maximum(np.abs(value) - back, 0), np.abs(value) + on)
    return Harm(value, value - mean_margin(variance, scale, levels.back), value + on)


def _more_often(arms: Arms, levels: Levels) -> Harm:
    """Return how much more often something happens to the candidate's requests; both bounds hold together, paired or not."""
    theirs, ours = proportion(arms.champion, levels.back / 2), proportion(arms.candidate, levels.back / 2)
    back = ours[0] - theirs[1]
    theirs, ours = proportion(arms.champion, levels.on / 2), proportion(arms.candidate, levels.on / 2)
    return Harm(arms.candidate.mean - arms.champion.mean, back, ours[1] - theirs[0])


def _variance(arms: Arms) -> Numbers:
    return arms.pairs.variance if arms.pairs else arms.champion.variance + arms.candidate.variance


def _difference(arms: Arms) -> Numbers:
    return arms.pairs.mean if arms.pairs else arms.candidate.mean - arms.champion.mean


def _measured(measure: Measure, evidence: Evidence, declared: Canary) -> Measured:
    """Return one measure of the evidence, in words where it cannot be told."""
    arms = [each for each in evidence.arms.get(measure, ()) if measure in PROPORTIONS or _entities(each) >= LEAST]
    declared_limit, default = getattr(declared.tolerance, measure), getattr(_DEFAULTS, measure)
    limit = LATE if measure == "latency" and declared_limit is not None else declared_limit
    theirs, ours = _mean([each.champion for each in arms]), _mean([each.candidate for each in arms])
    counts = (theirs[1], ours[1])
    note = evidence.notes.get(measure) or ("" if min(counts) else _too_few(measure, evidence))
    if note:
        return Measured(measure, None, None, None, None, None, limit, counts, note)
    harm = harm_of(measure, arms, declared_limit or default, levels_of(measure, declared, evidence.steps))
    value, least, most = (float(each) for each in (harm.value, harm.least, harm.most))
    return Measured(measure, theirs[0], ours[0], value, least, most, limit, counts)


def _mean(strata: Sequence[Sums]) -> tuple[float, int]:
    """Return the mean of all values of a model, and how many there are."""
    count = int(sum(each.count for each in strata))
    return float(sum(each.total for each in strata) / max(count, 1)), count


def _entities(arms: Arms) -> float:
    """Return how many entities a comparison rests on."""
    return float(arms.pairs.entities if arms.pairs else min(arms.champion.entities, arms.candidate.entities))


def _too_few(measure: Measure, evidence: Evidence) -> str:
    if measure in PROPORTIONS:
        return "no requests of both models yet"
    most = int(max(map(_entities, evidence.arms.get(measure, ())), default=0))
    what = "labels known" if measure == "quality" else "scores"
    return f"{what} of {most} entities by both models are too few to compare ({LEAST})"


def _waits(evidence: Evidence, declared: Canary, measures: Sequence[Measured]) -> Iterator[str]:
    """Yield what is missing before the step is passed."""
    yield from evidence.holds
    if evidence.baked < declared.bake:
        yield f"the step has lasted {_span(evidence.baked)} of {duration_text(declared.bake)}"
    if evidence.requests < declared.at_least:
        yield f"the candidate has had {evidence.requests:,} of {declared.at_least:,} requests"
    for measured in measures:
        if measured.is_harmless or (measured.measure == "quality" and not evidence.labels_due):
            continue
        if measured.measure not in evidence.notes:
            yield f"{measured.measure}: {harm_words(measured, evidence)}; more requests will tell"


def _number(measure: Measure, value: float) -> str:
    return f"{value:.2%}" if measure in PROPORTIONS else f"{value:.3g}"


def _span(span: timedelta) -> str:
    """Return a time span in whole minutes, or seconds below two of them."""
    seconds = int(span.total_seconds())
    return f"{seconds}s" if seconds < 120 else f"{seconds // 60}m"
