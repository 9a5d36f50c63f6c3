"""The Dagster vocabulary that all rooms share: keys, groups, days, and errors that need no traceback."""

import functools
import inspect
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import date
from typing import Any, ParamSpec, TypeVar
from uuid import uuid4

import dagster as dg
import pyarrow as pa
from dagster._core.definitions.assets.definition.asset_spec import AssetExecutionType
from dagster._core.definitions.data_version import DATA_VERSION_TAG
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION
from dagster._core.events import DagsterEvent, DagsterEventBatchMetadata
from dagster._core.execution.plan.execute_step import _get_output_asset_events

from headrace.core.days import Days
from headrace.core.declaration import Identity
from headrace.core.errors import DeclarationError, HeadraceError
from headrace.core.orphans import die_with_parent
from headrace.core.recipe import ALL, Work
from headrace.core.resources import cost_metadata, with_cost
from headrace.core.running import running
from headrace.core.spent import spending

P = ParamSpec("P")
R = TypeVar("R")

FORCE_TAG = "headrace/force"
SKIPPED = "skipped"
NO_ROWS = "no rows"
"""The version of a day without rows."""
STEP_PROCESS_EXECUTORS = frozenset({"multiprocess", "multi_or_in_process_executor"})


def spec(product: Identity, layer: str, name: str, **more: Any) -> dg.AssetSpec:
    """Return the spec of one asset of a product; its layer is its group."""
    more.setdefault("kinds", {"python"})
    return dg.AssetSpec(key=product.key(layer, name), group_name=layer, owners=product.owners, **more)


def asset(
    made: dg.AssetSpec,
    checks: Mapping[str, str] | None = None,
    *,
    blocking: Container[str] = (),
    days: dg.PartitionsDefinition | None = None,
    needs: Iterable[str] = (),
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Return what turns a step into an asset: one run makes any number of days, and its errors are words.

    The step's docstring describes the asset. `checks` are names with descriptions, `blocking` the names of
    those that stop what is downstream; `needs` are resource keys.
    """

    def declare(step: Callable[..., Any]) -> dg.AssetsDefinition:
        described = made if made.description else made.replace_attributes(description=inspect.getdoc(step))
        return dg.multi_asset(
            name="__".join(made.key.path),
            specs=[described],
            check_specs=[
                dg.AssetCheckSpec(name, asset=made.key, description=what, blocking=name in blocking)
                for name, what in (checks or {}).items()
            ],
            partitions_def=days,
            required_resource_keys=set(needs),
            backfill_policy=dg.BackfillPolicy.single_run(),
        )(mended(step))

    return declare


def daily(product: Identity) -> dg.DailyPartitionsDefinition:
    """Return the product's days: local days of its time zone from `start` on, today among them."""
    if product.start is None:
        raise DeclarationError(f"Product '{product.product}' has rows by day: say `start:`, its first day.")
    return dg.DailyPartitionsDefinition(
        start_date=product.start.isoformat(),
        end_date=product.end.isoformat() if product.end else None,
        timezone=product.timezone,
        end_offset=0 if product.end else 1,
    )


def days_of(context: dg.AssetExecutionContext) -> Days:
    """Return the days that a run is asked to make; one run makes any number of them."""
    keys = sorted(context.partition_keys)
    return Days(date.fromisoformat(keys[0]), date.fromisoformat(keys[-1]))


def mended(step: Callable[P, R]) -> Callable[P, R]:
    """Let a step fail with the words of a HeadraceError, without retries and without a traceback of ours."""
    if inspect.isgeneratorfunction(step):

        @functools.wraps(step)
        def run(*args: P.args, **kwargs: P.kwargs) -> Any:
            with _in_words(args), closing(step(*args, **kwargs)) as events:
                for event in events:
                    yield with_cost(event)
    else:

        @functools.wraps(step)
        def run(*args: P.args, **kwargs: P.kwargs) -> Any:
            with _in_words(args):
                return with_cost(step(*args, **kwargs))

    return run


@contextmanager
def _in_words(args: Iterable[Any]) -> Iterator[None]:
    try:
        guard(args)
        with running(_run_of(args)), spending():
            yield
    except HeadraceError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from None


def guard(args: Iterable[Any]) -> None:
    """Tie a step's own process to its run's life: an orphan must not commit."""
    for context in args:
        if isinstance(context, dg.AssetExecutionContext) and _own_process(context):
            die_with_parent()


def _run_of(args: Iterable[Any]) -> str:
    return next((context.run.run_id for context in args if isinstance(context, dg.AssetExecutionContext)), "")


def _own_process(context: dg.AssetExecutionContext) -> bool:
    executor = context.op_execution_context._step_execution_context.job_def.executor_def.name
    return executor in STEP_PROCESS_EXECUTORS


def table_metadata(rows: int, schema: pa.Schema, version: int, table: str) -> dict[str, Any]:
    """Return what the UI shows of a table: rows, columns, version."""
    columns = [dg.TableColumn(field.name, str(field.type)) for field in schema]
    return {
        "dagster/row_count": rows,
        "dagster/column_schema": dg.TableSchema(columns=columns),
        "version": version,
        "table": table,
    }


def is_forced(context: dg.AssetExecutionContext) -> bool:
    """Return whether the run's tags ask for everything to be made, changed or not."""
    return context.run.tags.get(FORCE_TAG) == "true"


def made(
    context: dg.AssetExecutionContext, table: str, work: Work, contents: Mapping[str, str], metadata: Mapping[str, Any]
) -> Iterator[Any]:
    """Yield a materialization for each day that was made, with a version of its own content, and the step's output.

    `contents` says what each day holds. A day that was skipped keeps its last event; it gets one only where Dagster
    knows another version of it, or none: the run that made it died before it could say so. Where all is skipped, an
    observation says why. One MaterializeResult would give all days the version of the range, and make everything
    downstream of each stale.
    """
    key = dg.AssetKey(table.split("/"))
    name = "__".join(key.path)
    context.log.info(f"{table}: {work}")
    known = _known_version(context, key) if ALL in work.wanted else _known_versions(context, key)
    untold = [day for day in work.wanted if day not in work.reasons and known.get(day) != contents.get(day, NO_ROWS)]
    told = sorted(untold) + sorted(work.reasons)
    version = dg.DataVersion(contents.get(ALL, NO_ROWS))
    output = dg.Output(None, output_name=name, metadata=dict(metadata), data_version=version)
    step = context.op_execution_context._step_execution_context
    definition, kind = step.op_def.output_def_named(name), AssetExecutionType.MATERIALIZATION
    partitions = [day for day in told if day != ALL]
    events = list(_get_output_asset_events(key, partitions, output, definition, {}, step, kind)) if told else []
    batch, last = str(uuid4()), len(events)
    for number, event in enumerate(events, 1):
        day = event.partition or ALL
        tags = {**(event.tags or {}), DATA_VERSION_TAG: contents.get(day, NO_ROWS)}
        spent_here = cost_metadata() if number == last else {}
        own = dg.AssetMaterialization(
            key, metadata={**event.metadata, **spent_here}, partition=event.partition, tags=tags
        )
        yield DagsterEvent.asset_materialization(step, own, DagsterEventBatchMetadata(batch, number == last))
    if not told:
        yield dg.AssetObservation(key, metadata={SKIPPED: str(work)})
    yield dg.Output(None, output_name=name, metadata={SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True})


def _known_versions(context: dg.AssetExecutionContext, key: dg.AssetKey) -> Mapping[str, str]:
    """Return the version of each day of an asset, as its newest materialization says."""
    log, kind = context.instance.event_log_storage, dg.DagsterEventType.ASSET_MATERIALIZATION
    newest = log.get_latest_tags_by_partition(key, kind, [DATA_VERSION_TAG])
    return {day: tags[DATA_VERSION_TAG] for day, tags in newest.items()}


def _known_version(context: dg.AssetExecutionContext, key: dg.AssetKey) -> Mapping[str, str]:
    event = context.instance.get_latest_materialization_event(key)
    materialization = event.asset_materialization if event else None
    return {ALL: (materialization.tags or {}).get(DATA_VERSION_TAG, "")} if materialization else {}


def said_before(context: dg.AssetExecutionContext, table: str, check: str) -> dg.AssetCheckResult | None:
    """Return what a check said when its asset was last made; None where it never did."""
    key = dg.AssetCheckKey(dg.AssetKey(table.split("/")), check)
    record = context.instance.event_log_storage.get_asset_check_summary_records([key])[key]
    last = record.last_completed_check_execution_record
    event = last.event.dagster_event if last and last.event else None
    said = event.event_specific_data if event else None
    if not isinstance(said, dg.AssetCheckEvaluation):
        return None
    return dg.AssetCheckResult(
        asset_key=key.asset_key,
        check_name=check,
        passed=said.passed,
        severity=said.severity,
        description=said.description,
        metadata=said.metadata,
    )


def verdict(check: str | None, passed: bool, what: str, *, severe: bool = False, **facts: Any) -> dg.AssetCheckResult:
    """Return what a check says: `what` in words for people and for the control loop, and the facts that are known."""
    return dg.AssetCheckResult(
        check_name=check,
        passed=passed,
        severity=dg.AssetCheckSeverity.ERROR if severe else dg.AssetCheckSeverity.WARN,
        description=what,
        metadata={"what": what} | {name: fact for name, fact in facts.items() if fact is not None},
    )


def records(rows: Sequence[dict[str, Any]]) -> dg.TableMetadataValue:
    """Return rows as a table that the UI can show; values become text where Dagster knows no better."""
    plain = (bool, int, float, str)
    shown = [{k: v if isinstance(v, plain) else str(v) for k, v in row.items()} for row in rows]
    if not shown:
        return dg.MetadataValue.table([], schema=dg.TableSchema(columns=[]))
    return dg.MetadataValue.table([dg.TableRecord(row) for row in shown])
