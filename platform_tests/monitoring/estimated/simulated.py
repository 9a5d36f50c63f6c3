"""Worlds whose truth is known: rows change (covariate shift), or what comes true of them does (concept drift)."""

from dataclasses import dataclass
from typing import Any

import numpy as np

DAYS = 20
THRESHOLD = 0.5


@dataclass(frozen=True)
class Rows:
    """Inputs, the model's scores, what came true, and the day of each row."""

    x: Any
    z: Any
    scores: Any
    answers: Any
    days: Any


def classified(seed: int, rows: int, shift: float = 0.0, concept: float = 0.0) -> Rows:
    """Return rows of two classes whose model is far too sure of itself, but ranks as the truth does."""
    chance = np.random.default_rng(seed)
    x, z = chance.normal(shift, 1.0, rows), chance.normal(0.0, 1.0, rows)
    odds = 1.2 * x + 0.6 * z - 0.5
    answers = (chance.random(rows) < _curve(odds + concept * x)).astype(float)
    return Rows(x, z, _curve(2.0 * odds + 0.4), answers, np.arange(rows) * DAYS // rows)


def numbered(seed: int, rows: int, shift: float = 0.0, concept: float = 0.0) -> Rows:
    """Return rows of numbers whose noise grows with x, and whose model misses a curve of z."""
    chance = np.random.default_rng(seed)
    x, z = chance.normal(shift, 1.0, rows), chance.normal(0.0, 1.0, rows)
    noise = chance.normal(size=rows) * (0.5 + np.abs(x))
    answers = 3.0 * x + 0.8 * z**2 + noise + concept
    return Rows(x, z, 3.0 * x + 0.8, answers, np.arange(rows) * DAYS // rows)


def _curve(odds: Any) -> Any:
    return 1 / (1 + np.exp(-odds))
