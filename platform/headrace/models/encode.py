"""Rows as numbers: the one encoding that training and serving share."""

from collections.abc import Sequence
from typing import Literal

import polars as pl
import pyarrow as pa
from pydantic import BaseModel

from headrace.core.errors import DataError


class Input(BaseModel):
    """One input column of a model; a categorical one knows its categories, in code order."""

    name: str
    kind: Literal["numeric", "categorical"]
    categories: list[str] = []


def inputs_of(rows: pa.Table, ignore: Sequence[str]) -> list[Input]:
    """Return the columns that a model can learn from: numbers, booleans and texts, but for the ignored ones."""
    frame = _frame(rows)
    inputs = []
    for name, dtype in frame.schema.items():
        if name in ignore or name.startswith("_"):
            continue
        if dtype == pl.String:
            categories = frame[name].drop_nulls().unique().sort().to_list()
            inputs.append(Input(name=name, kind="categorical", categories=categories))
        elif dtype.is_numeric() or dtype == pl.Boolean:
            inputs.append(Input(name=name, kind="numeric"))
    return inputs


def encode(rows: pa.Table, inputs: Sequence[Input]) -> pa.Table:
    """Return one float column an input: categories as their codes, what is missing or never seen as null."""
    missing = [i.name for i in inputs if i.name not in rows.column_names]
    if missing:
        raise DataError(f"The model needs columns {missing} that the rows do not have; they have {rows.column_names}.")
    frame = _frame(rows.select([i.name for i in inputs]))
    return frame.select(_encoded(i) for i in inputs).to_arrow(compat_level=pl.CompatLevel.oldest())


def _encoded(column: Input) -> pl.Expr:
    if column.kind == "numeric":
        return pl.col(column.name).cast(pl.Float64).fill_nan(None)
    codes = {category: float(code) for code, category in enumerate(column.categories)}
    return pl.col(column.name).replace_strict(codes, default=None, return_dtype=pl.Float64).alias(column.name)


def _frame(rows: pa.Table) -> pl.DataFrame:
    frame = pl.from_arrow(rows)
    assert isinstance(frame, pl.DataFrame)
    return frame
