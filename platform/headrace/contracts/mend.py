"""Rows set aside are mended by a person in a CSV, and come in exactly once.

Mended rows lie in a table of their own, by the file, its digest and the row that they mend. Validation puts them in the
place of what landed: validating a day again, for whatever reason, neither loses nor doubles them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
from polars.selectors import by_name
from pyarrow import csv

from headrace.contracts.landed import KEY, LAIN, landed_before, mended_table
from headrace.contracts.validate import REASON
from headrace.core.days import Days, unbroken
from headrace.core.errors import DataError, Refused
from headrace.core.names import did_you_mean
from headrace.sources.convert import converted
from headrace.sources.declaration import Source
from headrace.sources.known import known_files
from headrace.sources.read import FILE, MALFORMED, ROW
from headrace.store.engine import TableView
from headrace.store.fences import Fence
from headrace.store.site import Site
from headrace.store.tables import DAY


@dataclass(frozen=True)
class Mended:
    """What a mended CSV has brought, and which days have to be validated for it to count (None: the whole table)."""

    keys: pl.DataFrame
    """The rows that differ from what landed."""
    new: int
    """How many of them were not known before."""
    days: tuple[Days, ...] | None


def rows_aside(site: Site, name: str) -> pa.Table:
    """Return the rows of a source that are set aside, by file and row; none if nothing was ever validated."""
    table = site.product.table("quarantine", name)
    if not site.tables.exists(table):
        return pa.table({FILE: [], ROW: [], REASON: []})
    return site.tables.read(table).sort_by([(FILE, "ascending"), (ROW, "ascending")])


def export_aside(site: Site, name: str, source: Source) -> bytes:
    """Return the rows set aside as CSV: what landed, the reason, and the key that brings a mended row back to its place."""
    rows = rows_aside(site, name)
    if not rows.num_rows:
        raise Refused(f"No row of '{name}' is set aside.")
    columns = list(known_files(site, name, source).columns)
    sink = pa.BufferOutputStream()
    csv.write_csv(rows.select([REASON, *KEY, *columns, MALFORMED]), sink)
    return bytes(sink.getvalue())


def mend_rows(site: Site, name: str, source: Source, file: Path) -> Mended:
    """Keep the mended rows of a CSV that was exported, in one commit; rows that are as they landed stay as they are.

    The same CSV again changes nothing. Raises DataError if the CSV lacks a column or names a row twice, and Refused if it
    names a row that is not set aside (any more).
    """
    columns = list(known_files(site, name, source).columns)
    with site.tables.claim(mended_table(site, name)) as fence:
        given = _read(file, source, columns)
        _refuse_others(site, name, given)
        landed = _same_rows(site, "select * from raw", {"raw": TableView(site.product.table("raw", name))}, given)
        new = _differing(given, _same_rows(site, *landed_before(site, name, None), given), columns)
        if new.height:
            rows = converted(site, name, source, _as_landed(new, columns))
            _store(site, name, rows, fence, why=f"mended by hand: {file.name}")
    touched = pl.concat([_differing(given, landed, columns), new]).select(KEY).unique()
    return Mended(touched, new.height, _days(site, name, landed, touched) if source.partition else None)


def still_aside(site: Site, name: str, mended: Mended) -> pl.DataFrame:
    """Return the mended rows that are set aside nevertheless, with their new reasons."""
    aside = pl.DataFrame(rows_aside(site, name))
    return aside.join(mended.keys, on=KEY, how="semi") if KEY[1] in aside.columns else aside


def _read(file: Path, source: Source, columns: list[str]) -> pl.DataFrame:
    """Return the rows of a mended CSV as text, by name."""
    try:
        names = csv.open_csv(file).schema.names
        options = csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            null_values=[*source.nulls, ""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
        )
        rows = csv.read_csv(file, parse_options=csv.ParseOptions(newlines_in_values=True), convert_options=options)
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise DataError(f"{file} cannot be read as CSV in UTF-8: {error}") from None
    lacking = [name for name in (*KEY, *columns) if name not in names]
    if lacking:
        raise DataError(
            f"{file} lacks the column '{lacking[0]}'; it has {', '.join(names)}.{did_you_mean(lacking[0], names)} "
            "Mend the file that was exported, with all its columns."
        )
    given = pl.DataFrame(rows).select(*KEY, *columns).with_columns(pl.col(ROW).cast(pl.Int64, strict=False))
    unnamed = given.filter(pl.any_horizontal(pl.col(KEY).is_null()))
    twice = given.filter(given.select(KEY).is_duplicated())
    if unnamed.height or twice.height:
        said = (
            "names no row in one of its lines"
            if unnamed.height
            else f"names row {twice[ROW][0]} of {twice[FILE][0]} twice"
        )
        raise DataError(f"{file} {said}: leave {', '.join(KEY)} as they were exported.")
    return given


def _refuse_others(site: Site, name: str, given: pl.DataFrame) -> None:
    """Refuse rows that nobody has set aside: a CSV mends bad rows, it does not edit good ones."""
    known = [pl.DataFrame(rows).select(KEY) for rows in (rows_aside(site, name), _mended(site, name)) if rows.num_rows]
    others = given.join(pl.concat(known), on=KEY, how="anti", maintain_order="left") if known else given
    if others.height:
        raise Refused(
            f"Row {others[ROW][0]} of {others[FILE][0]} is not set aside: it is good, or its file has landed anew. "
            f"Nothing was brought in. Export again: headrace quarantine export {site.product.product}.{name}"
        )


def _mended(site: Site, name: str) -> pa.Table:
    table = mended_table(site, name)
    return site.tables.read(table) if site.tables.exists(table) else pa.table({FILE: []})


def _same_rows(site: Site, sql: str, views: Mapping[str, TableView | pa.Table], given: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of a query that have the keys of given ones."""
    keys = {"given": given.select(KEY).to_arrow()}
    found = f"select * from ({sql}) semi join given using ({', '.join(KEY)})"
    return pl.DataFrame(site.engine.query(found, {**views, **keys}, origin="contracts: mended rows"))


def _differing(given: pl.DataFrame, there: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
    """Return the given rows whose text is not that of the row with the same key, and those that mend a line that was none.

    A missing value and an empty text are the same: a spreadsheet cannot tell them apart.
    """
    filled = [*KEY, *(by_name(column).as_expr().cast(pl.String).fill_null("") for column in columns)]
    same = there.filter(pl.col(MALFORMED).is_null()).select(filled)
    changed = given.select(filled).join(same, on=[*KEY, *columns], how="anti")
    return given.join(changed, on=KEY, how="semi", maintain_order="left")


def _as_landed(mended: pl.DataFrame, columns: list[str]) -> pa.Table:
    rows = mended.with_columns(pl.lit(None, pl.String).alias(MALFORMED)).select(*columns, *KEY, MALFORMED)
    types = [(column, pa.int64() if column == ROW else pa.string()) for column in rows.columns]
    return rows.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.schema(types))


def _store(site: Site, name: str, rows: pa.Table, fence: Fence, *, why: str) -> None:
    """Write mended rows over earlier ones of the same keys; each remembers all days that it has lain in."""
    before = _mended(site, name)
    lain = _lain(before)
    keys = zip(*(rows[key].to_pylist() for key in KEY), strict=True)
    rows = rows.append_column(LAIN, pa.array([lain.get(key, "") for key in keys], pa.string()))
    if before.num_rows:
        others = pl.DataFrame(before).join(pl.DataFrame(rows), on=KEY, how="anti")
        others_rows = others.to_arrow(compat_level=pl.CompatLevel.oldest()).select(rows.column_names).cast(rows.schema)
        rows = pa.concat_tables([others_rows, rows])
    site.tables.replace(mended_table(site, name), rows, fence=fence, why=why)


def _lain(mended: pa.Table) -> dict[tuple[Any, ...], str]:
    """Return the days, as texts with a space between, that each mended row has lain in."""
    if DAY not in mended.column_names:
        return {}
    rows = mended.select([*KEY, LAIN, DAY]).to_pylist()
    return {tuple(row[key] for key in KEY): f"{row[LAIN]} {row[DAY]}".strip() for row in rows}


def _days(site: Site, name: str, landed: pl.DataFrame, touched: pl.DataFrame) -> tuple[Days, ...]:
    """Return the days that rows lie in as they landed, and all in which they have lain since they were first mended."""
    days = set(landed.join(touched, on=KEY, how="semi")[DAY].to_list())
    lain = _lain(_mended(site, name))
    for key in touched.iter_rows():
        days |= {date.fromisoformat(day) for day in lain.get(key, "").split()}
    return tuple(unbroken(days))
