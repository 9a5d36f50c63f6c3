"""Validated and quarantined rows as assets, with the contract as a check."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import dagster as dg

from headrace.contracts.declaration import Column, Contract
from headrace.contracts.recipe import validated_parts, validated_recipe
from headrace.contracts.validate import Validated, is_broken, validate
from headrace.core.assets import (
    daily,
    days_of,
    is_forced,
    made,
    mended,
    records,
    said_before,
    spec,
    table_metadata,
    verdict,
)
from headrace.core.fingerprint import version_of
from headrace.core.recipe import hull
from headrace.sources.declaration import Source
from headrace.store.site import Site

CONTRACT = "contract"


def contract_assets(
    site: Site, sources: Mapping[str, Source], contracts: Mapping[str, Contract]
) -> list[dg.AssetsDefinition]:
    """Return validated/<source> and quarantine/<source> for each source."""
    return [_validated_asset(site, name, source, contracts.get(name)) for name, source in sources.items()]


def _validated_asset(site: Site, name: str, source: Source, contract: Contract | None) -> dg.AssetsDefinition:
    product = site.product
    good, aside = product.table("validated", name), product.table("quarantine", name)
    version = version_of(validated_parts(contract))
    shared: dict[str, Any] = {"deps": [product.key("raw", name)], "code_version": version}

    @dg.multi_asset(
        name="__".join(product.key("validated", name)),
        specs=[
            spec(
                product,
                "quarantine",
                name,
                kinds={"polars", "deltalake"},
                description=f"Rows of {name} that break the contract, each with its reason, file and row.",
                **shared,
            ),
            spec(
                product,
                "validated",
                name,
                kinds={"pandera", "deltalake"},
                description=f"Rows of {name} that keep the contract, typed.",
                **shared,
            ),
        ],
        check_specs=[
            dg.AssetCheckSpec(
                CONTRACT, asset=product.key("validated", name), description="Rows are what the contract says."
            )
        ],
        can_subset=True,
        partitions_def=daily(product) if source.partition else None,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    @mended
    def validated(context: dg.AssetExecutionContext) -> Iterator[Any]:
        recipe = validated_recipe(site, name, source, contract)
        judged = dg.AssetCheckKey(dg.AssetKey(good.split("/")), CONTRACT) in context.selected_asset_check_keys
        said = said_before(context, good, CONTRACT)
        forced = is_forced(context) or (judged and said is None)
        work = site.ledger.work(recipe, days_of(context) if source.partition else None, forced=forced)
        if judged and said and not work:
            yield said
        contents: dict[str, Mapping[str, str]] = {aside: {}, good: {}}
        metadata: dict[str, dict[str, Any]] = {aside: {}, good: {}}
        if work:
            days = hull(work.spans)
            fences = {table: site.tables.claim(table, days) for table in (aside, good)}
            found = validate(site, name, source, contract, days)
            if judged:
                yield _verdict(found)
            if found.contract.on_fail == "fail" and found.checked.reasons:
                raise dg.Failure(f"The contract of '{name}' is broken, and it says `on_fail: fail`: {_words(found)}")
            for table, kept in {aside: found.quarantined, good: found.valid}.items():
                why = f"run {context.run.run_id}"
                commit = site.tables.replace(table, kept, days=days, fence=fences[table], why=why)
                contents[table] = site.ledger.record(replace(recipe, table=table), work, kept, days)
                metadata[table] = table_metadata(kept.num_rows, kept.schema, commit.version, table)
            metadata[good]["dagster/column_schema"] = _schema(found.contract)
        for table in (aside, good):
            if dg.AssetKey(table.split("/")) in context.selected_asset_keys:
                yield from made(context, table, work, contents[table], metadata[table])

    return validated


def _verdict(found: Validated) -> dg.AssetCheckResult:
    failures = [
        {"column": f.column, "rule": f.rule, "rows": f.rows, "examples": " | ".join(f.examples)}
        for f in found.checked.failures
    ]
    return verdict(
        CONTRACT,
        not found.checked.reasons,
        _words(found),
        severe=is_broken(found),
        value=found.checked.bad_share,
        limit=found.contract.max_bad,
        failures=records(failures),
    )


def _words(found: Validated) -> str:
    checked = found.checked
    if not checked.reasons:
        return f"All {checked.rows:,} rows keep the contract."
    worst = max(checked.failures, key=lambda failure: failure.rows)
    return f"{len(checked.reasons):,} of {checked.rows:,} rows break the contract, most by {worst.column} {worst.rule}: {worst.examples[0]}"


def _schema(contract: Contract) -> dg.TableSchema:
    return dg.TableSchema([_table_column(name, column) for name, column in contract.columns.items()])


def _table_column(name: str, column: Column) -> dg.TableColumn:
    rules = [
        f"{rule} {value}"
        for rule in ("one_of", "min", "max", "matches")
        if (value := getattr(column, rule)) is not None
    ]
    constraints = dg.TableColumnConstraints(nullable=column.nullable, unique=column.unique, other=rules)
    return dg.TableColumn(name, column.type, constraints=constraints)
