"""Which rows are drawn together when chance is measured: those of one local day, for they share its weather.

Rows of one day resemble each other, so that they say less than as many rows of as many days. Intervals that draw rows
one by one are too narrow then: docs/decisions/0016-evaluation.md has the figures.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

LEAST_BLOCKS = 10
"""With fewer blocks chance itself is not known: shorter spans are cut into as many parts of their time."""
MOST_BLOCKS = 100
"""More days than that are joined with their neighbours."""
SAMPLES = 1000
Array = npt.NDArray[Any]


def local_days(times: pa.ChunkedArray, timezone: str) -> pl.Series:
    """Return the local day of each instant."""
    return pl.Series(values=times.cast(pa.timestamp("us", "UTC"))).dt.convert_time_zone(timezone).dt.date()


def blocks_of(times: pa.ChunkedArray, timezone: str) -> Array:
    """Return the number of each row's block: its local day, or the part of the time that it lies in where days are few."""
    days = local_days(times, timezone).to_numpy()
    known, numbers = np.unique(days, return_inverse=True)
    if len(known) < LEAST_BLOCKS:
        order = np.argsort(times.cast(pa.int64()).to_numpy(), kind="stable")
        numbers = np.empty(len(order), dtype=np.int64)
        numbers[order] = np.arange(len(order)) * min(LEAST_BLOCKS, len(order)) // max(len(order), 1)
        return numbers
    return numbers * MOST_BLOCKS // len(known) if len(known) > MOST_BLOCKS else numbers


def first_of(times: pa.ChunkedArray, groups: Array) -> pa.ChunkedArray:
    """Return for each row when its group began: what is judged as a whole is drawn as a whole."""
    instants = times.cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy()
    first = np.full(int(groups.max(initial=0)) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, groups, instants)
    return pa.chunked_array([pa.array(first[groups], pa.timestamp("us", "UTC"))])


def drawn(blocks: int, seed: int = 0) -> Array:
    """Return how often each block is drawn, with replacement, in each of 1,000 samples; the first row is the sample as it is.

    The same blocks and seed give the same draws: two models that are compared are compared on the same samples.
    """
    if not blocks:
        return np.ones((1, 0))
    counts = np.random.default_rng(seed).multinomial(blocks, np.full(blocks, 1 / blocks), size=SAMPLES)
    return np.vstack([np.ones(blocks), counts])


def interval(values: Array, blocks: int, confidence: float) -> tuple[float, float] | None:
    """Return the interval of a metric, of which `values` holds the estimate first and then that of each sample.

    It is the percentile interval, moved so that the samples' mean is the estimate (a sample of a sample is biased twice)
    and widened as Student's t asks for with so few blocks. None where one sample in twenty has no value.
    """
    estimate, samples = values[0], values[1:][np.isfinite(values[1:])]
    if not np.isfinite(estimate) or not len(samples) or len(samples) < 0.95 * (len(values) - 1):
        return None
    tail = (1 - confidence) / 2
    low, high = estimate + widening(blocks, confidence) * np.quantile(samples - samples.mean(), [tail, 1 - tail])
    return float(low), float(high)


def widening(blocks: int, confidence: float) -> float:
    """Return how much wider than its percentiles an interval of few blocks is.

    Source: A. Cameron, J. Gelbach, D. Miller, Bootstrap-based improvements for inference with clustered errors (2008).
    """
    from scipy.special import ndtri, stdtrit

    tail = (1 - confidence) / 2
    return float(np.sqrt(blocks / (blocks - 1)) * stdtrit(blocks - 1, tail) / ndtri(tail))
