"""The table monitoring/profiles: what is kept of each day, which days are out of date, and how they are made again."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from hashlib import sha256
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.days import Days, unbroken
from headrace.core.recipe import hull
from headrace.features.steps import local_days
from headrace.models.meta import Input, load_meta
from headrace.models.predict import MODEL
from headrace.models.profile import Counted, Profile, merged_profiles, profile_of
from headrace.monitoring.drift import DayProfile
from headrace.store.addition import Commit
from headrace.store.cause import Cause
from headrace.store.site import Site
from headrace.store.tables import DAY

Of = Literal["scored", "training"]
PROFILES = pa.schema(
    {
        DAY: pa.date32(),
        "of": pa.string(),
        "model": pa.string(),
        "reference": pa.string(),
        "bins": pa.string(),
        "column": pa.string(),
        "missing": pa.int64(),
        "counts": pa.list_(pa.int64()),
        "sums": pa.list_(pa.int64()),
        "squares": pa.decimal128(38, 0),
        "least": pa.float64(),
        "most": pa.float64(),
        "other": pa.int64(),
        "new": pa.int64(),
        "names": pa.list_(pa.string()),
        "name_rows": pa.list_(pa.int64()),
        "version": pa.int64(),
    }
)


@dataclass(frozen=True)
class Against:
    """The reference that profiles are over the bins of: the live model's, as it was recorded with it."""

    model: str
    profile: Profile

    @property
    def bins(self) -> str:
        """A digest of the bins: a model that is trained again to the same bytes may get others."""
        own = {name: column.get("edges", column.get("categories")) for name, column in sorted(self.profile.items())}
        return sha256(json.dumps(own).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Made:
    """Profiles of some days that were made now, of rows of one version of their table."""

    of: Of
    days: Sequence[Days]
    version: int
    profiles: Sequence[DayProfile]


def kept_profiles(site: Site, against: Against, of: Of, days: Days | None = None) -> list[DayProfile]:
    """Return the profiles that are kept over the bins of a reference, of some days if asked, in the order of days."""
    found: dict[tuple[date, str], Profile] = {}
    for row in _kept(site, against, of, days).to_pylist():
        if row["column"] in against.profile:
            own = found.setdefault((row[DAY], row["model"]), {})
            own[row["column"]] = _counted(row, against.profile[row["column"]])
    return [DayProfile(day, profile, model) for (day, model), profile in sorted(found.items(), key=lambda one: one[0])]


def stale_days(site: Site, against: Against, days: Days) -> list[Days]:
    """Return the days whose scored rows were written after their profiles, or have none."""
    kept = _kept(site, against, "scored", days, ["version"])
    made: dict[date, int] = {}
    for row in kept.group_by(DAY).aggregate([("version", "min")]).to_pylist():
        made[row[DAY]] = row["version_min"]
    written = _written(site, days)
    return unbroken(day for day, version in written.items() if version > made.get(day, -1))


def batch_profiles(
    batches: Iterable[pa.RecordBatch], by: tuple[str, str], inputs: Mapping[str, Sequence[Input]], reference: Profile
) -> Iterator[DayProfile]:
    """Yield one profile for each day and model, in one pass over batches of rows; `by` names the columns of both."""
    parts: dict[tuple[date, str], list[Profile]] = {}
    for batch in batches:
        rows = pa.Table.from_batches([batch])
        days, models = rows[by[0]].combine_chunks(), rows[by[1]].combine_chunks()
        for here in rows.select(list(by)).group_by(list(by)).aggregate([]).to_pylist():
            day, model = here[by[0]], here[by[1]]
            own = rows.filter(pc.and_(pc.equal(days, pa.scalar(day)), pc.equal(models, pa.scalar(model))))
            of_day = parts.setdefault((day, model), [])
            of_day.append(profile_of(own, inputs[model], reference))
            parts[day, model] = [merged_profiles(of_day)]
    for (day, model), [profile] in parts.items():
        yield DayProfile(day, profile, model)


def training_profiles(site: Site, against: Against) -> Made:
    """Return a profile of each day of the rows that a model was trained on, of the newest version that it was; no days where it is gone.

    Days are those of prediction times, from the first to the last that the model has seen.
    """
    meta, product = load_meta(site.models, against.model), site.product
    versions = [one for one in site.models.trainings(against.model) if one["product"] == product.product]
    table = product.table("training", "set")
    if not versions or versions[-1]["version"] in site.tables.removed(table).versions:
        return Made("training", [], 0, [])
    version, model = versions[-1]["version"], pa.scalar(against.model)
    first, last = (pa.scalar(moment, pa.timestamp("us", "UTC")) for moment in (meta.train_from, meta.train_to))

    def with_days(batch: pa.RecordBatch) -> pa.RecordBatch:
        rows = pa.Table.from_batches([batch])
        times = rows[meta.time].cast(pa.timestamp("us", "UTC"))
        rows = rows.append_column(_AT, pa.chunked_array([local_days(times, product.timezone)]))
        rows = rows.append_column(MODEL, pa.repeat(model, rows.num_rows))
        seen = rows.filter(pc.and_(pc.greater_equal(times, first), pc.less_equal(times, last)))
        return seen.combine_chunks().to_batches()[0] if seen.num_rows else rows.slice(0, 0).to_batches()[0]

    batches = map(with_days, site.tables.scan(table, version=version))
    found = list(batch_profiles(batches, (_AT, MODEL), {against.model: meta.inputs}, against.profile))
    return Made("training", unbroken(part.day for part in found), version, found)


def write_profiles(site: Site, against: Against, made: Sequence[Made], why: str) -> Commit | None:
    """Keep profiles in place of those of the same days over the same bins; None where nothing was made."""
    span = hull([days for one in made for days in one.days])
    if span is None:
        return None
    table = site.product.table("monitoring", "profiles")
    rows = [row for one in made for part in one.profiles for row in _rows(against, one, part)]
    before = site.tables.read(table, days=span) if site.tables.exists(table) else PROFILES.empty_table()
    gone = pa.array([_is_replaced(row, against, made) for row in before.select(_KEYS).to_pylist()], pa.bool_())
    new = pa.Table.from_pylist(rows, schema=PROFILES)
    whole = pa.concat_tables([before.filter(pc.invert(gone)).select(PROFILES.names).cast(PROFILES), new])
    ordered = whole.sort_by([(name, "ascending") for name in (DAY, "of", "reference", "bins", "model", "column")])
    return site.tables.replace(table, ordered, days=span, why=Cause(why))


_AT = "_local_day"
_KEYS = [DAY, "of", "reference", "bins"]


def _is_replaced(row: Mapping[str, Any], against: Against, made: Sequence[Made]) -> bool:
    own = (row["reference"], row["bins"]) == (against.model, against.bins)
    return own and any(
        row["of"] == one.of and any(days.first <= row[DAY] <= days.last for days in one.days) for one in made
    )


def _kept(
    site: Site, against: Against, of: Of, days: Days | None = None, columns: Sequence[str] | None = None
) -> pa.Table:
    table = site.product.table("monitoring", "profiles")
    if not site.tables.exists(table):
        return PROFILES.empty_table()
    wanted = list(dict.fromkeys([*_KEYS, *columns])) if columns is not None else None
    rows = site.tables.read(table, days=days, columns=wanted)
    asked = {"of": of, "reference": against.model, "bins": against.bins}
    for name, value in asked.items():
        rows = rows.filter(pc.equal(rows[name], pa.scalar(value)))
    return rows


def _written(site: Site, days: Days) -> dict[date, int]:
    """Return for each day the last version of the scored rows that changed files and may have written it."""
    written: dict[date, int] = {}
    files: Mapping[str, int] = {}
    for version in site.tables.versions(site.product.table("predictions", "batch")):
        if version.files != files:
            first, _, last = version.days.partition("...")
            span = Days(date.fromisoformat(first), date.fromisoformat(last or first)) if first else days
            both = max(days.first, span.first), min(days.last, span.last)
            written |= dict.fromkeys(Days(*both), version.number) if both[0] <= both[1] else {}
        files = version.files
    return written


def _rows(against: Against, made: Made, part: DayProfile) -> Iterator[dict[str, Any]]:
    for column, counted in part.profile.items():
        told = {name: counted.get(name) for name in ("missing", "counts", "sums", "least", "most", "other", "new")}
        names = counted.get("names", {})
        yield told | {
            DAY: part.day,
            "of": made.of,
            "model": part.model,
            "reference": against.model,
            "bins": against.bins,
            "column": column,
            "squares": Decimal(counted["squares"]) if "squares" in counted else None,
            "names": list(names),
            "name_rows": list(names.values()),
            "version": made.version,
        }


def _counted(row: Mapping[str, Any], bins: Counted) -> Counted:
    """Return a row as the column of a profile that it was."""
    if "categories" in bins:
        names = dict(zip(row["names"], row["name_rows"], strict=True))
        told = {name: row[name] for name in ("counts", "missing", "other", "new")}
        return {"categories": bins["categories"]} | told | {"names": names}
    told = {name: row[name] for name in ("counts", "missing", "sums", "least", "most")}
    return {"edges": bins["edges"]} | told | {"squares": int(row["squares"])}
