"""Bounds that hold however often one looks: confidence sequences, for numbers or arrays of them.

Proportions: Robbins' mixture of binomials (H. Robbins, "Statistical methods related to the law of the iterated logarithm",
1970), with a beta prior, exact at every sample size. Means: the asymptotic confidence sequence of I. Waudby-Smith,
D. Arbour, R. Sinha, E. Kennedy, A. Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences" (2021),
Robbins' normal mixture with an estimated variance, in its one-sided form.

Entities come again, and their requests are alike. Variances are those of sums over entities (K.-Y. Liang and S. Zeger, 1986);
for proportions the sample shrinks by the design effect (L. Kish, 1965). Between looks an entity's requests lean the same way,
which makes the path of the mean smoother than the one that the bounds allow for: by Slepian's lemma they are crossed less often.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import betaln, xlog1py, xlogy

PRIOR = (1.0, 99.0)
"""The beta prior of a proportion: failures and slow requests are about one in a hundred, if any."""
BISECTIONS = 40
FEW = 30
"""With fewer entities than this, what they have in common cannot be told: each counts once."""
LEAST_VARIANCE = 1e-12
"""Of a difference, in squared tolerances: pairs may be all alike."""
Numbers = Any
"""A float, or a float64 array: worlds, looks."""


@dataclass(frozen=True)
class Sums:
    """A value of each request or row, as sums over the entities that these are of; arrays where there are many such samples."""

    entities: Numbers = 0.0
    count: Numbers = 0.0
    """How many values there are."""
    total: Numbers = 0.0
    counts2: Numbers = 0.0
    """Sum over entities of their squared count."""
    cross: Numbers = 0.0
    """Sum over entities of count times total."""
    totals2: Numbers = 0.0
    """Sum over entities of their squared total."""

    @property
    def mean(self) -> Numbers:
        """The mean value; 0 of none."""
        return self.total / np.maximum(self.count, 1)

    @property
    def variance(self) -> Numbers:
        """The variance of the mean, as entities were drawn."""
        few = self.entities / np.maximum(self.entities - 1, 1)
        return few * _residual(self, self.mean) / np.maximum(self.count, 1) ** 2


def proportion(sums: Sums, alpha: float) -> tuple[Numbers, Numbers]:
    """Return between what a proportion lies, with confidence 1 - `alpha` at all looks together."""
    trials, successes = _effective(sums)
    a, b = PRIOR
    won = betaln(a + successes, b + trials - successes) - betaln(a, b)
    limit, share = -np.log(alpha), successes / np.maximum(trials, LEAST_VARIANCE)

    def is_out(p: Numbers) -> Numbers:
        return won - xlogy(successes, p) - xlog1py(trials - successes, -p) > limit

    low, inner_low = np.zeros_like(share), share
    high, inner_high = np.ones_like(share), share
    for _ in range(BISECTIONS):
        middle = (low + inner_low) / 2
        out = is_out(middle)
        low, inner_low = np.where(out, middle, low), np.where(out, inner_low, middle)
        middle = (high + inner_high) / 2
        out = is_out(middle)
        high, inner_high = np.where(out, middle, high), np.where(out, inner_high, middle)
    return low, high


def mean_margin(variance: Numbers, scale: float, alpha: float) -> Numbers:
    """Return how far to one side of what was seen a difference of means with this variance may lie, at all looks together.

    For a bound on either side that hold together, ask for half of `alpha`. `scale` is the size of difference that is of
    interest: there the bound is about the tightest.
    """
    ratio = np.maximum(variance / scale**2, LEAST_VARIANCE)
    return scale * np.sqrt(2 * ratio * (ratio + 1) * np.log1p(np.sqrt(1 + 1 / ratio) / (2 * alpha)))


def _residual(sums: Sums, mean: Numbers) -> Numbers:
    """Return the sum over entities of their squared distance from what the mean expects of them."""
    return np.maximum(sums.totals2 - 2 * mean * sums.cross + mean**2 * sums.counts2, 0)


def _effective(sums: Sums) -> tuple[Numbers, Numbers]:
    """Return trials and successes, as many as there would be of strangers who tell as much.

    One entity that always fails is added before the design effect is told: none seen to fail does not mean that they
    would not have failed together.
    """
    each = sums.count / np.maximum(sums.entities, 1)
    more = Sums(
        sums.entities + 1,
        sums.count + each,
        sums.total + each,
        sums.counts2 + each**2,
        sums.cross + each**2,
        sums.totals2 + each**2,
    )
    spread = more.mean * (1 - more.mean) * np.maximum(more.count, 1)
    effect = np.where(spread > 0, _residual(more, more.mean) / np.where(spread > 0, spread, 1), each)
    effect = np.maximum(np.where(sums.entities < FEW, np.maximum(effect, each), effect), 1)
    return sums.count / effect, sums.total / effect
