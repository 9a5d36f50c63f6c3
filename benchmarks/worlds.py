"""Made-up rollouts, hundreds at a time: every 50 requests each is looked at by the rules that judge real ones."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.rollout.bounds import Sums
from headrace.rollout.declaration import SHADOW, Canary, share_of
from headrace.rollout.judge import LEAST, MEASURES, PROPORTIONS, Arms, Measure, harm_of, levels_of

EACH, WORLDS, AT_ONCE = 50, 400, 50
"""Requests between two looks; worlds; how many of these memory holds."""
MOST = {"shadow": 6000, "5%": 45_000, "25%": 15_000, "50%": 12_000}
"""For how many requests each step is looked at."""
Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Nature:
    """How both models behave; by default alike."""

    errors: tuple[float, float] = (0.002, 0.002)
    """Champion's and candidate's chance that a request fails."""
    slower: float = 1.0
    """How many times as long the candidate takes."""
    spread: float = 0.5
    """Of the logarithm of what a request takes."""
    shifted: float = 0.0
    """What is added to the candidate's scores, in logits."""
    noise: float = 0.0
    """How far the candidate's scores are from the truth, in logits."""
    apart: float = 0.3
    """How far two models that are as good as each other lie apart on the same row, in logits."""
    each: int = 1
    """How many requests in a row are of one entity and go the same way, well or badly."""


@dataclass(frozen=True)
class Outcome:
    """What became of the worlds."""

    back: Floats
    """Requests of all until the release went back; infinite where it did not."""
    on: Floats
    """Requests of all until it had taken over; infinite where it did not."""

    @property
    def share_back(self) -> float:
        """How many of the worlds went back."""
        return float(np.isfinite(self.back).mean())

    @property
    def requests(self) -> float:
        """The median number of requests until then."""
        return float(np.median(self.back[np.isfinite(self.back)]))


def rollouts(nature: Nature, declared: Canary, *, seed: int, labels: bool = True) -> Outcome:
    """Return what becomes of rollouts."""
    parts = [_rollouts(nature, declared, np.random.default_rng([seed, n]), labels) for n in range(WORLDS // AT_ONCE)]
    return Outcome(np.concatenate([part.back for part in parts]), np.concatenate([part.on for part in parts]))


def _rollouts(nature: Nature, declared: Canary, chance: np.random.Generator, labels: bool) -> Outcome:
    back, on = np.full(AT_ONCE, np.inf), np.full(AT_ONCE, 0.0)
    for step in declared.steps:
        if not np.isfinite(on).any():
            break
        harmful, passes = looked_at(nature, declared, step, chance, labels=labels)
        first_harm, first_pass = _first(harmful), _first(passes)
        under_way = np.isfinite(on)
        goes_back = under_way & (first_harm <= first_pass) & np.isfinite(first_harm)
        back = np.where(goes_back, on + first_harm, back)
        on = np.where(under_way & ~goes_back, on + first_pass, np.inf)
    return Outcome(back, on)


def looked_at(
    nature: Nature, declared: Canary, step: str, chance: np.random.Generator, *, labels: bool
) -> tuple[Any, Any]:
    """Return at which looks (worlds x looks) a step shows harm, and at which it may be passed."""
    looks = (AT_ONCE, MOST[step] // EACH)
    harmful, passes = np.zeros(looks, bool), np.ones(looks, bool)
    found = arms_of(nature, declared, step, chance)
    for measure in MEASURES:
        told = getattr(declared.tolerance, measure)
        if told is None or (measure == "quality" and not labels):
            continue
        limit = 0.01 if measure == "latency" else told
        arms = found[measure]
        harm = harm_of(measure, [arms], told, levels_of(measure, declared, len(declared.steps)))
        few = np.minimum(arms.champion.entities, arms.candidate.entities) < (1 if measure in PROPORTIONS else LEAST)
        harmful |= (harm.least > limit) & ~few
        if measure != "quality":
            passes &= (harm.most <= limit) & ~few
    return harmful, passes & (found["errors"].candidate.count >= declared.at_least)


def arms_of(nature: Nature, declared: Canary, step: str, chance: np.random.Generator) -> dict[Measure, Arms]:
    """Return the sums of every measure after each look of a step, worlds x looks."""
    shape, is_shadow = (AT_ONCE, MOST[step]), step == SHADOW
    entities = (AT_ONCE, MOST[step] // nature.each)
    ours = np.repeat(chance.random(entities) < share_of(step), nature.each, axis=1) | is_shadow
    theirs = ~ours | is_shadow
    fails = np.repeat(chance.random(entities), nature.each, axis=1)
    took = np.exp(nature.spread * chance.normal(size=shape))
    slow = float(np.exp(nature.spread * 2.3263))
    truth = chance.normal(size=shape) - 1
    came = chance.random(shape) < _chance(truth)
    of_champion = _chance(truth + nature.apart * chance.normal(size=shape))
    of_candidate = _chance(truth + np.hypot(nature.apart, nature.noise) * chance.normal(size=shape) + nature.shifted)
    spread = float(of_champion.std())
    scores, losses = (
        (of_champion / spread, of_candidate / spread),
        (
            (of_champion - came) ** 2,
            (of_candidate - came) ** 2,
        ),
    )
    values: dict[Measure, tuple[Any, Any]] = {
        "errors": (fails < nature.errors[0], fails < nature.errors[1]),
        "latency": (took > slow, took * nature.slower > slow * (1 + (declared.tolerance.latency or 0))),
        "shift": scores,
        "quality": losses,
    }
    return {
        measure: Arms(
            _sums(champion, theirs, nature.each),
            _sums(candidate, ours, nature.each),
            _sums(candidate - champion, ours, nature.each) if is_shadow and measure not in PROPORTIONS else None,
        )
        for measure, (champion, candidate) in values.items()
    }


def _sums(values: Any, seen: Any, each: int) -> Sums:
    """Return the sums after each look; an entity's requests come one behind the other."""
    counts = seen.reshape(AT_ONCE, -1, each).sum(axis=2).astype(float)
    totals = (values * seen).reshape(AT_ONCE, -1, each).sum(axis=2).astype(float)
    parts = (counts > 0, counts, totals, counts**2, counts * totals, totals**2)
    return Sums(*(np.cumsum(part.reshape(AT_ONCE, -1, EACH // each).sum(axis=2), axis=1) for part in parts))


def _chance(logits: Any) -> Any:
    return 1 / (1 + np.exp(-logits))


def _first(looks: Any) -> Floats:
    """Return after how many requests a world has had the first such look; infinite where it had none."""
    return np.where(looks.any(axis=1), (looks.argmax(axis=1) + 1.0) * EACH, np.inf)


SHORT = Canary.model_validate({"steps": ["5%", "25%", "50%"]})
AT_THE_LIMIT = {"steps": ["25%", "50%"], "false_alarms": "20%", "tolerance": {"shift": None, "quality": None}}
SAME = {
    "as good, in the shadow first": (Nature(), Canary()),
    "as good, without a shadow": (Nature(), SHORT),
    "as good, nothing fails": (Nature(errors=(0.0, 0.0)), Canary()),
    "as good, 1% fail": (Nature(errors=(0.01, 0.01)), Canary()),
    "as good, entities come five times": (
        Nature(each=5, errors=(0.01, 0.01)),
        Canary.model_validate({"steps": ["25%", "50%"]}),
    ),
    "as bad as tolerated, `false_alarms: 20%`": (
        Nature(errors=(0.01, 0.02), slower=1.2),
        Canary.model_validate(AT_THE_LIMIT),
    ),
}
"""Releases that are to stay."""
HARM = {
    "errors: 0% to 5%": Nature(errors=(0.0, 0.05)),
    "latency: twice": Nature(slower=2.0),
    "scores: half a logit higher": Nature(shifted=0.5),
    "quality: noise of 1.5 logits": Nature(noise=1.5),
}
"""Releases that are to go back."""
