"""Profiles of scored days on Spark: what lies in each bin is counted there, and the counts alone come back."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import pyarrow as pa

from headrace.models.encode import encode
from headrace.models.meta import Input
from headrace.models.predict import MODEL
from headrace.models.profile import FARTHEST, NEW_NAMES, Counted, Profile, grid_of, lowest_names
from headrace.monitoring.drift import DayProfile
from headrace.store.engine import TableView
from headrace.store.spark import Spark, spark_name
from headrace.store.tables import DAY

ORIGIN = "the profiles of scored days"
STRIDE = 16
"""A number is first looked for among each sixteenth edge, then among the sixteen behind that one."""
OTHER, NEW = -1, -2
"""The bins of texts that the reference does not count one by one, and of those that it does not have."""
_EDGES = pa.schema(
    {
        "input": pa.int32(),
        "edges": pa.list_(pa.float64()),
        "coarse": pa.list_(pa.float64()),
        "middle": pa.float64(),
        "steps": pa.float64(),
    }
)
Found = Mapping[str, Any]
"""How many rows of an input lie in one bin, with the sums of what they are; of new categories, one name each."""
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
    counted: dict[tuple[date, str], dict[str, list[Found]]] = {}
    for row in rows.to_pylist():
        of_day = counted.setdefault((row["day"], row["model"]), {})
        of_day.setdefault(asked[row["input"]].name, []).append(row)
    for (day, model), of_day in counted.items():
        yield DayProfile(day, {i.name: _profile(of_day[i.name], i, reference[i.name]) for i in inputs[model]}, model)


def counts_sql(inputs: Sequence[Input]) -> str:
    """Return Spark's SQL for how many rows of a day, a model and an input lie in which bin; in none: what is missing.

    A number's bin is how many edges lie below it, a text's is the place of its category. Each new category is a row of its
    own, as far as it has one of the lowest digests; `rows` of the first one are those of all. Views: scored, edges, categories.
    """
    values = ", ".join(map(_value, inputs))
    here = "day, model, input"
    return (
        f"with told as (select {DAY} as day, {spark_name(MODEL)} as model, posexplode(array({values})) as (input, value) from scored), "
        "placed as (select day, model, told.input, value.number as number, value.text as text, edges.*, categories.code, "
        "size(filter(coarse, edge -> edge < value.number)) as stride "
        "from told left join (select input as i, edges, coarse, middle, steps from edges) as edges on edges.i = told.input "
        "left join categories on categories.input = told.input and categories.category = value.text), "
        f"found as (select {here}, number + 0D as number, case when text is not null then coalesce(code, {NEW}) "
        f"when number is not null and not isnan(number) then stride * {STRIDE} "
        f"+ size(filter(slice(edges, stride * {STRIDE} + 1, {STRIDE}), edge -> edge < number)) end as bin, "
        f"case when text is not null and code is null then text end as name, "
        f"cast(rint(greatest(least((number - middle) * steps, {FARTHEST}D), -{FARTHEST}D)) as bigint) as step from placed), "
        f"counted as (select {here}, bin, name, count(*) as rows, sum(step) as sums, "
        "sum(cast(step * step as decimal(18, 0))) as squares, min(number) as least, max(number) as most "
        f"from found group by {here}, bin, name), "
        f"ranked as (select *, sum(rows) over (partition by {here}, bin) as all_rows, "
        f"row_number() over (partition by {here}, bin order by sha2(name, 256), name) as place from counted) "
        f"select {here}, bin, name, rows, all_rows, sums, squares, least, most from ranked where place <= {NEW_NAMES} "
        f"order by {here}, bin, name"
    )


def _value(column: Input) -> str:
    name = spark_name(column.name)
    number, text = ("null", name) if column.kind == "categorical" else (name, "null")
    return f"named_struct('number', cast({number} as double), 'text', cast({text} as string))"


def _bins(inputs: Sequence[Input], reference: Profile) -> dict[str, pa.Table]:
    """Return the bins of the inputs as tables: the edges of each with its grid, and the places of its categories."""
    edges, places = [], []
    for n, i in enumerate(inputs):
        own: Sequence[float] = reference[i.name].get("edges", [])
        grid = grid_of(own)
        numbers = {"edges": own, "coarse": own[STRIDE - 1 :: STRIDE], "middle": grid.middle, "steps": grid.steps}
        edges.append({"input": n} | numbers)
        kept = {name: place for place, name in enumerate(reference[i.name].get("categories", []))}
        places += [{"input": n, "category": name, "code": kept.get(name, OTHER)} for name in i.categories]
    return {
        "edges": pa.Table.from_pylist(edges, schema=_EDGES),
        "categories": pa.Table.from_pylist(places, schema=_CATEGORIES),
    }


def _profile(found: Sequence[Found], column: Input, bins: Counted) -> Counted:
    """Return the profile of a column from what lies in each of its bins."""
    rows = {part["bin"]: int(part["all_rows"]) for part in found}
    if column.kind == "categorical":
        return {
            "categories": bins["categories"],
            "counts": [rows.get(n, 0) for n in range(len(bins["categories"]))],
            "missing": rows.get(None, 0),
            "other": rows.get(OTHER, 0),
            "new": rows.get(NEW, 0),
            "names": lowest_names({part["name"]: part["rows"] for part in found if part["bin"] == NEW}),
        }
    present = [part for part in found if part["bin"] is not None]
    sums = {part["bin"]: part["sums"] for part in present}
    places = range(len(bins["edges"]) + 1)
    return {
        "edges": bins["edges"],
        "counts": [rows.get(n, 0) for n in places],
        "missing": rows.get(None, 0),
        "sums": [sums.get(n, 0) for n in places],
        "squares": int(sum(part["squares"] for part in present)),
        "least": min((part["least"] for part in present), default=None),
        "most": max((part["most"] for part in present), default=None),
    }
