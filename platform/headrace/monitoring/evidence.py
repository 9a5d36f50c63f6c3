"""Evidence that two samples are not of one world: counts over bins, before and after, in nats.

G = 2 * sum(n * ln(n / expected)) is the likelihood ratio of "each sample has shares of its own" against "both have the
same" (S. Wilks, The Large-Sample Distribution of the Likelihood Ratio, 1938). Chance reaches G with `free` degrees of
freedom at most exp(-evidence) of the times (H. Chernoff, A Measure of Asymptotic Efficiency, 1952): a bound, and so
something that also holds far out, where many thousands of slices are looked at.
"""

from typing import Any

import numpy as np
from scipy.special import xlogy

Counts = Any
"""Counts over bins (the last axis) of any number of samples."""


def likelihood_ratio(before: Counts, after: Counts) -> tuple[Any, Any]:
    """Return G and its degrees of freedom, for each pair of samples; bins that both lack do not count."""
    both = before + after
    totals = _information(before.sum(axis=-1)) + _information(after.sum(axis=-1)) - _information(both.sum(axis=-1))
    cells = (_information(before) + _information(after) - _information(both)).sum(axis=-1)
    return np.maximum(2 * (cells - totals), 0.0), np.maximum((both > 0).sum(axis=-1) - 1, 1)


def evidence(ratio: Any, free: Any) -> Any:
    """Return how many nats speak against chance; 0 where chance reaches as much on average."""
    ratio = np.maximum(ratio, free)
    return ratio / 2 - free / 2 * (1 + np.log(ratio / free))


def of_values(before: Counts, after: Counts) -> tuple[Any, Any]:
    """Return the evidence that the shares of the bins differ, and the bin that tells more of it alone, or -1.

    A rise of one bin, missing values say, is one question; of ten bins it is nine. Asking for each bin costs ln(bins).
    """
    whole = evidence(*likelihood_ratio(before, after))
    sizes = (before.sum(axis=-1, keepdims=True), after.sum(axis=-1, keepdims=True))
    single = of_share(before, sizes[0], after, sizes[1]) - np.log(before.shape[-1])
    best = single.argmax(axis=-1)
    alone = np.take_along_axis(single, best[..., None], axis=-1)[..., 0]
    return np.maximum(whole, alone), np.where(alone > whole, best, -1)


def of_share(before: Any, rows_before: Any, after: Any, rows_after: Any) -> Any:
    """Return the evidence that a part of the rows has another share than before."""
    parts = (np.stack([part, rows - part], axis=-1) for part, rows in ((before, rows_before), (after, rows_after)))
    ratio, _ = likelihood_ratio(*parts)
    return evidence(ratio, 1.0)


def distance(before: Counts, after: Counts) -> Any:
    """Return the population stability index of each pair of samples, less what chance alone adds on average; 0 at the least.

    Each sample gets half a row a bin more, as in `drift.stability_index`.
    """
    shares, (n, m) = shares_of(before, after)
    p, q = shares
    index = np.where((p > 0) & (q > 0), (p - q) * np.log(np.where(q > 0, p, 1) / np.where(q > 0, q, 1)), 0.0)
    free = np.maximum((before + after > 0).sum(axis=-1) - 1, 0)
    return np.maximum(index.sum(axis=-1) - free * (1 / np.maximum(n, 1) + 1 / np.maximum(m, 1)), 0.0)


def contributions(before: Counts, after: Counts) -> Any:
    """Return what each bin adds to the population stability index of one pair of samples; their sum is the index."""
    (p, q), _ = shares_of(before, after)
    known = (p > 0) & (q > 0)
    parts = np.zeros(len(p))
    parts[known] = (p[known] - q[known]) * np.log(p[known] / q[known])
    return parts


def shares_of(before: Counts, after: Counts) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Return the smoothed shares of the bins, after and before, and the rows of both."""
    rows = [counts.sum(axis=-1) for counts in (after, before)]
    raw = [counts / np.maximum(total, 1)[..., None] for counts, total in zip((after, before), rows, strict=True)]
    prior = (raw[0] + raw[1]) / 2
    more = before.shape[-1] / 2
    p, q = (
        (counts + more * prior) / (total + more)[..., None] for counts, total in zip((after, before), rows, strict=True)
    )
    return (p, q), (rows[0], rows[1])


def _information(counts: Any) -> Any:
    return xlogy(counts, counts)
