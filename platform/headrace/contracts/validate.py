"""Validation: raw rows become typed rows that keep the contract, and rows set aside with a reason."""

from dataclasses import dataclass
from datetime import timedelta

import pyarrow as pa
import pyarrow.compute as pc

from headrace.contracts.cast import cast_rows, columns_of_schema, guess_columns
from headrace.contracts.check import Checked, Rows, check_rows, rows_where
from headrace.contracts.declaration import Column, Contract
from headrace.core.days import Days
from headrace.core.errors import DataError
from headrace.core.names import did_you_mean, quoted
from headrace.sources.convert import OWN, own_day_sql
from headrace.sources.declaration import Source
from headrace.sources.read import DIGEST, FILE, MALFORMED, ROW
from headrace.store.site import Site
from headrace.store.tables import DAY

REASON = "_reason"


@dataclass(frozen=True)
class Validated:
    """The rows that go on, those that do not, and the verdict."""

    valid: pa.Table
    quarantined: pa.Table
    checked: Checked
    contract: Contract


def validate(site: Site, name: str, source: Source, contract: Contract | None, days: Days | None) -> Validated:
    """Return the rows of a raw table, of some days if given, split by the contract.

    Without a contract the types are those of the validated table, or what all landed values fit.
    A line that is no row never goes on, whatever the contract says.
    """
    landed = _landed(site, name, days)
    contract = contract or Contract(columns=_usual_columns(site, name))
    _refuse_missing(name, landed, contract)
    rows = Rows(
        landed=landed,
        typed=cast_rows(site, landed, contract.columns),
        malformed=landed[MALFORMED].to_pylist(),
        timeless=_timeless(site, source, landed),
        earlier=_earlier(site, name, contract, days),
    )
    checked = check_rows(rows, contract)
    aside = [row for row in checked.reasons if contract.on_fail != "warn" or rows.malformed[row]]
    valid = rows.typed.append_column(DAY, landed[DAY]) if DAY in landed.column_names else rows.typed
    return Validated(
        valid=valid.filter(_without(landed.num_rows, aside)),
        quarantined=_quarantined(landed, {row: checked.reasons[row] for row in aside}),
        checked=checked,
        contract=contract,
    )


def is_broken(validated: Validated) -> bool:
    """Return whether so much is wrong that nobody should train on it."""
    if validated.contract.on_fail == "fail":
        return bool(validated.checked.reasons)
    return validated.checked.bad_share > validated.contract.max_bad


def _landed(site: Site, name: str, days: Days | None) -> pa.Table:
    rows = site.tables.read(site.product.table("raw", name), days=days)
    order = [DAY, FILE, ROW] if DAY in rows.column_names else [FILE, ROW]
    return rows.sort_by([(column, "ascending") for column in order])


def _usual_columns(site: Site, name: str) -> dict[str, Column]:
    validated = site.product.table("validated", name)
    if site.tables.exists(validated):
        return columns_of_schema(site.tables.schema(validated), OWN)
    return guess_columns(site, site.tables.read(site.product.table("raw", name)), OWN)


def _refuse_missing(name: str, landed: pa.Table, contract: Contract) -> None:
    missing = [c for c in contract.columns if c not in landed.column_names]
    if missing:
        there = [c for c in landed.column_names if c not in OWN]
        raise DataError(
            f"The contract of '{name}' names {', '.join(repr(c) for c in missing)}, which nothing that landed has; "
            f"there are {', '.join(there)}.{did_you_mean(missing[0], there)}"
        )


def _timeless(site: Site, source: Source, landed: pa.Table) -> dict[int, str]:
    """Return the rows whose day is not that of their own time: it cannot be read, or is none of the product's days."""
    if not (source.partition and source.time):
        return {}
    own = site.engine.query(
        f"select {own_day_sql(site, source, landed.schema)} as own, cast({quoted(source.time)} as varchar) as text from landed",
        {"landed": landed},
        origin="contract",
    )
    lost = rows_where(pc.is_null(own["own"]))
    texts = own["text"].take(lost).to_pylist()
    return {row: _without_a_day(source.time, text) for row, text in zip(lost.to_pylist(), texts, strict=True)}


def _without_a_day(time: str, text: str | None) -> str:
    if text is None:
        return f"{time} is missing or cannot be read, so that the row has no day"
    return f"{time}: '{text}' is no time in the product's days"


def _earlier(site: Site, name: str, contract: Contract, days: Days | None) -> dict[str, pa.Array]:
    """Return the values of unique columns that stand in earlier days than those at hand."""
    unique = {column: c for column, c in contract.columns.items() if c.unique}
    start = site.product.start
    if not (days and unique and start and start < days.first):
        return {}
    before = Days(start, days.first - timedelta(days=1))
    rows = site.tables.read(site.product.table("raw", name), days=before, columns=list(unique))
    typed = cast_rows(site, rows, unique)
    return {column: pc.unique(typed[column]).drop_null() for column in unique}


def _quarantined(landed: pa.Table, reasons: dict[int, str]) -> pa.Table:
    rows = landed.take(pa.array(list(reasons), pa.int64()))
    return rows.drop_columns([DIGEST]).append_column(REASON, pa.array(reasons.values(), pa.string()))


def _without(count: int, rows: list[int]) -> pa.Array:
    return pc.invert(pc.is_in(pa.array(range(count), pa.int64()), pa.array(rows, pa.int64())))
