"""What the columns of a training set hold, in numbers: remembered of the stored set, and kept with each model."""

from collections.abc import Callable
from typing import Any, Literal

import polars as pl
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from headrace.store.site import Site

STATISTICS = "statistics"
"""What they are called among what is remembered of a table, and what is recorded of a model."""
BARS, MOST_VALUES, LONGEST_VALUE = 24, 10, 80
POINTS = {"1%": 0.01, "5%": 0.05, "25%": 0.25, "50%": 0.5, "75%": 0.75, "95%": 0.95, "99%": 0.99}
Kind = Literal["number", "integer", "boolean", "text", "time", "other"]


class Histogram(BaseModel):
    """How many values lie in each of equal parts from `low` to `high`; those beyond count at the ends."""

    low: float
    high: float
    counts: list[int]


class Statistics(BaseModel):
    """One column. A NaN counts as missing, as it does for a model; infinite values have no part in mean, sd and histogram."""

    model_config = ConfigDict(frozen=True)

    kind: Kind
    rows: int
    missing: int
    distinct: int | None = None
    """How many different values, what is missing aside; None for lists and the like."""
    mean: float | None = None
    sd: float | None = None
    """Of a sample; None below two values."""
    least: float | str | None = None
    greatest: float | str | None = None
    """A number, or the ISO 8601 text of a time."""
    quantiles: dict[str, float] = {}
    """"1%", "5%", ... → the least value that so many of the present ones do not exceed."""
    histogram: Histogram | None = None
    """Between the quantiles of 1 and 99 %, which a few far values cannot stretch."""
    top: list[tuple[str, int]] = []
    """The texts that come most, with their rows, at most ten of those that come twice; cut off at eighty characters."""

    @property
    def missing_share(self) -> float:
        """The share of rows without a value; 0 of no rows."""
        return self.missing / self.rows if self.rows else 0.0


def statistics_of(rows: pa.Table) -> dict[str, Statistics]:
    """Return the statistics of each column, but for those whose names begin with an underscore."""
    return {
        column.name: _statistics(column)
        for column in pl.DataFrame(rows).iter_columns()
        if not column.name.startswith("_")
    }


def remembered_statistics(site: Site, read: Callable[[], pa.Table] | None = None) -> dict[str, Statistics]:
    """Return the statistics of the stored training set, computed once for each version of it; none where there is none.

    `read` returns its rows where they are at hand already.
    """
    table = site.product.table("training", "set")
    if not site.tables.exists(table):
        return {}
    read = read or (lambda: site.tables.read(table))
    facts = site.ledger.remembered(table, STATISTICS, lambda: as_facts(statistics_of(read())))
    return from_facts(facts)


def recorded_statistics(site: Site, model: str) -> dict[str, Statistics]:
    """Return the statistics of the rows that a model was trained on; none where they were not recorded."""
    return from_facts(site.models.recorded(model, STATISTICS) or {})


def as_facts(statistics: dict[str, Statistics]) -> dict[str, Any]:
    """Return statistics as they are kept."""
    return {name: of.model_dump(mode="json", exclude_defaults=True) for name, of in statistics.items()}


def from_facts(facts: dict[str, Any]) -> dict[str, Statistics]:
    """Return statistics from what was kept."""
    return {name: Statistics.model_validate(of) for name, of in facts.items()}


def kind_of(dtype: pl.DataType) -> Kind:
    """Return what people call a type."""
    if dtype == pl.Boolean:
        return "boolean"
    if dtype.is_integer():
        return "integer"
    if dtype.is_numeric():
        return "number"
    if dtype.is_temporal():
        return "time"
    return "text" if dtype in (pl.String, pl.Categorical, pl.Enum) else "other"


def _statistics(values: pl.Series) -> Statistics:
    kind = kind_of(values.dtype)
    values = values.fill_nan(None) if values.dtype.is_float() else values
    present = values.drop_nulls()
    facts: dict[str, Any] = {"kind": kind, "rows": len(values), "missing": len(values) - len(present)}
    if kind == "other":
        return Statistics(**facts)
    facts["distinct"] = present.n_unique()
    if len(present):
        facts |= _OF[kind](present)
    return Statistics(**facts)


def _of_booleans(present: pl.Series) -> dict[str, Any]:
    true = int(present.sum())
    return {"mean": true / len(present), "histogram": Histogram(low=0, high=2, counts=[len(present) - true, true])}


def _of_integers(present: pl.Series) -> dict[str, Any]:
    facts = _of_numbers(present)
    low, high = facts["quantiles"]["1%"], facts["quantiles"]["99%"]
    width = -(-(high - low + 1) // BARS)
    parts = int(-(-(high - low + 1) // width))
    return facts | {"histogram": _histogram(present.cast(pl.Float64), low, low + width * parts, parts)}


def _of_numbers(present: pl.Series) -> dict[str, Any]:
    numbers = present.cast(pl.Float64)
    finite = numbers.filter(numbers.is_finite())
    if not len(finite):
        return {}
    quantiles = {name: finite.quantile(point, "lower") for name, point in POINTS.items()}
    return {
        "mean": finite.mean(),
        "sd": finite.std(),
        "least": finite.min(),
        "greatest": finite.max(),
        "quantiles": quantiles,
        "histogram": _histogram(finite, quantiles["1%"] or 0.0, quantiles["99%"] or 0.0, BARS),
    }


def _histogram(finite: pl.Series, low: float, high: float, parts: int) -> Histogram:
    """Return the counts of equal parts; of a column with one value between its ends, of that alone."""
    if high <= low:
        return Histogram(low=low, high=high, counts=[len(finite)])
    places = ((finite - low) / (high - low) * parts).clip(0, parts - 1).cast(pl.Int64)
    counts = dict(places.value_counts().iter_rows())
    return Histogram(low=low, high=high, counts=[counts.get(place, 0) for place in range(parts)])


def _of_texts(present: pl.Series) -> dict[str, Any]:
    counted = present.cast(pl.String).alias("value").value_counts(name="rows")
    most = counted.sort(["rows", "value"], descending=[True, False]).head(MOST_VALUES)
    return {"top": [(value[:LONGEST_VALUE], rows) for value, rows in most.iter_rows() if rows > 1]}


def _of_times(present: pl.Series) -> dict[str, Any]:
    least, greatest = present.min(), present.max()
    return {"least": _time_text(least), "greatest": _time_text(greatest)}


def _time_text(moment: Any) -> str:
    return moment.isoformat() if hasattr(moment, "isoformat") else str(moment)


_OF: dict[Kind, Callable[[pl.Series], dict[str, Any]]] = {
    "number": _of_numbers,
    "integer": _of_integers,
    "boolean": _of_booleans,
    "text": _of_texts,
    "time": _of_times,
}
