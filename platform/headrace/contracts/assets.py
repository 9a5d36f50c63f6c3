"""Validated and quarantined rows as assets, with the contract as a check."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pyarrow as pa

from headrace.contracts.declaration import Column, Contract
from headrace.contracts.learn import is_to_be_learned, with_learned
from headrace.contracts.recipe import validated_parts, validated_recipe
from headrace.contracts.validate import usual_contract, validate_by_pieces
from headrace.contracts.verdict import Verdict, is_broken, joined
from headrace.contracts.verify import verify_contracts
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
from headrace.core.days import Days
from headrace.core.fingerprint import version_of
from headrace.core.names import duration_text
from headrace.core.recipe import Recipe, hull
from headrace.sources.declaration import Source
from headrace.store.cause import Cause
from headrace.store.site import Site
from headrace.store.tables import Commit

CONTRACT = "contract"


def contract_assets(
    site: Site, sources: Mapping[str, Source], contracts: Mapping[str, Contract]
) -> list[dg.AssetsDefinition]:
    """Return validated/<source> and quarantine/<source> for each source."""
    verify_contracts(sources, contracts)
    contracts = {name: with_learned(site, name, contract) for name, contract in contracts.items()}
    return [_validated_asset(site, name, source, contracts.get(name)) for name, source in sources.items()]


def _validated_asset(site: Site, name: str, source: Source, contract: Contract | None) -> dg.AssetsDefinition:
    product = site.product
    good, aside = product.table("validated", name), product.table("quarantine", name)
    version = version_of(validated_parts(site, source, contract))
    referenced = [product.key("validated", other) for other in (contract.referenced if contract else [])]
    shared: dict[str, Any] = {"deps": [product.key("raw", name), *referenced], "code_version": version}

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
        held = contract or usual_contract(site, name)
        recipe = validated_recipe(site, name, source, contract)
        judged = dg.AssetCheckKey(dg.AssetKey(good.split("/")), CONTRACT) in context.selected_asset_check_keys
        said = said_before(context, good, CONTRACT)
        asked = days_of(context) if source.partition else None
        # What was said of other days says nothing of these.
        elsewhere = judged and (said is None or _days_of(said) != str(asked))
        work = site.ledger.work(recipe, asked, forced=is_forced(context) or elsewhere)
        written = {table: _Written(recipe=replace(recipe, table=table)) for table in (aside, good)}
        if judged and said and not work:
            yield said
        if work:
            days, read = hull(work.spans), site.tables.newest(recipe.inputs)
            with ExitStack() as claims:
                fences = {table: claims.enter_context(site.tables.claim(table, days)) for table in written}
                if held.may_stop:
                    found = joined(piece.verdict for piece in validate_by_pieces(site, name, source, held, days))
                    if found.stops:
                        _remember(site, name, broken=True)
                        if judged:
                            yield _check_result(found, held, asked)
                        raise dg.Failure(
                            f"The contract of '{name}' is broken, and it says `on_fail: fail`: {_words(found)}"
                        )
                verdicts = [Verdict(notes=tuple(_to_be_learned(site, name, held)))]
                for piece in validate_by_pieces(site, name, source, held, days):
                    verdicts.append(piece.verdict)
                    for table, kept in {aside: piece.quarantined, good: piece.valid}.items():
                        commit = site.tables.replace(
                            table, kept, days=piece.days, fence=fences[table], why=Cause(inputs=read)
                        )
                        written[table].add(commit, kept.schema)
            _remember(site, name, broken=is_broken(joined(verdicts), held))
            if judged:
                yield _check_result(joined(verdicts), held, asked)
            # Behind the verdict: rows whose verdict was never said are judged again.
            for part in written.values():
                site.ledger.record(part.recipe, work, part.commits)
        for table, part in written.items():
            if dg.AssetKey(table.split("/")) in context.selected_asset_keys:
                yield from made(
                    context,
                    table,
                    work,
                    site.ledger.contents(table),
                    part.metadata(_schema(held) if table == good else None),
                )

    return validated


def _remember(site: Site, name: str, *, broken: bool) -> None:
    """Write down, for gates, whether a source breaks its contract."""
    site.findings.note(f"{CONTRACT}_{name}", int(broken), datetime.now(UTC).isoformat())


def _to_be_learned(site: Site, name: str, contract: Contract) -> Iterator[str]:
    if is_to_be_learned(site, name, contract):
        yield f"Its limits are not learned yet: headrace contract learn {site.product.product}.{name}"


@dataclass
class _Written:
    """What a run has written to one table, piece by piece."""

    recipe: Recipe
    commits: list[Commit] = field(default_factory=list)
    schema: pa.Schema = None

    def add(self, commit: Commit, schema: pa.Schema) -> None:
        self.commits.append(commit)
        self.schema = schema

    def metadata(self, columns: dg.TableSchema | None) -> dict[str, Any]:
        if self.schema is None:
            return {}
        rows = sum(commit.rows for commit in self.commits)
        known = table_metadata(rows, self.schema, self.commits[-1].version, self.recipe.table)
        return known | ({"dagster/column_schema": columns} if columns else {})


def _days_of(said: dg.AssetCheckResult) -> str:
    days = (said.metadata or {}).get("days")
    return str(days.value) if isinstance(days, dg.MetadataValue) else ""


def _check_result(found: Verdict, contract: Contract, days: Days | None) -> dg.AssetCheckResult:
    failures = [
        {
            "column": f.column or "(row)",
            "rule": f.rule,
            "rows": f.rows,
            "examples": " | ".join(f.examples),
            "on_fail": f.on_fail,
            "severity": f.severity,
        }
        for f in found.failures
    ]
    return verdict(
        CONTRACT,
        not found.failures,
        " ".join([_words(found), *found.notes]),
        severe=is_broken(found, contract),
        value=found.bad_share,
        limit=contract.max_bad,
        rows=found.rows,
        bad_rows=found.bad,
        failures=records(failures),
        days=str(days),
    )


def _words(found: Verdict) -> str:
    if not found.failures:
        return f"All {found.rows:,} rows keep the contract."
    worst = max(found.failures, key=lambda failure: (failure.on_fail == "fail", failure.rows))
    if not found.bad:
        return f"No single row is bad, but {worst.examples[0]} ({worst.rule})."
    named = f"{worst.column} {worst.rule}".strip()
    return f"{found.bad:,} of {found.rows:,} rows break the contract, most by {named}: {worst.examples[0]}"


def _schema(contract: Contract) -> dg.TableSchema:
    columns = [_table_column(name, column) for name, column in contract.columns.items()]
    rows = [f"unique {', '.join(names)}" for names in contract.unique]
    rows += [f"{name}: {rule.sql}" for name, rule in contract.rules.items()]
    return dg.TableSchema(columns, constraints=dg.TableConstraints(other=rows))


def _table_column(name: str, column: Column) -> dg.TableColumn:
    rules = [f"{word} {duration_text(v) if isinstance(v, timedelta) else v}" for word, v in column.limits().items()]
    constraints = dg.TableColumnConstraints(nullable=column.may_miss, unique=column.unique, other=rules)
    return dg.TableColumn(name, column.type, constraints=constraints)
