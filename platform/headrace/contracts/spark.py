"""Contracts on Spark: it types all rows and says which of them surely keep the contract. The rest is judged here.

Spark is asked of single rows alone: casts, limits, rules of the row, times. What asks other rows, days or tables
(`unique`, `references`) is asked here, over the typed rows that came back. A row that anything is said against is
fetched as it landed, and the judgement of it, its reason and its count are those of the local engine.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl
import pyarrow as pa
from sqlglot import exp

from headrace.contracts.across import find_broken_rules, find_repeats_of_earlier_days, find_strangers, unique_keys
from headrace.contracts.cast import cast_rows, typed_schema
from headrace.contracts.declaration import Contract
from headrace.contracts.landed import KEY, mended_table
from headrace.contracts.rules import condition_sql
from headrace.contracts.spark_values import surely_in_days, surely_kept, surely_read
from headrace.contracts.times import limits_ahead
from headrace.core.days import Days
from headrace.core.errors import DataError, NotCarried
from headrace.core.names import quoted
from headrace.core.spark_sql import schema_of
from headrace.core.spark_words import CannotSay
from headrace.core.sql import parse
from headrace.sources.convert import last_day
from headrace.sources.declaration import Source
from headrace.sources.read import FILE, MALFORMED, ROW
from headrace.store.engine import TableView
from headrace.store.site import Site
from headrace.store.spark import Spark, as_shaped, spark_name
from headrace.store.tables import DAY

SURE, MOMENT, TIMED = "? sure", "? moment", "? timed"
ORIGIN = "contracts: on Spark"
_HERE_ALONE = (exp.Ln, exp.Exp, exp.Sin, exp.Cos, exp.Sqrt, exp.Lower, exp.Upper)
"""Functions whose last digit is another one on each engine, or that stop at values that the other engine takes."""


@dataclass(frozen=True)
class Asked:
    """What Spark is asked about the raw rows of some days of a source, and what of its contract it is not asked."""

    view: TableView
    sql: str
    shape: pa.Schema
    rules_here: Sequence[str]
    """The rules of the row that Spark does not know."""


@dataclass(frozen=True)
class Split:
    """Rows by day, file and row: all of them typed, and as they landed those that something may be wrong with."""

    typed: pa.Table
    """With `_day` where the source lies in days."""
    landed: pa.Table
    numbers: pl.Series | None = None
    """The numbers of the landed rows among the typed ones, from 0; None for all of them."""


@dataclass(frozen=True)
class Part:
    """The rows of some days of a source, and what they are judged by."""

    site: Site
    name: str
    source: Source
    contract: Contract
    days: Days | None


def asked_of_spark(part: Part) -> Asked | None:
    """Return what Spark is asked about the raw rows; None where the local engine has to read all of them.

    That is so on the local engine, where rows were mended, where a column landed in a type that is known or read as the
    declared one here alone, and for limits that Spark would hold against values in another way.
    """
    site, contract = part.site, part.contract
    raw = site.product.table("raw", part.name)
    if site.spark is None or site.tables.exists(mended_table(site, part.name)):
        return None
    version = site.tables.version(raw)
    landed = site.tables.schema(raw, version=version)
    known = schema_of({"raw": landed})["raw"]
    if "unknown" in known.values() or any(column not in known for column in contract.columns):
        return None
    own = [*KEY, *([DAY] if DAY in landed.names else [])]
    try:
        read = [*map(spark_name, own), *_read(part, landed)]
        sure = [*_kept(contract, landed), *_timely(part, landed)]
    except CannotSay:
        return None
    kinds = pa.schema([*(landed.field(name) for name in own), *typed_schema(contract.columns)])
    ruled, held, here = _ruled(part, _with_flags(kinds, landed, contract))
    shown, is_sure = ", ".join(map(spark_name, kinds.names)), " and ".join([*sure, *held])
    sql = (
        f"with typed as (select {', '.join(read)} from raw), ruled as ({ruled}) "
        f"select {shown}, coalesce({is_sure}, false) as {spark_name(SURE)} from ruled"
    )
    return Asked(TableView(raw, part.days, version), sql, kinds.append(pa.field(SURE, pa.bool_())), here)


def split_by_spark(part: Part, asked: Asked) -> Split:
    """Return the rows as Spark types them, and those that it is not sure of, or that other rows speak against, as they landed."""
    site, contract = part.site, part.contract
    assert site.spark
    rows = _in_order(as_shaped(site.spark.run(asked.sql, {"raw": asked.view}, origin=ORIGIN), asked.shape, ORIGIN))
    unsure = (~pl.Series(rows[SURE])).arg_true()
    landed = _landed(part, asked, rows, unsure)
    typed = _with_rows(rows.select(list(contract.columns)), unsure, cast_rows(site, landed, contract.columns))
    spoken_against = [unsure.cast(pl.UInt32), *(found.cast(pl.UInt32) for found in _against(part, asked, typed))]
    numbers = pl.concat(spoken_against).unique().sort()
    if len(numbers) > len(unsure):
        landed = _landed(part, asked, rows, numbers)
    return Split(typed.append_column(DAY, rows[DAY]) if DAY in rows.column_names else typed, landed, numbers)


def _read(part: Part, landed: pa.Schema) -> Iterator[str]:
    """Yield Spark's projection: each column typed, whether a value landed, whether it is a row, and its own moment."""
    timezone = part.site.product.timezone
    for name, column in part.contract.columns.items():
        there, quoted_name = landed.field(name).type, spark_name(name)
        yield f"{surely_read(quoted_name, there, column.type, timezone)} as {quoted_name}"
        no_value = f" and lower(cast({quoted_name} as string)) <> 'nan'" if column.allow_nan else ""
        yield f"({quoted_name} is not null{no_value}) as {_there(name)}"
    if MALFORMED in landed.names:
        yield f"{MALFORMED} is null as {_there(MALFORMED)}"
    time = part.source.time
    if time is None or time not in landed.names:
        yield f"cast(null as timestamp) as {spark_name(MOMENT)}, false as {spark_name(TIMED)}"
    else:
        yield f"{surely_read(spark_name(time), landed.field(time).type, 'timestamp', timezone)} as {spark_name(MOMENT)}"
        yield f"{spark_name(time)} is not null as {spark_name(TIMED)}"


def _with_flags(kinds: pa.Schema, landed: pa.Schema, contract: Contract) -> pa.Schema:
    """Return the columns and types of `_read` behind the own ones."""
    flags = [*contract.columns, *([MALFORMED] if MALFORMED in landed.names else [])]
    return pa.schema(
        [
            *kinds,
            *((f"? landed {name}", pa.bool_()) for name in flags),
            (MOMENT, pa.timestamp("us", "UTC")),
            (TIMED, pa.bool_()),
        ]
    )


def _there(name: str) -> str:
    return spark_name(f"? landed {name}")


def _kept(contract: Contract, landed: pa.Schema) -> Iterator[str]:
    """Yield what holds for a row whose values are all read, there, and within their limits."""
    if MALFORMED in landed.names:
        yield _there(MALFORMED)
    for name, column in contract.columns.items():
        value = spark_name(name)
        yield f"({value} is not null or not {_there(name)})" if column.may_miss else f"{value} is not null"
        yield from (f"({value} is null or ({kept}))" for kept in surely_kept(value, column))


def _timely(part: Part, landed: pa.Schema) -> Iterator[str]:
    """Yield what holds for a row whose own time can be read and lies in the product's days, and no time too far ahead."""
    site, source = part.site, part.source
    own, moment = source.time in landed.names, spark_name(MOMENT)
    if own:
        yield f"({moment} is not null or not {spark_name(TIMED)})"
    if own and source.partition:
        yield surely_in_days(moment, site.product.timezone, f"{site.product.start}", f"{last_day(site)}")
    limits = limits_ahead(site, source, part.contract)
    now = site.clock.now() if limits else None
    for name, ahead in limits.items():
        if now and (name in part.contract.columns or (own and name == source.time)):
            value = moment if own and name == source.time else spark_name(name)
            yield f"({value} is null or {value} <= timestamp'{now + ahead:%Y-%m-%d %H:%M:%S.%f}+00:00')"


def _ruled(part: Part, typed: pa.Schema) -> tuple[str, list[str], list[str]]:
    """Return SQL for `typed` with what its rules of the row say, the columns that they say it in, and the rules left out."""
    spark = part.site.spark
    assert spark
    view, conditions = {"typed": typed.empty_table()}, _conditions(part.contract)
    here = [name for name, condition in conditions.items() if not _is_carried(spark, condition, view)]
    held = [
        f"coalesce({conditions[name]}, true) as {quoted(f'? held {name}')}" for name in conditions if name not in here
    ]
    sql = (
        spark.carry(f"select *, {', '.join(held)} from typed", view, origin="contracts: rules")
        if held
        else "select * from typed"
    )
    return sql, [spark_name(f"? held {name}") for name in conditions if name not in here], here


def _conditions(contract: Contract) -> dict[str, str]:
    return {name: condition_sql(rule.sql) for name, rule in contract.rules.items()}


def _is_carried(spark: Spark, condition: str, view: dict[str, pa.Table]) -> bool:
    """Return whether a rule of the row says the same on Spark, to the last digit."""
    sql = f"select {condition} as held from typed"
    if parse(sql, "contracts: rules").find(*_HERE_ALONE):
        return False
    try:
        spark.carry(sql, view, origin="contracts: rules")
    except NotCarried:
        return False
    return True


def _in_order(rows: pa.Table) -> pa.Table:
    """Return rows by day, file and row: as the local engine has them."""
    order = [name for name in (DAY, FILE, ROW) if name in rows.column_names]
    places = pl.DataFrame(rows.select(order)).with_row_index("? number").sort(order, nulls_last=True)["? number"]
    return rows.take(places.to_arrow())


def _landed(part: Part, asked: Asked, rows: pa.Table, numbers: pl.Series) -> pa.Table:
    """Return rows of some numbers as they landed; of the version of the table that Spark has read."""
    wanted = rows.select(list(KEY)).take(numbers.to_arrow()).append_column("? number", numbers.to_arrow())
    same = " and ".join(f"raw.{quoted(key)} = wanted.{quoted(key)}" for key in KEY)
    sql = f'select raw.* from raw join wanted on {same} order by "? number"'
    landed = part.site.engine.query(sql, {"raw": asked.view, "wanted": wanted}, origin=ORIGIN)
    if landed.num_rows != len(numbers):
        raise DataError(
            f"The raw rows of '{part.name}' have no numbers of their own: {len(numbers)} of them are {landed.num_rows}. "
            "Ingest its files anew."
        )
    return landed


def _with_rows(rows: pa.Table, numbers: pl.Series, others: pa.Table) -> pa.Table:
    """Return rows with others in the places of some numbers."""
    if not len(numbers):
        return rows
    stays = pl.int_range(rows.num_rows, dtype=pl.UInt32, eager=True)
    stays = stays.filter(~stays.is_in(numbers.implode()))
    places = pl.concat([stays, numbers.cast(pl.UInt32)]).arg_sort()
    return pa.concat_tables([rows.take(stays.to_arrow()), others]).take(places.to_arrow())


def _against(part: Part, asked: Asked, typed: pa.Table) -> Iterator[pl.Series]:
    """Yield the numbers of rows that other rows, days or tables speak against, or a rule that Spark does not know."""
    site, contract = part.site, part.contract
    rules = contract.model_copy(update={"rules": {name: contract.rules[name] for name in asked.rules_here}})
    yield from (found.rows for found in find_broken_rules(site, typed, rules))
    yield from (found.rows for found in find_repeats_of_earlier_days(site, part.name, typed, contract, part.days))
    yield from (found.rows for found in find_strangers(site, typed, contract))
    for _, names in unique_keys(contract):
        keys = pl.DataFrame(typed.select(names)).with_row_index("? number").drop_nulls()
        yield keys.filter(keys.drop("? number").is_duplicated())["? number"]
