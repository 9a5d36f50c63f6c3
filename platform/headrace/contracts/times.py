"""Times that cannot be: of no day, or still to come."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from headrace.contracts.declaration import Contract
from headrace.contracts.judge import Found, found_where
from headrace.contracts.rules import Rule, own_rule, rule_of
from headrace.core.names import duration_text, quoted
from headrace.core.sql import instant_sql
from headrace.sources.convert import own_day_sql
from headrace.sources.declaration import Source
from headrace.store.site import Site

AHEAD = timedelta(minutes=5)
"""How far ahead of now a source's own time is believed: clocks differ, no more."""


def find_wrong_times(
    site: Site, source: Source, landed: pa.Table, typed: pa.Table, contract: Contract
) -> Iterator[Found]:
    """Yield the rows whose own time has no day, and those with a time that lies too far ahead."""
    limits = limits_ahead(site, source, contract)
    now = site.clock.now() if limits else None
    own = _own_times(site, source, landed) if source.time and source.time in landed.column_names else None
    if own is not None and "day" in own.columns:
        yield _dayless(own, source, contract)
    for name, ahead in limits.items():
        moments = own["moment"] if own is not None and name == source.time else _typed_times(typed, name)
        if moments is not None and now is not None:
            yield _ahead(moments, name, ahead, now, _ahead_rule(contract, name))


def limits_ahead(site: Site, source: Source, contract: Contract) -> Mapping[str, timedelta]:
    """Return how far ahead the times of each column may lie. A replay's clock moves only when its files have landed."""
    declared = {name: c.max_ahead for name, c in contract.columns.items() if c.max_ahead is not None}
    return ({source.time: AHEAD} if source.time and site.product.clock == "wall" else {}) | declared


def _own_times(site: Site, source: Source, landed: pa.Table) -> pl.DataFrame:
    """Return the moment of each row and its text; and its day, where the source lies in days."""
    assert source.time
    column = quoted(source.time)
    is_typed = pa.types.is_timestamp(landed.schema.field(source.time).type)
    moment = column if is_typed else instant_sql(source.time, site.product.timezone)
    day = f", {own_day_sql(site, source.time, landed.schema)} as day" if source.partition else ""
    sql = f"select cast({moment} as timestamptz) as moment, cast({column} as varchar) as text{day} from landed"
    times = {"landed": landed.select([source.time])}
    return pl.DataFrame(site.engine.query(sql, times, origin="contracts: times"))


def _typed_times(typed: pa.Table, name: str) -> pl.Series | None:
    return pl.Series(typed[name]) if name in typed.column_names else None


def _dayless(own: pl.DataFrame, source: Source, contract: Contract) -> Found:
    rows = own["day"].is_null().arg_true()
    missing = f"{source.time} is missing or cannot be read, so that the row has no day"
    told = pl.format("{}: '{}' is no time in the product's days", pl.lit(source.time), pl.col("text"))
    reasons = own[rows].select(pl.when(pl.col("text").is_null()).then(pl.lit(missing)).otherwise(told).alias("reason"))
    return Found(own_rule(contract, "time"), rows, reasons.to_series())


def _ahead(moments: pl.Series, name: str, ahead: timedelta, now: datetime, rule: Rule) -> Found:
    latest = pa.scalar(now + ahead, pa.timestamp("us", "UTC"))
    late = pl.Series(pc.greater(moments.to_arrow().cast(pa.timestamp("us", "UTC")), latest))
    said = f" is more than {duration_text(ahead)} ahead of now ({now:%Y-%m-%d %H:%M} UTC)"
    return found_where(late.cast(pl.Boolean).fill_null(value=False), rule, moments, f"{name}: ", said)


def _ahead_rule(contract: Contract, name: str) -> Rule:
    if name in contract.columns:
        return rule_of(contract, name, "max_ahead")
    return own_rule(contract, "time")
