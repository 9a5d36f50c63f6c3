"""The faults: each is planted step by step, and the product's own sensors look behind every step.

Each is a generator that yields what it has done last, in words; whoever drills looks at the guards in between, and stops it
once all have spoken.
"""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from itertools import chain

import pyarrow as pa

from headrace.automation.declaration import Trigger
from headrace.core.days import DAY, Days, last_whole_day, whole_days
from headrace.core.errors import Refused
from headrace.drills.declaration import Drill, Fault
from headrace.drills.guards import KEPT_OUT, late_name
from headrace.drills.harmful import harmful_release
from headrace.drills.land import NextDay, land
from headrace.drills.outage import outage
from headrace.drills.resources import Stage
from headrace.drills.rows import (
    daily_sources,
    is_numeric,
    keys_of,
    landed_rows,
    model_day,
    moved,
    newest_day,
    replaced,
    shifted,
    spread_of,
)
from headrace.drills.worse import bad_model
from headrace.monitoring.diagnose import importance_of
from headrace.monitoring.upstream import origins_of

Change = Callable[[str, pa.Table], pa.Table]
"""Source and rows of its next day → the rows that land."""
MINUTE = timedelta(minutes=1)
STEPS, MOST_STEPS = 6, 8
"""How many looks there are until a source is late, and how many at most."""
ODD_TEXT = "broken"


def plant(fault: Fault, stage: Stage, drill: Drill) -> Iterator[str]:
    """Plant a fault, and yield after each step what was done."""
    return _PLANT[fault](stage, drill)


def healthy(stage: Stage, days: int) -> Iterator[str]:
    """Land days like those before them."""
    for _ in range(days):
        yield _a_day(stage, lambda _, rows: rows)


def land_next_day(stage: Stage, change: Change) -> tuple[date, dict[str, int]]:
    """Land the next day of each source by day, and let the clock go to its end; return the day and the rows that landed.

    Raises Refused where the product has no source of which a next day can be made.
    """
    declared, site = stage.declared, stage.site
    if not daily_sources(declared):
        raise Refused("A drill lands the next day's files, and no source has `files` in a folder and `partition: day`.")
    midnight = stage.sandbox.next_midnight()
    day = last_whole_day(midnight, declared.timezone)
    counts = {}
    for name, source in daily_sources(declared).items():
        of = model_day(min(newest_day(site, name), day - DAY), day)
        rows, file = landed_rows(site, name, source, of)
        rows = change(name, moved(rows, of, day, keys_of(declared, name)))
        land(site, name, source, NextDay(rows, day, of, file))
        counts[name] = rows.num_rows
    stage.sandbox.move_clock(midnight)
    return day, counts


def look_around(stage: Stage) -> None:
    """Let every sensor of the product look once; a training that is asked for is written down, and not done."""
    stage.look("files")
    stage.look_at_freshness()
    if stage.declared.model:
        stage.ask("retrain")
    stage.look("incidents")


def wants_to_train(stage: Stage) -> None:
    """Give the product a reason to train at any moment, so that there is one that must wait."""
    ever = Trigger(on="age", older_than=MINUTE)
    stage.change(retrain=stage.declared.retrain.model_copy(update={"when": [ever]}))


def _a_day(stage: Stage, change: Change) -> str:
    day, counts = land_next_day(stage, change)
    look_around(stage)
    return f"{day} landed: {', '.join(f'{count:,} rows of {name}' for name, count in counts.items())}"


def _drift(stage: Stage, drill: Drill) -> Iterator[str]:
    source, column = column_to_shift(stage)
    window = whole_days(stage.declared.monitors.drift.window)
    by = drill.shift * _spread(stage, source, column, window)
    contract = stage.declared.contracts.get(source)
    rules = contract.columns.get(column) if contract else None
    bounds = (_number(rules.min), _number(rules.max)) if rules else (None, None)

    def shift(name: str, rows: pa.Table) -> pa.Table:
        return shifted(rows, column, by, bounds) if name == source else rows

    for _ in range(window):
        yield f"{source}.{column} moved by {by:.4g} ({drill.shift:g} standard deviations); {_a_day(stage, shift)}"


def column_to_shift(stage: Stage) -> tuple[str, str]:
    """Return the source and the landed column of numbers behind the input that the live model looks at most.

    Raises Refused where no input is made of such a column.
    """
    declared, site = stage.declared, stage.site
    live = site.releases.live(stage.sandbox.product)
    origins = origins_of(site, declared.graph)
    for feature in importance_of(site, live.model) if live else {}:
        named = sorted(origins.get(feature, ())) or [f"{name}.{feature}" for name in declared.sources if not origins]
        for origin in named:
            source, _, column = origin.rpartition(".")
            if source in daily_sources(declared) and _can_be_shifted(stage, source, column):
                return source, column
    raise Refused("No input of the live model is made of a landed column of numbers: there is nothing to shift.")


def _can_be_shifted(stage: Stage, name: str, column: str) -> bool:
    source, site = stage.declared.sources[name], stage.site
    rows, _ = landed_rows(site, name, source, newest_day(site, name))
    taken = keys_of(stage.declared, name) | ({stage.declared.label.column} if stage.declared.label else set())
    return column in rows.column_names and column not in taken and is_numeric(rows[column])


def _spread(stage: Stage, name: str, column: str, days: int) -> float:
    site, source = stage.site, stage.declared.sources[name]
    newest = newest_day(site, name)
    known = Days(newest - DAY * (days - 1), newest)
    rows = site.tables.read(site.product.table("raw", name), days=known, columns=[column])
    spread = spread_of(rows, column)
    if not spread:
        raise Refused(
            f"'{column}' of source '{name}' is the same in all rows of {known} ({source.place}): nothing to shift."
        )
    return spread


def _number(limit: object) -> float | None:
    return float(limit) if isinstance(limit, int | float) else None


def _late_source(stage: Stage, drill: Drill) -> Iterator[str]:
    del drill
    name = late_name(stage.declared)
    limit = (stage.declared.sources[name].fresh_within if name else None) or 2 * DAY
    for step in range(1, MOST_STEPS + 1):
        stage.sandbox.move_clock(stage.now + limit / STEPS)
        stage.look_at_freshness()
        if name and stage.failed_check("raw", name, "freshness"):
            wants_to_train(stage)
        look_around(stage)
        yield f"nothing has landed for {limit * step / STEPS / timedelta(hours=1):.0f} h"


def _broken_rows(stage: Stage, drill: Drill) -> Iterator[str]:
    found = _column_to_break(stage)
    if not found:
        return
    source, column, value = found
    table = stage.site.product.table("quarantine", source)
    before = stage.site.tables.count(table) if stage.site.tables.exists(table) else 0
    wants_to_train(stage)
    day, counts = land_next_day(
        stage, lambda name, rows: replaced(rows, column, value, drill.broken) if name == source else rows
    )
    look_around(stage)
    _measure_kept_out(stage, source, day, (counts[source], before), drill)
    yield f"{source}.{column} is {value!r} in {drill.broken:.0%} of the {counts[source]:,} rows of {day}"


def _measure_kept_out(stage: Stage, source: str, day: date, counts: tuple[int, int], drill: Drill) -> None:
    """Write down that no broken row went on, if none did: `counts` are the rows that landed, and those set aside before."""
    landed, before = counts
    broken, product, tables = max(1, round(landed * drill.broken)), stage.site.product, stage.site.tables
    went_on = tables.read(product.table("validated", source), days=Days(day, day), columns=[]).num_rows
    aside = tables.count(product.table("quarantine", source)) - before
    stops = bool(stage.failed_check("validated", source, "contract")) and not stage.runs[-1].succeeded
    if went_on <= landed - broken and (aside >= broken or stops):
        stage.seen[KEPT_OUT] = (
            f"{broken:,} of {landed:,} rows were broken: {went_on:,} went on, {aside:,} were set aside"
        )


def _column_to_break(stage: Stage) -> tuple[str, str, str | None] | None:
    """Return a source by day with a contract, a landed column, and a value that it forbids; None where there is no contract."""
    for name, source in daily_sources(stage.declared).items():
        contract = stage.declared.contracts.get(name)
        if contract is None:
            continue
        rows, _ = landed_rows(stage.site, name, source, newest_day(stage.site, name))
        for column, rules in contract.columns.items():
            if column not in rows.column_names or column == source.time:
                continue
            if pa.types.is_string(rows.schema.field(column).type) and rules.type != "string":
                return name, column, ODD_TEXT
            if not rules.nullable:
                return name, column, None
    return None


_PLANT: dict[Fault, Callable[[Stage, Drill], Iterator[str]]] = {
    "drift": _drift,
    "late_source": _late_source,
    "broken_rows": _broken_rows,
    "outage": lambda stage, _: outage(stage, lambda: land_next_day(stage, lambda _, rows: rows)),
    "bad_model": lambda stage, _: chain(bad_model(stage), harmful_release(stage)),
}
