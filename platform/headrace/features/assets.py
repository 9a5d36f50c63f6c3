"""Feature tables and the training set as assets."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from headrace.core.assets import (
    asset,
    daily,
    days_of,
    is_forced,
    made,
    records,
    said_before,
    spec,
    table_metadata,
    verdict,
)
from headrace.core.fingerprint import version_of
from headrace.core.recipe import Reach
from headrace.core.resources import column_lineage
from headrace.features.compute import feature_rows, inputs_of, layer_of, table_of
from headrace.features.declaration import Feature
from headrace.features.graph import Graph
from headrace.features.labels import moved_labels
from headrace.features.leakage import find_leaks, refuse_leaks, summarize
from headrace.features.lineage import feature_lineage, training_lineage
from headrace.features.look import Declared
from headrace.features.parity import Compared, compare_engines
from headrace.features.recipe import feature_parts, feature_recipe, static_reach, training_parts, training_recipe
from headrace.features.shared import SharedFeature, own_features
from headrace.features.statistics import remembered_statistics
from headrace.features.suspect import Suspicion, find_suspects
from headrace.features.training import label_statement, training_rows
from headrace.features.verify import verify
from headrace.store.cause import Cause
from headrace.store.site import Site

LEAKAGE, SUSPECT, LABELS, PARITY = "leakage", "suspect", "labels", "parity"


def feature_assets(site: Site, graph: Graph) -> list[dg.AssetsDefinition]:
    """Return an asset for each feature table, and the training set where there is a label."""
    verify(site, graph)
    own = own_features(graph.features)
    tables = [_feature_asset(site, graph, name, f) for name, f in own.items() if not f.on_request]
    return [*tables, _training_set(site, graph)] if graph.label else tables


def _feature_asset(site: Site, graph: Graph, name: str, feature: Feature) -> dg.AssetsDefinition:
    product, table = site.product, site.product.table("features", name)
    by_day = bool(product.start and feature.timed)
    deps = [_dep(site, graph, one, static_reach(feature), by_day) for one in inputs_of(site, feature)]

    @asset(
        spec(
            product,
            "features",
            name,
            deps=deps,
            kinds={"python" if feature.python else site.product.engine, "deltalake"},
            description=_describe(feature),
            code_version=version_of(feature_parts(site, graph, feature)),
            metadata=dict(column_lineage(product, feature_lineage(site, name, feature, graph))),
        ),
        days=daily(product) if by_day else None,
    )
    def features(context: dg.AssetExecutionContext) -> Iterator[Any]:
        recipe = feature_recipe(site, graph, name, feature)
        work = site.ledger.work(recipe, days_of(context) if by_day else None, forced=is_forced(context))
        metadata: dict[str, Any] = {}
        for days in work.spans:
            with site.tables.claim(table, days) as fence:
                read = site.tables.newest(recipe.inputs)
                rows = feature_rows(site, name, feature, graph.sources, days)
                commit = site.tables.replace(table, rows, days=days, fence=fence, why=Cause(inputs=read))
            site.ledger.record(recipe, work, [commit])
            metadata = table_metadata(rows.num_rows, rows.schema, commit.version, table)
        yield from made(context, table, work, site.ledger.contents(table), metadata)

    return features


def _training_set(site: Site, graph: Graph) -> dg.AssetsDefinition:
    label, product, table = graph.label, site.product, site.product.table("training", "set")
    assert label
    upstream = [table_of(site, n, f) for n, f in graph.features.items() if not f.on_request]
    sources = [product.table("validated", n) for n in label_statement(site, label).tables]
    checks = {
        LEAKAGE: "Features recomputed from what was known at the prediction time are what the set holds.",
        SUSPECT: "No column alone says more about the label than an honest one could.",
        LABELS: "The newest labels are like those before, as far as days differ.",
    } | ({PARITY: "DuckDB makes the same features and rows as Spark, cell by cell."} if site.spark else {})

    @asset(
        spec(
            product,
            "training",
            "set",
            deps=[dg.AssetKey(name.split("/")) for name in [*sources, *upstream]],
            kinds={"spark" if site.spark else "polars", "deltalake"},
            code_version=version_of(training_parts(site, graph)),
            metadata=dict(column_lineage(product, training_lineage(site, graph))),
        ),
        checks=checks,
        blocking={LEAKAGE},
    )
    def training_set(context: dg.AssetExecutionContext) -> Iterator[Any]:
        """Every row whose label is known, with what was known of it at its prediction time."""
        recipe = training_recipe(site, graph)
        said = [said_before(context, table, check) for check in checks]
        work = site.ledger.work(recipe, forced=is_forced(context) or None in said or not (said[0] and said[0].passed))
        if not work:
            yield from said
            yield from made(context, table, work, site.ledger.contents(table), {})
            return
        versions = {name: site.tables.version(name) or 0 for name in [*sources, *upstream]}
        with site.tables.claim(table) as fence:
            rows = training_rows(site, graph.features, label)
            leaks = find_leaks(site, Declared(graph.sources, graph.features, label), rows)
            yield _leakage(leaks)
            yield _suspect(find_suspects(site, graph, rows))
            moved = moved_labels(rows, label, product.timezone)
            yield verdict(LABELS, not moved.found, f"{moved.what}.", value=moved.value, limit=moved.limit)
            if site.spark:
                yield _parity(list(compare_engines(site, graph)))
            refuse_leaks(leaks)
            commit = site.tables.replace(table, rows, fence=fence, why=Cause(inputs=versions))
            remembered_statistics(site, lambda: rows)
            for check, found in {LEAKAGE: len(leaks), LABELS: int(moved.found)}.items():
                site.findings.note(check, found, datetime.now(UTC).isoformat(), commit.version)
        site.ledger.record(recipe, work, [commit])
        metadata = {
            **table_metadata(rows.num_rows, rows.schema, commit.version, table),
            "inputs": records([{"table": name, "version": version} for name, version in versions.items()]),
        }
        yield from made(context, table, work, site.ledger.contents(table), metadata)

    return training_set


def _leakage(leaks: list[Any]) -> dg.AssetCheckResult:
    found = summarize(leaks)
    names = ", ".join(row["feature"] for row in found)
    what = f"These features know the future: {names}" if leaks else "No feature knew the future."
    return verdict(LEAKAGE, not leaks, what, severe=True, leaks=records(found), cells=len(leaks))


def _suspect(found: list[Suspicion]) -> dg.AssetCheckResult:
    what = (
        f"These columns say too much about the label: {'; '.join(map(str, found))}."
        if found
        else "No column says too much about the label."
    )
    return verdict(SUSPECT, not found, what, columns=records([asdict(suspicion) for suspicion in found]))


def _parity(compared: list[Compared]) -> dg.AssetCheckResult:
    found = [f"{c.table}: {c.example}" for c in compared if c.differing]
    what = f"DuckDB and Spark differ: {'; '.join(found)}" if found else "DuckDB makes the same as Spark."
    return verdict(PARITY, not found, what, severe=True, tables=records([asdict(c) for c in compared]))


def _dep(site: Site, graph: Graph, name: str, reach: Reach, by_day: bool) -> dg.AssetDep:
    key = dg.AssetKey(site.product.key(layer_of(name, graph.sources), name))
    if not (by_day and graph.has_days(name)):
        return dg.AssetDep(key)
    mapping = dg.TimeWindowPartitionMapping(
        start_offset=-reach.back, end_offset=reach.ahead, allow_nonexistent_upstream_partitions=True
    )
    return dg.AssetDep(key, partition_mapping=mapping)


def shared_dep(site: Site, name: str, feature: SharedFeature) -> dg.AssetDep:
    """Return what days of this product need of another's table: all of it, for its days may be others."""
    key, home = dg.AssetKey(table_of(site, name, feature).split("/")), feature.home.site.product
    return dg.AssetDep(key, partition_mapping=dg.AllPartitionMapping() if home.start and feature.timed else None)


def _describe(feature: Feature) -> str:
    if not feature.windows:
        return (
            f"What {feature.sql or feature.python} says of each {' and '.join(feature.entities)}, from each instant on."
        )
    w = feature.windows
    return f"{', '.join(w.agg)} of {', '.join(w.of)} by {' and '.join(w.entities)} over trailing windows, from each change on."
