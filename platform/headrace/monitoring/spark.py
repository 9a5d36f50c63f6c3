"""Profiles of scored days on Spark: what lies in each bin is counted there, and the counts alone come back."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.models.encode import Input, encode
from headrace.models.predict import MODEL
from headrace.models.profile import Profile
from headrace.monitoring.drift import DayProfile
from headrace.store.engine import TableView
from headrace.store.spark import Spark, spark_name
from headrace.store.tables import DAY

ORIGIN = "the profiles of scored days"
_EDGES = pa.schema({"input": pa.int32(), "edges": pa.list_(pa.float64())})
_CATEGORIES = pa.schema({"input": pa.int32(), "category": pa.string(), "code": pa.int32()})


def day_profiles(
    spark: Spark, view: TableView, inputs: Mapping[str, Sequence[Input]], reference: Profile
) -> Iterator[DayProfile]:
    """Yield one profile for each day and model of a table: that of `profile_of` over the bins of the reference.

    `inputs` say for each model which columns are counted; of one name they are the same for all models. Raises
    DataError where the table lacks a column, or has it in another kind.
    """
    asked = list({column.name: column for own in inputs.values() for column in own}.values())
    encode(spark.columns_of(view).empty_table(), asked)
    rows = spark.run(counts_sql(asked), {"scored": view, **_bins(asked, reference)}, origin=ORIGIN)
    counted: dict[tuple[date, str], dict[str, dict[int | None, int]]] = {}
    for row in rows.to_pylist():
        of_day = counted.setdefault((row["day"], row["model"]), {})
        of_day.setdefault(asked[row["input"]].name, {})[row["bin"]] = row["rows"]
    for (day, model), of_day in counted.items():
        yield DayProfile(day, {i.name: _profile(of_day[i.name], i, reference) for i in inputs[model]})


def counts_sql(inputs: Sequence[Input]) -> str:
    """Return Spark's SQL for how many rows of a day, a model and an input lie in which bin; in none: what is missing.

    A number's bin is how many edges lie below it, a text's is the code of its category. Views: scored, edges, categories.
    """
    values = ", ".join(map(_value, inputs))
    return (
        f"with told as (select {DAY} as day, {spark_name(MODEL)} as model, posexplode(array({values})) as (input, value) from scored), "
        "found as (select day, model, told.input, case when value.text is not null then categories.code "
        "when value.number is not null and not isnan(value.number) "
        "then size(filter(edges.edges, edge -> edge < value.number)) end as bin "
        "from told left join edges on edges.input = told.input left join categories "
        "on categories.input = told.input and categories.category = value.text) "
        "select day, model, input, bin, count(*) as rows from found group by day, model, input, bin order by day, model, input, bin"
    )


def _value(column: Input) -> str:
    name = spark_name(column.name)
    number, text = ("null", name) if column.kind == "categorical" else (name, "null")
    return f"named_struct('number', cast({number} as double), 'text', cast({text} as string))"


def _bins(inputs: Sequence[Input], reference: Profile) -> dict[str, pa.Table]:
    """Return the bins of the inputs as tables: the edges of each, and the codes of its categories."""
    edges = [{"input": n, "edges": reference[i.name].get("edges", [])} for n, i in enumerate(inputs)]
    codes = [
        {"input": n, "category": category, "code": code}
        for n, i in enumerate(inputs)
        for code, category in enumerate(i.categories)
    ]
    return {
        "edges": pa.Table.from_pylist(edges, schema=_EDGES),
        "categories": pa.Table.from_pylist(codes, schema=_CATEGORIES),
    }


def _profile(found: Mapping[int | None, int], column: Input, reference: Profile) -> dict[str, Any]:
    """Return the profile of a column from how many rows lie in each of its bins."""
    bins: dict[str, Any] = {"categories": column.categories}
    size = len(column.categories)
    if column.kind == "numeric":
        bins = {"edges": np.asarray(reference[column.name]["edges"]).tolist()}
        size = len(bins["edges"]) + 1
    return bins | {"counts": [found.get(n, 0) for n in range(size)], "missing": found.get(None, 0)}
