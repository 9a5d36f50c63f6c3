"""The control loop: new files are ingested, failed checks retrain, each day is scored."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import wraps
from json import dumps, loads
from time import time
from typing import Any, Literal, ParamSpec, TypeVar

import dagster as dg
from dagster import AssetCheckKey, AssetKey, DagsterRunStatus, RunsFilter
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord

from headrace.automation.asks import Ask, Tried, files_asks, remembered, stale_asks, with_sources
from headrace.automation.decide import MOST_TRIES, Seen, Signal, decide
from headrace.automation.loop import Loop
from headrace.core.days import Days
from headrace.core.errors import HeadraceError
from headrace.resources import UNDER_WAY
from headrace.sources.freshness import freshness
from headrace.sources.pending import pending_files

P = ParamSpec("P")
R = TypeVar("R")
INGESTING = "headrace/ingesting"
"""Tag of runs that ingest, for their product."""
REASON, TRAINING, PRODUCT = "headrace/reason", "headrace/training", "headrace/product"
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
SIGNALS: dict[tuple[str, str, str], Literal["drift", "quality", "freshness"]] = {
    ("monitoring", "drift", "features"): "drift",
    ("monitoring", "drift", "predictions"): "drift",
    ("monitoring", "quality", "auc"): "quality",
    ("model", "champion", "freshness"): "freshness",
}


def data_automation(loop: Loop) -> list[dg.SensorDefinition]:
    """Return the sensor that ingests what lands."""
    return [_files_sensor(loop)]


def model_automation(loop: Loop) -> dg.Definitions:
    """Return the sensor that retrains, and the schedules that score each day and look at the clock each hour."""
    return dg.Definitions(sensors=[_retrain_sensor(loop)], schedules=[_daily_schedule(loop), _hourly_schedule(loop)])


def in_words(look: Callable[P, R]) -> Callable[P, R | dg.SkipReason]:
    """Let a look that a HeadraceError ends say why nothing is done; the next one tries again."""

    @wraps(look)
    def looked(*args: P.args, **kwargs: P.kwargs) -> R | dg.SkipReason:
        try:
            return look(*args, **kwargs)
        except HeadraceError as error:
            return dg.SkipReason(str(error))

    return looked


def _files_sensor(loop: Loop) -> dg.SensorDefinition:
    product = loop.site.product.product

    @dg.sensor(
        name=f"{product}__files",
        target=dg.AssetSelection.key_prefixes([product]),
        minimum_interval_seconds=5,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Ingests files that have landed and are stable, and scores their days if a model is live.",
    )
    @in_words
    def files(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        known = loads(context.cursor or "{}")
        seen, looked = known.get("seen", {}), known.get("looked", {})
        pending = pending_files(loop.site, loop.sources, seen, time(), looked)
        for trouble in pending.troubles:
            context.log.warning(trouble)
        before = _before(context.instance, remembered(known.get("asks", [])))
        failed = remembered(known.get("failed", [])) + before.failed
        asks = before.again + (with_sources(files_asks(loop, pending), failed) if pending.files else [])
        ended, tried = known.get("ended", False) or before.ended, Tried(**known.get("tried", {}))
        if ended and not asks and not before.open:
            (asks, tried), ended = stale_asks(loop, tried), False
        now = {
            "seen": pending.seen,
            "looked": pending.looked,
            "asks": [asdict(ask) for ask in asks + before.open],
            "failed": [] if pending.files else [asdict(ask) for ask in failed],
            "ended": ended,
            "tried": asdict(tried),
        }
        cursor = dumps(now)
        if not asks:
            context.update_cursor(cursor)
            words = [f"The last ingestion failed {MOST_TRIES} times: look at its run."] if failed else []
            return dg.SkipReason("; ".join([*pending.troubles, *words]) or "Nothing new has come.")
        return dg.SensorResult(run_requests=[_files_request(loop, ask) for ask in asks], cursor=cursor)

    return files


def _files_request(loop: Loop, ask: Ask) -> dg.RunRequest:
    keys = loop.data_keys(ask.of) + (loop.live_keys if loop.live_since() else [])
    return _request(loop, ask.run_key, keys, ask.span, {INGESTING: loop.site.product.product})


@dataclass
class _Before:
    """What became of the runs that were asked for."""

    again: list[Ask] = field(default_factory=list)
    """Died or failed, and are asked for once more."""
    failed: list[Ask] = field(default_factory=list)
    """Failed too often."""
    open: list[Ask] = field(default_factory=list)
    """Not at their end."""
    ended: bool = False
    """Whether one has ended, and not for another try."""


def _before(instance: dg.DagsterInstance, asks: list[Ask]) -> _Before:
    before = _Before()
    for ask in asks:
        runs = instance.get_runs(RunsFilter(tags={"dagster/run_key": ask.run_key}), limit=1)
        status = runs[0].status if runs else None
        if status == DagsterRunStatus.FAILURE and ask.tries < MOST_TRIES:
            before.again.append(ask.once_more())
        elif status == DagsterRunStatus.FAILURE:
            before.failed.append(ask)
        elif status not in (DagsterRunStatus.SUCCESS, DagsterRunStatus.CANCELED):
            before.open.append(ask)
        before.ended = before.ended or status == DagsterRunStatus.SUCCESS or ask in before.failed
    return before


def _retrain_sensor(loop: Loop) -> dg.SensorDefinition:
    product = loop.site.product.product

    @dg.sensor(
        name=f"{product}__retrain",
        target=dg.AssetSelection.key_prefixes([product]),
        minimum_interval_seconds=5,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Trains when a drift, quality or freshness check has failed or the model is too old.",
    )
    @in_words
    def retrain(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        lost = _lost_training(loop, context.instance)
        if lost:
            return _training_request(loop, **lost)
        decision = decide(loop.retrain, _seen(loop, context.instance), loop.site.clock.now())
        if not decision.train:
            return dg.SkipReason(str(decision))
        return _training_request(loop, loop.record_training(decision), "; ".join(decision.reasons))

    return retrain


def _daily_schedule(loop: Loop) -> dg.ScheduleDefinition:
    product = loop.site.product

    @dg.schedule(
        name=f"{product.product}__daily",
        cron_schedule=loop.serve.batch.cron,
        execution_timezone=product.timezone,
        target=dg.AssetSelection.key_prefixes([product.product]),
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Scores the last whole day with the model that is live.",
    )
    @in_words
    def daily_scores(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if not loop.live_since():
            return dg.SkipReason("No model is live yet.")
        newest = loop.newest_day()
        return _request(
            loop, f"daily-{context.scheduled_execution_time:%Y-%m-%d}", loop.live_keys, Days(newest, newest), {}
        )

    return daily_scores


def _hourly_schedule(loop: Loop) -> dg.ScheduleDefinition:
    product = loop.site.product
    watched = [product.key("raw", name) for name, source in loop.sources.items() if source.fresh_within]
    watched += [product.key("model", "champion")] if loop.monitors.freshness else []
    checks = [AssetCheckKey(AssetKey(key), "freshness") for key in watched]

    @dg.schedule(
        name=f"{product.product}__hourly",
        cron_schedule="0 * * * *",
        target=dg.AssetSelection.checks(*checks),
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Looks whether sources and model are still fresh: time passes even when nothing runs.",
    )
    def freshness() -> dg.RunRequest:
        return dg.RunRequest(tags={PRODUCT: product.product})

    return freshness


def _training_request(loop: Loop, number: str, reason: str) -> dg.RunRequest:
    newest = loop.newest_day()
    tags = {REASON: reason[:500], TRAINING: number}
    return _request(loop, f"training-{number}", loop.model_keys + loop.live_keys, Days(newest, newest), tags)


def _request(loop: Loop, run_key: str, keys: list[list[str]], days: Days, tags: dict[str, str]) -> dg.RunRequest:
    span = {RANGE_START: days.first.isoformat(), RANGE_END: days.last.isoformat()}
    return dg.RunRequest(
        run_key=run_key,
        asset_selection=[AssetKey(key) for key in keys],
        tags={PRODUCT: loop.site.product.product, **span, **tags},
    )


def _lost_training(loop: Loop, instance: dg.DagsterInstance) -> dict[str, str] | None:
    """Return the newest training if it was written down but never launched: the daemon died in between."""
    entries = loop.site.trainings.entries()
    if not entries:
        return None
    number = str(entries[-1]["number"])
    known = instance.get_runs_count(RunsFilter(tags={TRAINING: number, PRODUCT: loop.site.product.product}))
    return None if known else {"number": number, "reason": "; ".join(entries[-1]["reasons"])}


def _seen(loop: Loop, instance: dg.DagsterInstance) -> Seen:
    product = loop.site.product
    busy = instance.get_runs(RunsFilter(tags={PRODUCT: product.product}, statuses=UNDER_WAY), limit=1)
    said = dict(_failed_checks(loop, instance))
    found = {key: one.what for key, one in said.items()}
    facts = {key: one.facts for key, one in said.items()}
    return Seen(
        live_since=loop.live_since(),
        signals=tuple(Signal(SIGNALS[key], text, facts[key]) for key, text in found.items() if key in SIGNALS),
        late_sources=(*_late(loop), *(text for key, text in found.items() if key[0] == "raw")),
        broken_contracts=tuple(text for key, text in found.items() if key[0] == "validated"),
        trainings=loop.trainings(),
        decided_at=loop.decided_at(),
        busy=f"run {busy[0].run_id[:8]}" if busy else "",
        waits=loop.waits(),
        lacks=loop.lacks(),
    )


def _late(loop: Loop) -> Iterator[str]:
    """Yield which sources are late at this very moment: time passes between two looks of a check."""
    for site, name, source in loop.sources_watched():
        if source.fresh_within:
            found = freshness(site, name, source)
            if not found.fresh:
                yield found.what if site is loop.site else f"{site.product.product}: {found.what}"


@dataclass(frozen=True)
class Said:
    """What a check that failed has said: in words, and as values."""

    what: str
    facts: dict[str, Any]


def _facts(evaluation: dg.AssetCheckEvaluation) -> dict[str, Any]:
    """Return the values that a check has said beside its words: plain ones, and rows of tables."""
    said = {name: value for name, value in evaluation.metadata.items() if name != "what"}
    tables = {n: [dict(row.data) for row in v.records] for n, v in said.items() if isinstance(v, dg.TableMetadataValue)}
    numbers = (dg.TextMetadataValue, dg.FloatMetadataValue, dg.IntMetadataValue)
    return {name: value.value for name, value in said.items() if isinstance(value, numbers)} | tables


def _failed_checks(loop: Loop, instance: dg.DagsterInstance) -> Iterator[tuple[tuple[str, str, str], Said]]:
    product = loop.site.product
    named = [("raw", s, "files") for s in loop.sources]
    named += [("validated", s, "contract") for s in loop.sources] + list(SIGNALS)
    keys = {
        AssetCheckKey(AssetKey(product.key(layer, name)), check): (layer, name, check) for layer, name, check in named
    }
    records = instance.event_log_storage.get_asset_check_summary_records(list(keys))
    for key, record in records.items():
        # A check that was planned by a run which died before it says nothing: what was said last still holds.
        evaluation = _evaluation(record.last_completed_check_execution_record)
        if (
            evaluation
            and not evaluation.passed
            and (keys[key] in SIGNALS or evaluation.severity == dg.AssetCheckSeverity.ERROR)
        ):
            yield keys[key], Said(_in_words(keys[key], evaluation), _facts(evaluation))


def _evaluation(record: AssetCheckExecutionRecord | None) -> dg.AssetCheckEvaluation | None:
    event = record.event.dagster_event if record and record.event else None
    found = event.event_specific_data if event else None
    return found if isinstance(found, dg.AssetCheckEvaluation) else None


def _in_words(key: tuple[str, str, str], evaluation: dg.AssetCheckEvaluation) -> str:
    what = evaluation.metadata.get("what")
    return str(what.value) if what is not None else f"{key[0]}/{key[1]} {key[2]}: {evaluation.description or 'failed'}"
