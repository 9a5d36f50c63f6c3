"""Rows are judged column by column: which break the contract, by which rules, and why in words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from headrace.contracts.declaration import Contract
from headrace.contracts.rules import Rule, limits_of, own_rule, rule_of
from headrace.contracts.verdict import EXAMPLES, Failure, Verdict, joined

SHOWN = 80
"""How many characters of a bad value a reason shows."""


@dataclass(frozen=True)
class Found:
    """The rows that break one rule (numbers from 0), and the reason for each."""

    rule: Rule
    rows: pl.Series
    reasons: pl.Series


@dataclass(frozen=True)
class Rows:
    """Rows to be judged, and what is known about them beforehand."""

    landed: pa.Table
    """As they stand in the files."""
    typed: pa.Table
    """The contract's columns of `landed`, row by row; null where a value does not fit."""
    malformed: pa.ChunkedArray | None = None
    """For each row: the line, if it was no row at all; None if all are rows."""
    found: Sequence[Found] = ()
    """What asking other days and tables has found."""


@dataclass(frozen=True)
class Judged:
    """The verdict on rows, and the bad ones: `row`, `reason`, and whether it goes `aside`; in row order."""

    verdict: Verdict
    bad: pl.DataFrame

    @property
    def aside(self) -> pl.DataFrame:
        """The bad rows that do not go on."""
        return self.bad.filter("aside")


def judge_rows(rows: Rows, contract: Contract) -> Judged:
    """Return which rows break the contract, and how. Of rows that share unique values the first stays."""
    frame = pl.DataFrame(rows.typed)
    found = [*_miscast(rows, contract), *_missing(rows, frame, contract), *_beyond_limits(frame, contract)]
    found = [*found, *_repeated(frame, contract), *rows.found]
    lines = list(_malformed(rows, contract))
    found = [*lines, *(_beside(lines[0], part) for part in found)] if lines else found
    found = [part for part in found if len(part.rows)]
    bad = _by_row(found)
    verdict = Verdict(
        rows=rows.typed.num_rows,
        bad=bad.height,
        counted=int(bad["counts"].sum()),
        failures=tuple(_failures(found)),
    )
    return Judged(joined([verdict]), bad.drop("counts"))


def without(typed: pa.Table, aside: pl.DataFrame) -> pa.Table:
    """Return the rows that are not among those aside, in their order and types."""
    if not aside.height:
        return typed
    stays = pl.Series([True]).new_from_index(0, typed.num_rows).scatter(aside["row"], values=False)
    return pl.DataFrame(typed).filter(stays).to_arrow(compat_level=pl.CompatLevel.oldest()).cast(typed.schema)


def repeats(keys: pl.DataFrame) -> pl.Series:
    """Return the numbers of the rows whose key stands in an earlier row, too. Keys that miss a part are not compared.

    Equal keys have equal hashes: only the few rows whose hash comes twice are compared themselves.
    """
    numbered = keys.with_row_index("row").drop_nulls()
    whole = numbered.drop("row")
    hashes = whole.to_series().hash() if whole.width == 1 else whole.hash_rows()
    if hashes.n_unique() == len(hashes):
        return pl.Series([], dtype=pl.UInt32)
    ordered = hashes.sort()
    twice = hashes.is_in(ordered.filter(ordered == ordered.shift()).unique().implode()).arg_true()
    again = whole[twice].select(~pl.struct(pl.all()).is_first_distinct()).to_series()
    return numbered["row"].gather(twice.filter(again))


def reasons_of(values: pl.Series, prefix: str, suffix: str) -> pl.Series:
    """Return a sentence for each value."""
    shown = values.cast(pl.String).str.slice(0, SHOWN).fill_null("nothing")
    return shown.to_frame("v").select(pl.format("{}{}{}", pl.lit(prefix), "v", pl.lit(suffix))).to_series()


def found_where(mask: pl.Series, rule: Rule, values: pl.Series, prefix: str, suffix: str) -> Found:
    """Return the rows where a mask is true, each with a sentence around its value."""
    rows = mask.arg_true()
    return Found(rule, rows, reasons_of(values.gather(rows), prefix, suffix))


def _malformed(rows: Rows, contract: Contract) -> Iterator[Found]:
    if rows.malformed is not None and rows.malformed.null_count < len(rows.malformed):
        texts = pl.Series(rows.malformed)
        lines = texts.is_not_null()
        yield found_where(lines, own_rule(contract, "row"), texts, "not a row: ", "")


def _beside(lines: Found, other: Found) -> Found:
    """Return what was found in rows: a line that is none is judged as that alone."""
    keep = ~other.rows.is_in(lines.rows.implode())
    return Found(other.rule, other.rows.filter(keep), other.reasons.filter(keep))


def _miscast(rows: Rows, contract: Contract) -> Iterator[Found]:
    """Yield the values that landed and are gone as typed."""
    for name, column in contract.columns.items():
        lost = _lost(rows, name, allow_nan=column.allow_nan)
        if lost is not None:
            landed = pl.Series(rows.landed[name])
            yield found_where(lost, rule_of(contract, name, "type"), landed, f"{name}: '", f"' is no {column.type}")


def _lost(rows: Rows, name: str, *, allow_nan: bool = False) -> pl.Series | None:
    """Return where a value landed that does not fit; None if there is none."""
    landed, typed = rows.landed[name], rows.typed[name]
    if landed.null_count == typed.null_count:
        return None
    lost = pl.Series(pc.and_(pc.is_valid(landed), pc.is_null(typed)))
    if allow_nan:
        lost &= (pl.Series(landed).cast(pl.String).str.strip_chars().str.to_lowercase() != "nan").fill_null(value=False)
    return lost


def _missing(rows: Rows, frame: pl.DataFrame, contract: Contract) -> Iterator[Found]:
    for name, column in contract.columns.items():
        if column.may_miss or not frame[name].null_count():
            continue
        lost, missing = _lost(rows, name, allow_nan=column.allow_nan), frame[name].is_null()
        where = missing if lost is None else missing & ~lost
        numbers = where.arg_true()
        reasons = pl.Series([f"{name} is missing"]).new_from_index(0, len(numbers))
        yield Found(rule_of(contract, name, "nullable"), numbers, reasons)


def _beyond_limits(frame: pl.DataFrame, contract: Contract) -> Iterator[Found]:
    limits = list(limits_of(contract))
    masks = frame.lazy().select([limit.broken.alias(limit.rule.key) for limit in limits]).collect()
    for limit in limits:
        name, mask = limit.rule.column, masks[limit.rule.key]
        if mask.any():
            yield found_where(mask.fill_null(value=False), limit.rule, frame[name], f"{name}: ", f" {limit.says}")


def _repeated(frame: pl.DataFrame, contract: Contract) -> Iterator[Found]:
    for name, column in contract.columns.items():
        if column.unique:
            rows = repeats(frame[[name]])
            yield Found(rule_of(contract, name, "unique"), rows, said_twice(frame[[name]][rows]))
    for names in contract.unique:
        rows = repeats(frame[names])
        yield Found(own_rule(contract, "unique"), rows, said_twice(frame[names][rows]))


def said_twice(keys: pl.DataFrame) -> pl.Series:
    """Return for each key the sentence that it is there already."""
    named = ", ".join(keys.columns)
    parts = [pl.col(name).cast(pl.String).str.slice(0, SHOWN).fill_null("nothing") for name in keys.columns]
    told = pl.concat_str([pl.lit(f"{named}: "), pl.concat_str(parts, separator=", "), pl.lit(_TWICE)])
    return keys.select(told.alias("reason")).to_series()


_TWICE = " stands in an earlier row, too"


def _by_row(found: Sequence[Found]) -> pl.DataFrame:
    schema = {"row": pl.UInt32, "reason": pl.String, "aside": pl.Boolean, "counts": pl.Boolean}
    parts = [
        pl.DataFrame({"row": part.rows.cast(pl.UInt32), "reason": part.reasons}).with_columns(
            aside=pl.lit(part.rule.on_fail != "warn"), counts=pl.lit(part.rule.severity != "warn")
        )
        for part in found
    ]
    reason = pl.col("reason").unique(maintain_order=True).str.join("; ")
    grouped = pl.concat([pl.DataFrame(schema=schema), *parts]).group_by("row", maintain_order=True)
    return grouped.agg(reason, pl.col("aside").any(), pl.col("counts").any()).sort("row")


def _failures(found: Sequence[Found]) -> Iterator[Failure]:
    for part in found:
        rule, examples = part.rule, tuple(part.reasons.head(EXAMPLES).to_list())
        yield Failure(rule.column, rule.word, len(part.rows), examples, rule.on_fail, rule.severity)
