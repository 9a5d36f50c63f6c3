"""Rows as numbers: the one encoding that training and serving share."""

from collections.abc import Sequence

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from polars.selectors import by_name

from headrace.core.errors import DataError
from headrace.models.meta import Input, Kind


def inputs_of(rows: pa.Table, ignore: Sequence[str]) -> list[Input]:
    """Return the columns that a model can learn from: numbers, booleans and texts, but for the ignored ones."""
    inputs = []
    for name, dtype in pl.DataFrame(rows.slice(0, 0)).schema.items():
        if name in ignore or name.startswith("_"):
            continue
        kind = _kind(dtype)
        if kind == "categorical":
            # Arrow looks at texts where they lie; polars would copy them all first.
            known = pc.unique(rows[name].cast(pa.string())).drop_null().to_pylist()
            inputs.append(Input(name=name, kind=kind, categories=sorted(known)))
        elif kind == "numeric":
            inputs.append(Input(name=name, kind=kind))
    return inputs


def encode(rows: pa.Table, inputs: Sequence[Input]) -> pa.Table:
    """Return one float column an input: categories as their codes, what is missing or never seen as null.

    Raises DataError where the rows lack a column, or hold texts where the model saw numbers, or numbers for texts.
    """
    missing = [i.name for i in inputs if i.name not in rows.column_names]
    if missing:
        raise DataError(f"The model needs columns {missing} that the rows do not have; they have {rows.column_names}.")
    frame = pl.DataFrame(rows.select([i.name for i in inputs]))
    for column in inputs:
        _refuse_other_kind(column, frame.schema[column.name])
    return frame.select(_encoded(i) for i in inputs).to_arrow(compat_level=pl.CompatLevel.oldest())


def _kind(dtype: pl.DataType) -> Kind | None:
    if dtype == pl.String or dtype in (pl.Categorical, pl.Enum):
        return "categorical"
    return "numeric" if dtype.is_numeric() or dtype == pl.Boolean else None


def _refuse_other_kind(column: Input, dtype: pl.DataType) -> None:
    if dtype != pl.Null and _kind(dtype) != column.kind:
        raise DataError(
            f"Column '{column.name}' is {column.kind} for the model, but {dtype} in these rows: "
            "a model scores the types that it was trained on. Bring the old type back, or train again."
        )


def _encoded(column: Input) -> pl.Expr:
    if column.kind == "numeric":
        return by_name(column.name).as_expr().cast(pl.Float64).fill_nan(None)
    codes = {category: float(code) for code, category in enumerate(column.categories)}
    texts = by_name(column.name).as_expr().cast(pl.String)
    return texts.replace_strict(codes, default=None, return_dtype=pl.Float64).alias(column.name)
