"""Sums, means and standard deviations of what is alive: exact until the last step, in integers of 128 bits.

Values come as integers of 1e-9. Totals are differences of running sums; where a running sum overflows, it does so modulo
2**128, and the difference is right again.
"""

import polars as pl

from headrace.core.errors import DataError
from headrace.features.alive import Alive, Ints

UNITS = 1e9
"""In one."""
MOST = 2.0**126
"""Units, or squares of units, that a sum may come to."""


def sums(alive: Alive, values: pl.Series) -> pl.Series:
    """Return the sum of the values of all rows that are alive, at each place: total = all that started - all that ended.

    Raises DataError where it may not fit into 128 bits.
    """
    mine = values.gather(alive.events)
    if _largest(mine) * alive.count.max(initial=0) >= MOST:
        raise DataError(
            f"{alive.count.max(initial=0)} values in one window are too large, or for `std` too far apart, to be summed "
            "exactly: aggregate them in a larger unit."
        )
    return _running(mine.gather(alive.by_start), alive.started) - _running(mine, alive.ended)


def total(alive: Alive, values: pl.Series) -> pl.Series:
    """Return the sums as doubles; 0 where nothing is alive."""
    return divided(sums(alive, values).cast(pl.Float64), UNITS)


def mean(alive: Alive, values: pl.Series) -> pl.Series:
    """Return the means; null where nothing is alive."""
    return total(alive, values) / _at_least(alive, 1)


def std(alive: Alive, values: pl.Series) -> pl.Series:
    """Return the sample standard deviations; null below two values.

    Method: with d = x - c for any c (here an entity's first value), S and Q the exact sums of d and d*d and S = q*n + r
    in whole numbers, the sum of squares about the mean is (Q - q*S - q*r) - r*r/n, of which only the last term is a
    fraction. So nothing cancels, however far the values lie from zero, and c is not seen in the result.
    """
    apart = _from_first(alive, values)
    first, second = sums(alive, apart), sums(alive, _squares(apart))
    n = _at_least(alive, 1)
    q = (first // n.cast(pl.Int128)).fill_null(0)
    r = first - q * n.cast(pl.Int128)
    squares = (second - q * (first + r)).cast(pl.Float64) - r.cast(pl.Float64) ** 2 / n
    return divided((squares / (_at_least(alive, 2) - 1)).sqrt(), UNITS)


def divided(values: pl.Series, by: float) -> pl.Series:
    """Return the values divided by a number, rounded once: polars' own multiplies by 1 / by, and rounds twice."""
    return values / pl.repeat(by, len(values), dtype=pl.Float64, eager=True)


def _running(values: pl.Series, until: Ints) -> pl.Series:
    zero = pl.Series(values.name, [0], values.dtype)
    return pl.concat([zero, values.cum_sum()]).gather(until)


def _at_least(alive: Alive, least: int) -> pl.Series:
    """Return how many are alive, null where they are fewer."""
    n = pl.Series("n", alive.count)
    return n.set(n < least, None)


def _from_first(alive: Alive, values: pl.Series) -> pl.Series:
    """Return each value's distance from the first one of its entity, in row order of all events; 0 for the others."""
    mine = pl.DataFrame({"row": alive.events, "entity": alive.entities, "x": values.gather(alive.events)})
    apart = mine.select("row", (pl.col("x") - pl.col("x").first().over("entity")).alias("x"))
    rows = pl.DataFrame({"row": pl.int_range(len(values), eager=True)})
    return rows.join(apart, on="row", how="left", maintain_order="left")["x"].fill_null(0)


def _squares(apart: pl.Series) -> pl.Series:
    if _largest(apart) ** 2 >= MOST:
        raise DataError(
            "Values are too far apart for an exact `std`: aggregate them in a larger unit, or leave it out."
        )
    return apart * apart


def _largest(values: pl.Series) -> float:
    return float(values.cast(pl.Float64).abs().to_numpy().max(initial=0.0))
