"""What the decision to train looks at, as far as tables and logs tell it: windows, new rows, what changed, what was spent."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from headrace.automation.alarm import Reading
from headrace.automation.decide import Grown, Spent
from headrace.automation.loop import Loop
from headrace.automation.memory import Memory
from headrace.core.days import DAY
from headrace.core.fingerprint import Parts
from headrace.features.training import label_statement, labelled_by_day
from headrace.models.origin import TRAINING, origin_of
from headrace.monitoring.declaration import Drift, Quality
from headrace.monitoring.drift import Moved, worst
from headrace.monitoring.quality import Realized, quality_words
from headrace.monitoring.shifts.shift import Shift, most_shifted
from headrace.store.releases import Release
from headrace.store.site import Site

_HOUR = 3600.0
_NEXT_TO_NOTHING = 1e-9


def readings(loop: Loop, live: Release, memory: Memory) -> dict[str, tuple[Reading, ...]]:
    """Return what monitors measured of the live model, window by window, oldest first: `drift`; `shifts` and `quality` with a limit."""
    zone, monitors = ZoneInfo(loop.site.product.timezone), loop.monitors
    drifted = _rows_of(loop.site, "drift", live, memory)
    found = {"drift": drift_readings([_moved(row) for row in drifted], monitors.drift, zone)}
    if monitors.drift.shift_checks:
        found["shifts"] = shift_readings([_shift(row) for row in _rows_of(loop.site, "shifts", live, memory)], zone)
    if monitors.quality.has_limit:
        realized = [Realized(**row) for row in _rows_of(loop.site, "quality", live, memory)]
        found["quality"] = quality_readings(realized, monitors.quality, zone)
    return found


def drift_readings(moved: Sequence[Moved], policy: Drift, zone: ZoneInfo) -> tuple[Reading, ...]:
    """Return for each day that a window ends on how far the column moved that is farthest beyond its limit."""
    heard = sorted((m for m in moved if m.column not in policy.ignore), key=lambda m: m.day)
    found = ((day, worst(list(of_day))) for day, of_day in groupby(heard, key=lambda m: m.day))
    return tuple(Reading(end_of(day, zone), most.value / most.limit, str(most)) for day, most in found if most)


def shift_readings(shifts: Sequence[Shift], zone: ZoneInfo) -> tuple[Reading, ...]:
    """Return for each day how far that kind is beyond its limit that is farthest; what is known of a kind holds until its next day.

    Labels are known of days that are long over for all other kinds.
    """
    newest: dict[str, Shift] = {}
    found = []
    for day, of_day in groupby(sorted(shifts, key=lambda s: s.day), key=lambda s: s.day):
        known = sorted(of_day, key=lambda s: s.kind)
        each = {kind: most_shifted(list(of_kind)) for kind, of_kind in groupby(known, key=lambda s: s.kind)}
        newest |= {kind: most for kind, most in each.items() if most}
        most = most_shifted(list(newest.values()))
        if most:
            found.append(Reading(end_of(day, zone), most.ratio, str(most)))
    return tuple(found)


def quality_readings(days: Sequence[Realized], policy: Quality, zone: ZoneInfo) -> tuple[Reading, ...]:
    """Return for each day how far the declared metric of all rows is from perfect, against how far its limit is.

    Days without a value say nothing.
    """
    own = [day for day in days if (day.metric, day.by) == (policy.metric, "")]
    known = sorted((day for day in own if day.value is not None), key=lambda day: day.day)
    return tuple(
        Reading(end_of(d.day, zone), _shortfall(d.value or 0.0, policy), quality_words(d, policy)) for d in known
    )


def _shortfall(value: float, policy: Quality) -> float:
    """Return 1 for a value at its limit, and more for a worse one."""
    if policy.ceiling is not None:
        return max(value, 0.0) / max(policy.ceiling, _NEXT_TO_NOTHING)
    floor = policy.floor if policy.floor is not None else 0.0
    return floor / max(value, _NEXT_TO_NOTHING) if floor >= 1 else (1 - value) / (1 - floor)


def end_of(day: date, zone: ZoneInfo) -> datetime:
    """Return the moment at which a local day ends, in UTC."""
    return datetime.combine(day + DAY, time(), zone).astimezone(UTC)


def grown(loop: Loop, live: Release, memory: Memory) -> Grown | None:
    """Return how many labelled rows the live model was trained on, and how many are known by now, by whole days of UTC.

    None where nothing is kept of its training. The test rows belong to those that it was trained on: they were there.
    """
    site, label = loop.site, loop.label
    origin = origin_of(site, live.model)
    if label is None or origin is None:
        return None
    tables = [site.product.table("validated", name) for name in label_statement(site, label).tables]
    state = (tuple(map(site.tables.stamp, tables)), label.model_dump_json(), label_statement(site, label).text)
    counts = memory.of("rows", state, lambda: labelled_by_day(site, label))
    until = (site.clock.now() - label.known_after).astimezone(UTC).date()
    labelled = sum(count for day, count in counts.items() if day < until)
    return Grown(int(origin.get("labelled") or origin["cost"][TRAINING]["rows"]), labelled)


def changed(loop: Loop, live: Release) -> dict[str, str]:
    """Return what is not as it was when the live model was trained: `schema` of contracts, `code` of features, in words."""
    product = loop.site.product
    origin = origin_of(loop.site, live.model)
    if origin is None:
        return {}
    layers = {"schema": product.table("validated", ""), "code": product.table("features", "")}
    training = product.table("training", "set")
    found: dict[str, list[str]] = {"schema": [], "code": []}
    for recipe in loop.recipes():
        kind = next((kind for kind, layer in layers.items() if recipe.table.startswith(layer)), None)
        kind = "code" if recipe.table == training else kind
        if kind and recipe.table in origin["parts"]:
            other = _other(origin["parts"][recipe.table], recipe.parts)
            found[kind] += [f"{recipe.table}: {', '.join(other)}"] if other else []
    return {kind: "; ".join(tables) for kind, tables in found.items() if tables}


def spent(loop: Loop) -> tuple[Spent, ...]:
    """Return what each training cost, oldest first: its own steps, and those that judged its candidate; none without a price."""
    price = loop.serve.price
    if price is None:
        return ()
    return tuple(
        Spent(training[0], training[1] / _HOUR * price.cpu_hour) for training in _by_training(loop.site.costs.entries())
    )


def _by_training(entries: Sequence[Mapping[str, Any]]) -> Iterator[tuple[datetime, float]]:
    """Yield when each training began and the CPU seconds that it took, with the steps behind it."""
    found: list[tuple[datetime, float]] = []
    for entry in entries:
        if entry["what"] == TRAINING or not found:
            found.append((datetime.fromisoformat(entry["at"]), 0.0))
        began, seconds = found[-1]
        found[-1] = (began, seconds + float(entry["cpu_seconds"]))
    yield from found


def _rows_of(site: Site, name: str, live: Release, memory: Memory) -> list[dict[str, Any]]:
    """Return what a table of monitoring says of the live model."""
    table = site.product.table("monitoring", name)
    stamp = site.tables.stamp(table)
    return memory.of(table, (stamp, live.model), lambda: _read(site, table, live.model)) if stamp else []


def _read(site: Site, table: str, model: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = site.tables.read(table).to_pylist()
    return [row for row in rows if row["model"] == model]


def _moved(row: Mapping[str, Any]) -> Moved:
    return Moved(**{name: value for name, value in row.items() if name != "model"})


def _shift(row: Mapping[str, Any]) -> Shift:
    told = {name: value for name, value in row.items() if name != "model"}
    return Shift(**{**told, "told_by": tuple(row["told_by"] or ())})


def _other(then: Parts, now: Parts) -> list[str]:
    """Return the parts that are not as they were; days that were made by several versions know each of them."""
    return sorted(
        part for part in {*then, *now} if part not in now or f", {now[part]}, " not in f", {then.get(part, '')}, "
    )
