"""Validation: raw rows become typed rows that keep the contract, and rows set aside with a reason."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date

import polars as pl
import pyarrow as pa

from headrace.contracts.across import find_broken_rules, find_repeats_of_earlier_days, find_strangers
from headrace.contracts.cast import cast_rows, columns_of_schema, guess_columns
from headrace.contracts.daily import day_failures, stale_failures, volume_failures
from headrace.contracts.declaration import Contract
from headrace.contracts.judge import Judged, Rows, judge_rows, without
from headrace.contracts.landed import days_with_rows, landed_rows
from headrace.contracts.spark import Part, Split, asked_of_spark, split_by_spark
from headrace.contracts.times import find_wrong_times
from headrace.contracts.verdict import Verdict, joined
from headrace.core.days import Days, in_pieces
from headrace.core.errors import DataError
from headrace.core.names import did_you_mean
from headrace.sources.convert import OWN
from headrace.sources.declaration import Source
from headrace.sources.read import MALFORMED
from headrace.store.site import Site
from headrace.store.tables import DAY

REASON = "_reason"
PIECES = 16
"""Into how many pieces of landed text the memory is divided: text, types, verdicts, copies, and what is being written."""
ENOUGH_TO_TELL = 20
"""How many values must have landed before none of them fitting the type means another type, and not bad rows."""


@dataclass(frozen=True)
class Validated:
    """The rows that go on, those that do not, and the verdict on all of them."""

    valid: pa.Table
    quarantined: pa.Table
    verdict: Verdict
    contract: Contract
    days: Days | None = None


def validate(site: Site, name: str, source: Source, contract: Contract | None, days: Days | None) -> Validated:
    """Return the rows of a raw table, of some days if given, split by the contract.

    Without a contract the types are those of the validated table, or what all landed values fit.
    A line that is no row never goes on, whatever the contract says.
    """
    contract = contract or usual_contract(site, name)
    found = _split(site, name, source, contract, days)
    return replace(found, verdict=joined([found.verdict, _verdict_on_the_whole(site, name, contract, days)]))


def validate_by_pieces(
    site: Site, name: str, source: Source, contract: Contract, days: Days | None
) -> Iterator[Validated]:
    """Yield the rows as `validate` would return them, as many days at a time as fit into the contract's memory.

    The verdicts of the pieces add up to that of the whole.
    """
    whole = _verdict_on_the_whole(site, name, contract, days)
    for number, piece in enumerate(_pieces(site, name, contract, days)):
        found = _split(site, name, source, contract, piece)
        yield replace(found, verdict=joined([found.verdict, whole])) if number == 0 else found


def usual_contract(site: Site, name: str) -> Contract:
    """Return the contract of a source that nobody has declared one for: the columns and types that it has had so far."""
    validated = site.product.table("validated", name)
    if site.tables.exists(validated):
        return Contract(columns=columns_of_schema(site.tables.schema(validated), OWN))
    return Contract(columns=guess_columns(site, site.tables.read(site.product.table("raw", name)), OWN))


def _split(site: Site, name: str, source: Source, contract: Contract, days: Days | None) -> Validated:
    part = Part(site, name, source, contract, days)
    asked = asked_of_spark(part)
    split = split_by_spark(part, asked) if asked else _split_here(part)
    _refuse_retyped(site, name, split.landed, split.typed, contract)
    judged = _judged(part, split)
    together = Verdict(failures=tuple(day_failures(split.typed, contract)))
    return Validated(
        valid=without(split.typed, _numbered(judged.aside, split.numbers)),
        quarantined=_quarantined(split.landed, judged.aside),
        verdict=joined([replace(judged.verdict, rows=split.typed.num_rows), together]),
        contract=contract,
        days=days,
    )


def _split_here(part: Part) -> Split:
    """Return all rows typed, and as they landed."""
    landed = landed_rows(part.site, part.name, part.days)
    _refuse_missing(part.name, landed, part.contract)
    typed = cast_rows(part.site, landed, part.contract.columns)
    return Split(typed.append_column(DAY, landed[DAY]) if DAY in landed.column_names else typed, landed)


def _judged(part: Part, split: Split) -> Judged:
    """Return what is wrong with the rows that landed."""
    site, name, contract, landed = part.site, part.name, part.contract, split.landed
    typed = split.typed.select(list(contract.columns))
    typed = typed if split.numbers is None else typed.take(split.numbers.to_arrow())
    found = [
        *find_broken_rules(site, typed, contract),
        *find_repeats_of_earlier_days(site, name, typed, contract, part.days),
        *find_strangers(site, typed, contract),
        *find_wrong_times(site, part.source, landed, typed, contract),
    ]
    return judge_rows(Rows(landed, typed, landed[MALFORMED], found), contract)


def _numbered(rows: pl.DataFrame, numbers: pl.Series | None) -> pl.DataFrame:
    """Return rows with other numbers: those at which they stand in the whole."""
    return rows if numbers is None else rows.with_columns(row=numbers.gather(rows["row"]))


def _verdict_on_the_whole(site: Site, name: str, contract: Contract, days: Days | None) -> Verdict:
    """Return what is wrong with no single row: days with too few rows, and values that are too old."""
    volume = volume_failures(site, name, contract, days) if days else ()
    return Verdict(failures=(*volume, *stale_failures(site, name, contract)))


def _pieces(site: Site, name: str, contract: Contract, days: Days | None) -> Iterator[Days | None]:
    """Yield ranges of days, in order, whose landed text is a sixteenth of the memory, or one day if that is more."""
    told = days_with_rows(site, name, days) if days else {}
    counts = {date.fromisoformat(day): rows for day, rows in told.items()}
    if days is None or not counts:
        yield days
        return
    yield from in_pieces(days, counts, contract.memory_bytes / PIECES / _row_bytes(site, name, counts))


def _row_bytes(site: Site, name: str, counts: Mapping[date, int]) -> float:
    """Return what a landed row weighs in memory, by the median day."""
    day = sorted(counts, key=lambda day: counts[day])[len(counts) // 2]
    rows = landed_rows(site, name, Days(day, day))
    return float(max(1, rows.nbytes // rows.num_rows))


def _refuse_missing(name: str, landed: pa.Table, contract: Contract) -> None:
    there = [c for c in landed.column_names if c not in OWN]
    missing = [c for c in contract.columns if c not in there]
    if missing:
        new = [c for c in there if c not in contract.columns]
        raise DataError(
            f"The contract of '{name}' names {', '.join(repr(c) for c in missing)}, which nothing that landed has; "
            f"there are {', '.join(there)}.{did_you_mean(missing[0], new or there)}"
        )


def _refuse_retyped(site: Site, name: str, landed: pa.Table, typed: pa.Table, contract: Contract) -> None:
    """Refuse columns of another type than the contract's: many values, and not one of them fits."""
    gone = [
        c
        for c in contract.columns
        if landed.num_rows - landed[c].null_count >= ENOUGH_TO_TELL
        and typed[c].null_count == landed.num_rows
        and not contract.columns[c].allow_nan
    ]
    if gone:
        now = guess_columns(site, landed.select(gone), ())
        diff = ", ".join(f"{c} (was {contract.columns[c].type}, is {now[c].type})" for c in gone)
        raise DataError(
            f"What landed for '{name}' has columns of other types than its contract: {diff}. "
            "Nothing was validated. Mend the files, or declare the new type."
        )


def _quarantined(landed: pa.Table, aside: pl.DataFrame) -> pa.Table:
    rows = landed.take(aside["row"].to_arrow())
    return rows.append_column(REASON, aside["reason"].to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.string()))
