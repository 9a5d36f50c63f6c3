"""What a look of a sensor needs of Dagster: what checks have said last, runs to ask for, and patience when it fails."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import wraps
from time import monotonic
from types import TracebackType
from typing import Any, Literal, ParamSpec, TypeVar, get_args

import dagster as dg
from dagster import AssetCheckKey, AssetKey
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)

from headrace.automation.diary import Diary
from headrace.automation.loop import Loop
from headrace.automation.memory import Memory
from headrace.automation.patience import AWAITED_MOST_S, Patience
from headrace.core.days import Days
from headrace.core.errors import HeadraceError
from headrace.models.words import MEASURED
from headrace.monitoring.shifts.shift import Kind

P = ParamSpec("P")
R = TypeVar("R")
Looked = Callable[[dg.SensorEvaluationContext], R | dg.SkipReason]
REASON, TRAINING, PRODUCT = "headrace/reason", "headrace/training", "headrace/product"
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
Key = tuple[str, str, str]
"""Layer, name and check."""
ESTIMATED: Key = ("monitoring", "estimated", "estimated")
SIGNALS: dict[Key, Literal["drift", "shifts", "quality", "estimated", "freshness"]] = {
    ("monitoring", "drift", "features"): "drift",
    ("monitoring", "drift", "predictions"): "drift",
    **{("monitoring", "shifts", kind): "shifts" for kind in get_args(Kind)},
    **{("monitoring", "quality", metric): "quality" for metrics in MEASURED.values() for metric in metrics},
    ESTIMATED: "estimated",
    ("model", "champion", "freshness"): "freshness",
}
_COMPLETED = frozenset({AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED})


def steady(
    loop: Loop, sensor: str, seconds: Callable[[], float] = monotonic
) -> Callable[[Callable[[dg.SensorEvaluationContext], R]], Looked[R]]:
    """Let a look that fails be left alone for a while, longer each time, and tell once that it fails and once that it is well.

    A HeadraceError is said in words, and what waits for data is tried again within a minute; any other error fails the
    tick. Either way the cursor stays as it was: what has come meanwhile is seen by the next look that works.
    """

    def patient(look: Callable[[dg.SensorEvaluationContext], R]) -> Looked[R]:
        patience = Patience()

        @wraps(look)
        def looked(context: dg.SensorEvaluationContext) -> R | dg.SkipReason:
            left = patience.left(seconds())
            if left:
                return dg.SkipReason(f"{patience.what} Failed {patience.failures} times; tried again in {left:.0f} s.")
            try:
                with _Watched(loop, sensor, patience, seconds, context):
                    return look(context)
            except HeadraceError as error:
                return dg.SkipReason(str(error))

        return looked

    return patient


def in_words(look: Callable[P, R]) -> Callable[P, R | dg.SkipReason]:
    """Let a look that a HeadraceError ends say why nothing is done; the next one tries again."""

    @wraps(look)
    def looked(*args: P.args, **kwargs: P.kwargs) -> R | dg.SkipReason:
        try:
            return look(*args, **kwargs)
        except HeadraceError as error:
            return dg.SkipReason(str(error))

    return looked


@dataclass
class _Watched:
    """Notes how a look has fared; an error goes on as it came."""

    loop: Loop
    sensor: str
    patience: Patience
    seconds: Callable[[], float]
    context: dg.SensorEvaluationContext

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is None:
            is_news = bool(self.patience.failures) or not self.patience.known
            self.patience.worked()
            if is_news and self._tell("well", "its looks work again"):
                self.context.log.info(f"{self.sensor} works again")
        elif isinstance(error, Exception):
            what = str(error) if isinstance(error, HeadraceError) else f"{type(error).__name__}: {error}"
            most = {"most": AWAITED_MOST_S} if isinstance(error, HeadraceError) else {}
            self.patience.failed(self.seconds(), what, **most)
            if self._tell("failing", what):
                self.context.log.error(f"{self.sensor} fails: {what}")
        self.patience.known = True

    def _tell(self, health: Literal["well", "failing"], what: str) -> bool:
        return diary_of(self.loop).tell(self.sensor, health, what, datetime.now(UTC))


def diary_of(loop: Loop) -> Diary:
    """Return the diary of a product's looks."""
    return Diary(loop.site.place.logs / loop.site.product.product)


def request(loop: Loop, run_key: str, keys: list[list[str]], days: Days, tags: dict[str, str]) -> dg.RunRequest:
    """Return a request for a run that makes some assets of some days."""
    span = {RANGE_START: days.first.isoformat(), RANGE_END: days.last.isoformat()}
    return dg.RunRequest(
        run_key=run_key,
        asset_selection=[AssetKey(key) for key in keys],
        tags={PRODUCT: loop.site.product.product, **span, **tags},
    )


@dataclass(frozen=True)
class Said:
    """What a check has said last: in words, and as values."""

    what: str
    passed: bool
    facts: dict[str, Any] = field(default_factory=dict)
    id: int = 0
    """Of the evaluation: a newer one has a greater one."""


def said_last(loop: Loop, instance: dg.DagsterInstance, memory: Memory) -> dict[Key, Said]:
    """Return what the checks of a product have said last; severe ones alone of raw and validated tables.

    They are asked one by one only where a single query says that one of them has anything new.
    """
    named: list[Key] = [("raw", s, "files") for s in loop.sources]
    named += [("validated", s, "contract") for s in loop.sources]
    # Of quality the check counts that is named for the declared metric.
    signals = [key for key in SIGNALS if key[1] != "quality" or key[2] == loop.monitors.quality.metric]
    keys = {_check(loop, key): key for key in [*named, *signals]}
    # Of any asset and any check among these: those that both are of one of ours count.
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(keys))
    latest = {key: record for key, record in found.items() if key in keys}
    state = frozenset((keys[key], record.id, record.status) for key, record in latest.items())
    there = {key: keys[key] for key in latest}
    return memory.of("said", state, lambda: _said_last(there, instance))


def _said_last(keys: Mapping[AssetCheckKey, Key], instance: dg.DagsterInstance) -> dict[Key, Said]:
    records = instance.event_log_storage.get_asset_check_summary_records(list(keys))
    # A check that was planned by a run which died before it says nothing: what was said last still holds.
    evaluations = {keys[key]: record.last_completed_check_execution_record for key, record in records.items()}
    found = {key: _said(key, record) for key, record in evaluations.items() if record}
    return {key: said for key, said in found.items() if said}


def failed_checks(said: dict[Key, Said]) -> dict[Key, Said]:
    """Return what checks say that have failed."""
    return {key: one for key, one in said.items() if not one.passed}


def said_since(loop: Loop, instance: dg.DagsterInstance, key: Key, after: int, most: int) -> list[Said]:
    """Return what a check has said since an evaluation, oldest first: at most the newest `most`."""
    records = instance.event_log_storage.get_asset_check_execution_history(
        _check(loop, key), limit=most, status=_COMPLETED
    )
    newer = (_said(key, record) for record in reversed(records) if record.id > after)
    return [said for said in newer if said]


def _check(loop: Loop, key: Key) -> AssetCheckKey:
    layer, name, check = key
    return AssetCheckKey(AssetKey(loop.site.product.key(layer, name)), check)


def _said(key: Key, record: AssetCheckExecutionRecord) -> Said | None:
    evaluation = _evaluation(record)
    if evaluation is None:
        return None
    is_heard = key in SIGNALS or evaluation.severity == dg.AssetCheckSeverity.ERROR
    return Said(_in_words(key, evaluation), evaluation.passed or not is_heard, _facts(evaluation), record.id)


def _facts(evaluation: dg.AssetCheckEvaluation) -> dict[str, Any]:
    """Return the values that a check has said beside its words: plain ones, and rows of tables."""
    said = {name: value for name, value in evaluation.metadata.items() if name != "what"}
    tables = {n: [dict(row.data) for row in v.records] for n, v in said.items() if isinstance(v, dg.TableMetadataValue)}
    numbers = (dg.TextMetadataValue, dg.FloatMetadataValue, dg.IntMetadataValue)
    return {name: value.value for name, value in said.items() if isinstance(value, numbers)} | tables


def _evaluation(record: AssetCheckExecutionRecord) -> dg.AssetCheckEvaluation | None:
    event = record.event.dagster_event if record.event else None
    found = event.event_specific_data if event else None
    return found if isinstance(found, dg.AssetCheckEvaluation) else None


def _in_words(key: Key, evaluation: dg.AssetCheckEvaluation) -> str:
    what = evaluation.metadata.get("what")
    return str(what.value) if what is not None else f"{key[0]}/{key[1]} {key[2]}: {evaluation.description or 'failed'}"
