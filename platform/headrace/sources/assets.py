"""Landed files as assets: raw/<source>, with checks on its files and its freshness."""

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from functools import partial
from typing import Any

import dagster as dg

from headrace.core.assets import (
    NO_ROWS,
    asset,
    daily,
    days_of,
    is_forced,
    made,
    mended,
    records,
    spec,
    table_metadata,
    verdict,
)
from headrace.core.days import Days
from headrace.core.fingerprint import version_of
from headrace.sources.declaration import Source
from headrace.sources.freshness import Freshness, freshness
from headrace.sources.ingest import ingest
from headrace.sources.ingested import Ingested
from headrace.sources.read import format_of
from headrace.sources.recipe import raw_parts, raw_recipe
from headrace.sources.volume import volume
from headrace.store.site import Site

FILES, FRESHNESS, VOLUME = "files", "freshness", "volume"
DATA_VERSION = "dagster/data_version"


Readers = Callable[[str, str], list[str]]
"""Source, column → what reads it, in words."""


def source_assets(
    site: Site, sources: Mapping[str, Source], readers: Readers = lambda _source, _column: []
) -> list[dg.AssetsDefinition]:
    """Return raw/<source> for each source, and the checks of freshness and volume, which can also be run alone."""
    raw = [_raw_asset(site, name, source, readers) for name, source in sources.items()]
    fresh = [_freshness_check(site, name, source) for name, source in sources.items() if source.fresh_within]
    return [*raw, *fresh, *(_volume_check(site, name, source) for name, source in sources.items() if source.partition)]


def _raw_asset(site: Site, name: str, source: Source, readers: Readers) -> dg.AssetsDefinition:
    product, table = site.product, site.product.table("raw", name)

    @asset(
        spec(
            product,
            "raw",
            name,
            kinds={format_of(source.files, source) if source.files else "dlt" if source.dlt else "sql", "deltalake"},
            description=f"What came from {source.place}, as it came, with the file or window and the row.",
            code_version=version_of(raw_parts(site, source)),
        ),
        checks={FILES: "Every landed file could be read."},
        blocking={FILES},
        days=daily(product) if source.partition else None,
    )
    def raw(context: dg.AssetExecutionContext) -> Iterator[Any]:
        days = days_of(context) if source.partition else None
        known, found = site.ledger.contents(table), ingest(site, name, source)
        if not site.tables.exists(table):
            raise dg.Failure(_nothing_landed(site, name, source, found), allow_retries=False)
        contents = site.ledger.contents(table)
        recipe = raw_recipe(site, name, source)
        work = site.ledger.work(recipe, days, forced=is_forced(context))
        work = work.also({day: "files have landed" for day in work.wanted if known.get(day) != contents.get(day)})
        site.ledger.note(recipe, work, contents, days)
        for event in _elsewhere(site, name, found, days, contents):
            context.log_event(event)
        yield _files_check(found, _empty_days(contents, days), partial(readers, name))
        metadata = {
            **table_metadata(
                site.tables.count(table), site.tables.schema(table), site.tables.version(table) or 0, table
            ),
            "new rows": found.rows,
            "new files": len(found.files),
            "changed files": len(found.replaced),
            "duplicates": records([{"file": f, "same as": other} for f, other in found.duplicates.items()]),
        }
        yield from made(context, table, work, contents, metadata)

    return raw


def _elsewhere(
    site: Site, name: str, found: Ingested, days: Days | None, contents: Mapping[str, str]
) -> Iterator[dg.AssetMaterialization]:
    """Yield an event for each day that changed although the run did not ask for it: late rows, and early ones."""
    product = site.product
    others = [day for day in found.days if days and not days.first <= day <= days.last]
    known = set(daily(product).get_partition_keys()) if others else set()
    for day in others:
        if str(day) in known:
            version = {DATA_VERSION: contents.get(str(day), NO_ROWS)}
            yield dg.AssetMaterialization(product.key("raw", name), partition=str(day), tags=version)


def _empty_days(contents: Mapping[str, str], days: Days | None) -> list[date]:
    return [day for day in days or () if str(day) not in contents]


def _files_check(found: Ingested, empty: list[date], readers: Callable[[str], list[str]]) -> dg.AssetCheckResult:
    notes = [*found.notes, *([f"no file holds rows of {_listed(empty)}"] if empty else [])]
    refused = [{"file": file, "why": why} for file, why in found.refused.items()]
    touched = {change.column: readers(change.column) for change in found.changes if change.stops}
    touches = sorted({reader for of_column in touched.values() for reader in of_column})
    diff = [
        {"file": c.file, "column": c.column, "was": c.was, "is": c.now, "nearest": c.nearest}
        | {"touches": ", ".join(touched.get(c.column, []))}
        for c in found.changes
    ]
    return verdict(
        FILES,
        not refused and not notes,
        "; ".join([*found.refused.values(), *notes][:5] + ([f"This touches {', '.join(touches)}"] if touches else []))
        or "All landed files could be read.",
        severe=bool(refused),
        value=float(len(refused)),
        limit=0.0,
        refused=records(refused),
        columns=records(diff) if diff else None,
        notes=records([{"note": note} for note in notes]),
    )


def _listed(days: list[date]) -> str:
    more = f" and {len(days) - 5} more days" if len(days) > 5 else ""
    return ", ".join(map(str, days[:5])) + more


def _nothing_landed(site: Site, name: str, source: Source, found: Ingested) -> str:
    refused = "; ".join(found.refused.values())
    if source.files is None:
        return refused or f"Nothing has come for '{name}': {source.place} has no rows"
    place = source.place if source.in_bucket else site.place.root / source.place
    return refused or f"Nothing has landed for '{name}': no file matches {place}"


def _freshness_check(site: Site, name: str, source: Source) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=dg.AssetKey(site.product.key("raw", name)),
        name=FRESHNESS,
        description="The newest row is younger than the source's fresh_within, by the product's clock.",
    )
    @mended
    def is_fresh() -> dg.AssetCheckResult:
        return freshness_result(freshness(site, name, source))

    return is_fresh


def freshness_result(found: Freshness) -> dg.AssetCheckResult:
    """Return the verdict on a source's freshness."""
    return verdict(None, found.fresh, found.what, severe=True, value=found.age_hours, limit=found.limit_hours)


def _volume_check(site: Site, name: str, source: Source) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=dg.AssetKey(site.product.key("raw", name)),
        name=VOLUME,
        description="The newest whole day has as many rows as declared, or as such weekdays have.",
    )
    @mended
    def has_usual_volume() -> dg.AssetCheckResult:
        found = volume(site, name, source)
        return verdict(None, found.is_usual, found.what, value=float(found.rows), low=found.low, high=found.high)

    return has_usual_volume
