"""Measures of drift, from profiles alone: how far one column of a window lies from the reference.

Over groups of bins (ten of equal share for numbers, the categories for texts, rare and new ones as one): the population
stability index, the Jensen-Shannon distance, and for texts the chi-square test. Over all 256 bins: Kolmogorov-Smirnov and
Wasserstein, each a lower bound of what the rows themselves would give, with the most that they may lie above it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any, Literal

import numpy as np
from scipy.special import bdtrc, erfc, gammaincc, kolmogorov, rel_entr

from headrace.models.profile import FARTHEST, grid_of, present_of, rows_of
from headrace.monitoring.drift import cells_of, grouped, groups_of, stability_index

Name = Literal["psi", "jensen_shannon", "ks", "chi_square", "wasserstein", "missing", "new_categories"]
Counted = Mapping[str, Any]
FEW_ROWS = 1000


@dataclass(frozen=True)
class Measure:
    """How far a column has moved, by one measure."""

    name: Name
    value: float
    p: float | None = None
    """The probability that chance alone moves two samples of one world as far; None where the measure has none."""
    bound: float = 0.0
    """How much greater the value of the rows themselves may be."""


def measures_of(reference: Counted, current: Counted) -> list[Measure]:
    """Return every measure that the two profiles of one column allow; none where one of them has no rows."""
    if not rows_of(reference) or not rows_of(current):
        return []
    found = [missing_rate(reference, current)]
    if "categories" in reference:
        found.append(new_categories(reference, current))
    if present_of(reference) and present_of(current):
        found += _of_values(reference, current)
    return found


def jensen_shannon(expected: Any, actual: Any) -> Measure:
    """Return the square root of the Jensen-Shannon divergence of counts over the same bins, to base 2: from 0 to 1.

    J. Lin, Divergence Measures Based on the Shannon Entropy (1991); D. Endres and J. Schindelin, A New Metric for
    Probability Distributions (2003).
    """
    p, q = _shares(actual), _shares(expected)
    middle = (p + q) / 2
    divergence = (rel_entr(p, middle).sum() + rel_entr(q, middle).sum()) / 2
    return Measure("jensen_shannon", float(max(divergence / np.log(2), 0.0) ** 0.5))


def chi_square(expected: Any, actual: Any) -> Measure:
    """Return Pearson's statistic of the two rows of counts, and its p with one degree of freedom less than bins that have rows.

    K. Pearson, On the Criterion that a Given System of Deviations ... (1900); for two samples R. A. Fisher (1922).
    """
    table = np.array([expected, actual], dtype=float)
    table = table[:, table.sum(axis=0) > 0]
    fair = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    statistic, free = float(((table - fair) ** 2 / fair).sum()), table.shape[1] - 1
    return Measure("chi_square", statistic, float(gammaincc(free / 2, statistic / 2)) if free else 1.0)


def kolmogorov_smirnov(reference: Counted, current: Counted) -> Measure:
    """Return the greatest distance of the two distribution functions at the edges, and the p of that distance.

    Within a bin the functions rise by its two shares at most, one of which takes the distance back: the rows' own
    statistic is no more than the smaller of them greater, in the bin where that is most. N. Smirnov, Table for Estimating
    the Goodness of Fit of Empirical Distributions (1948); p as R. Simard and P. L'Ecuyer, Computing the Two-Sided
    Kolmogorov-Smirnov Distribution (2011), compute it for one sample of n * m / (n + m) rows, and from a thousand such rows on
    the limit for many rows, with the correction of M. Stephens, Use of the Kolmogorov-Smirnov ... Statistics Without Extensive
    Tables (1970): the other takes a hundred milliseconds a column there.
    """
    f, g = _shares(current["counts"]), _shares(reference["counts"])
    distance = float(np.abs(np.cumsum(f - g)[:-1]).max(initial=0.0))
    n, m = present_of(current), present_of(reference)
    p = _kolmogorov(distance, n * m / (n + m)) if distance else 1.0
    return Measure("ks", distance, p, float(np.minimum(f, g).max()))


def wasserstein(reference: Counted, current: Counted) -> Measure | None:
    """Return the earth mover's distance in standard deviations of the reference; None where that has none, or is not known.

    The distance is the area between the two distribution functions (S. Vallender, Calculation of the Wasserstein Distance
    Between Probability Distributions on the Line, 1973). What lies between them in a bin follows exactly from edges and
    sums, where they do not cross in it; where they may, it is at most the bin's width times its greater share more. All
    is measured in steps of the grid: half a step of each side is in the bound, too.
    """
    deviation = _deviation(reference)
    if not deviation or "sums" not in current:
        return None
    f, g = _shares(current["counts"]), _shares(reference["counts"])
    grid = grid_of(reference["edges"])
    with np.errstate(over="ignore"):
        edges = np.clip((np.asarray(reference["edges"]) - grid.middle) * grid.steps, -FARTHEST, FARTHEST)
    height = np.concatenate(([0.0], np.cumsum(f - g)[:-1], [0.0]))
    reach = np.concatenate(([0.0], edges, [0.0]))
    means = np.asarray(current["sums"]) / _rows_counted(current) - np.asarray(reference["sums"]) / _rows_counted(
        reference
    )
    area = np.abs(np.diff(reach * height) - means).sum()
    left, right = height[:-1], height[1:]
    apart = np.maximum(np.maximum(left - g, right - f), np.maximum(-left - f, -right - g)) >= 0
    widths = np.diff(
        np.concatenate(([_end("least", min, reference, current)], edges, [_end("most", max, reference, current)]))
    )
    crossing = np.where(apart, 0.0, np.maximum(widths, 0.0) * np.maximum(f, g)).sum()
    return Measure("wasserstein", float(area / deviation), bound=float((crossing + 1.0) / deviation))


def missing_rate(reference: Counted, current: Counted) -> Measure:
    """Return the rise of the share of missing values, and the p of a difference that large, by the pooled test of two shares."""
    n, m = rows_of(current), rows_of(reference)
    rise = current["missing"] / n - reference["missing"] / m
    pooled = (current["missing"] + reference["missing"]) / (n + m)
    deviation = (pooled * (1 - pooled) * (1 / n + 1 / m)) ** 0.5
    return Measure("missing", rise, float(erfc(abs(rise) / deviation / 2**0.5)) if deviation else 1.0)


def new_categories(reference: Counted, current: Counted) -> Measure:
    """Return the share of rows whose category the reference does not have, and the p of that many.

    A reference that has seen some categories once must expect more: the share of what it has not seen is about that of
    the rows whose category it has seen once (I. J. Good, The Population Frequencies of Species, 1953), here one row more,
    and all rows of categories that are counted together.
    """
    n, m = present_of(current), present_of(reference)
    once = sum(1 for rows in reference["counts"] if rows == 1) + reference.get("other", 0)
    new = current.get("new", 0)
    unseen = min((once + 1) / (m + 1), 1.0)
    p = float(bdtrc(new - 1, n, unseen)) if new else 1.0
    return Measure("new_categories", new / n if n else 0.0, p)


def _rows_counted(counted: Counted) -> float:
    """Return how many numbers a profile counts."""
    return float(sum(counted["counts"]))


def _kolmogorov(distance: float, rows: float) -> float:
    if rows >= FEW_ROWS:
        return float(kolmogorov(distance * (sqrt(rows) + 0.12 + 0.11 / sqrt(rows))))
    from scipy.stats import kstwo  # noqa: PLC0415  importing it takes most of a second

    return float(kstwo.sf(distance, np.round(rows) or 1))


def _of_values(reference: Counted, current: Counted) -> Iterator[Measure]:
    groups = groups_of(reference)
    expected, actual = grouped(cells_of(reference), groups), grouped(cells_of(current), groups)
    yield Measure("psi", stability_index(expected, actual))
    yield jensen_shannon(expected, actual)
    if "categories" in reference:
        yield chi_square(expected, actual)
        return
    yield kolmogorov_smirnov(reference, current)
    far = wasserstein(reference, current)
    if far:
        yield far


def _shares(counts: Any) -> Any:
    counts = np.asarray(counts, dtype=float)
    return counts / counts.sum()


def _deviation(reference: Counted) -> float:
    """Return the standard deviation in steps, from whole numbers of any size."""
    rows = sum(reference["counts"])
    if "sums" not in reference or not rows:
        return 0.0
    spread = float(rows * reference["squares"] - sum(reference["sums"]) ** 2)
    return sqrt(spread) / float(rows)


def _end(side: str, outer: Any, reference: Counted, current: Counted) -> float:
    grid = grid_of(reference["edges"])
    ends = [(profile[side] - grid.middle) * grid.steps for profile in (reference, current)]
    return float(np.clip(outer(ends), -FARTHEST, FARTHEST))
