"""What the rows of a day must be together: how many, how many values missing, which mean; and how new the newest is."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median

import polars as pl
import pyarrow as pa
from polars.selectors import by_name

from headrace.contracts.cast import casts_sql
from headrace.contracts.declaration import Contract, OnFail, Severity, Volume
from headrace.contracts.landed import days_with_rows, landed_before
from headrace.contracts.rules import rule_of
from headrace.contracts.verdict import EXAMPLES, Failure
from headrace.core.days import DAY as ONE_DAY
from headrace.core.days import Days, last_whole_day, whole_days
from headrace.core.names import duration_text, quoted
from headrace.store.site import Site
from headrace.store.tables import DAY


@dataclass(frozen=True)
class Broken:
    """A day on which a rule about all its rows is broken; no day where the table has none."""

    day: date | None
    rows: int
    what: str

    def __str__(self) -> str:
        return f"{self.day}: {self.what}" if self.day else self.what


def day_failures(rows: pa.Table, contract: Contract) -> Iterator[Failure]:
    """Yield the rules about whole days that typed rows break; without a `_day` all rows are one day."""
    frame = pl.DataFrame(rows)
    days = [DAY] if DAY in frame.columns else [pl.lit(None, dtype=pl.Date).alias(DAY)]
    for name, column in contract.columns.items():
        if column.max_missing is not None:
            share = by_name(name).as_expr().null_count() / pl.len()
            found = _of_days(frame, days, share, f"{name} misses", (None, column.max_missing))
            yield from _failure(contract, name, "max_missing", found)
        for word, limits in (("min_mean", (column.min_mean, None)), ("max_mean", (None, column.max_mean))):
            if limits != (None, None):
                found = _of_days(
                    frame, days, by_name(name).as_expr().cast(pl.Float64).mean(), f"{name} has a mean of", limits
                )
                yield from _failure(contract, name, word, found)


def volume_failures(site: Site, name: str, contract: Contract, days: Days) -> Iterator[Failure]:
    """Yield a failure if one of the days that are over brought too few or too many rows, by the days before it."""
    volume = contract.volume
    if volume is None:
        return
    back = whole_days(volume.over)
    counts = days_with_rows(site, name, days.widened(before=back))
    if not counts:
        return
    newest = min(date.fromisoformat(max(counts)), last_whole_day(site.clock.now(), site.product.timezone))
    judged = [_judged(day, counts, volume, back) for day in days if day <= newest]
    found = [broken for broken in judged if broken]
    if found:
        on_fail, severity = volume.on_fail or contract.on_fail, _at_once(volume.severity or contract.severity)
        yield Failure("", "volume", *_summed(found), on_fail if on_fail == "fail" else "warn", severity)


def stale_failures(site: Site, name: str, contract: Contract) -> Iterator[Failure]:
    """Yield the columns whose newest landed value is older than it may be. Values that are still to come do not count."""
    now, table = site.clock.now, site.product.table("raw", name)
    for column, declared in contract.columns.items():
        if declared.fresh_within is None:
            continue
        moment = now()
        landed, views = landed_before(site, name, None)
        casts = casts_sql(site, site.tables.schema(table), {column: declared})
        sql = f"select max({quoted(column)}) as newest from (select {casts} from ({landed})) where {quoted(column)} <= {_literal(moment)}"
        newest = site.engine.query(sql, views, origin="contracts: fresh_within")["newest"][0].as_py()
        if newest is None or moment - newest > declared.fresh_within:
            age = f"{(moment - newest) / timedelta(hours=1):.1f} h old" if newest else "missing"
            what = f"the newest {column} is {age}, more than {duration_text(declared.fresh_within)}"
            yield from _failure(contract, column, "fresh_within", [Broken(None, 0, what)])


def _literal(moment: object) -> str:
    return f"timestamptz '{moment}'"


def _of_days(
    frame: pl.DataFrame,
    days: Sequence[str | pl.Expr],
    measure: pl.Expr,
    what: str,
    limits: tuple[float | None, float | None],
) -> list[Broken]:
    least, most = limits
    measured = frame.group_by(days).agg(measure.alias("measured"), pl.len().alias("rows")).sort(DAY)
    broken = measured.filter(pl.col("measured") < least if least is not None else pl.col("measured") > most)
    limit = f"less than {least:g}" if least is not None else f"more than {most:g}"
    return [
        Broken(row[DAY], row["rows"], f"{what} {row['measured']:.3g}, {limit}") for row in broken.iter_rows(named=True)
    ]


def _failure(contract: Contract, column: str, word: str, found: list[Broken]) -> Iterator[Failure]:
    if found:
        rule = rule_of(contract, column, word)
        on_fail: OnFail = "fail" if rule.on_fail == "fail" else "warn"
        yield Failure(column, word, *_summed(found), on_fail, _at_once(rule.severity))


def _summed(found: list[Broken]) -> tuple[int, tuple[str, ...]]:
    return sum(broken.rows for broken in found), tuple(str(broken) for broken in found[:EXAMPLES])


def _at_once(severity: Severity) -> Severity:
    """Return how grave a rule about days is: they have no share of bad rows, so that each counts by itself."""
    return "warn" if severity == "warn" else "error"


def _judged(day: date, counts: Mapping[str, int], volume: Volume, back: int) -> Broken | None:
    before = [counts[str(day - ONE_DAY * n)] for n in range(1, back + 1) if str(day - ONE_DAY * n) in counts]
    if not before:
        return None
    rows, usual = counts.get(str(day), 0), median(before)
    said = f"{rows:,} rows, {rows / usual:.2f} of the median day of the {duration_text(volume.over)} before ({usual:g})"
    if volume.min_share is not None and rows < volume.min_share * usual:
        return Broken(day, rows, f"{said}, less than {volume.min_share:g}")
    if volume.max_share is not None and rows > volume.max_share * usual:
        return Broken(day, rows, f"{said}, more than {volume.max_share:g}")
    return None
