"""The control loop: new files are ingested, failed checks retrain, each day is scored."""

from dataclasses import asdict, dataclass, field
from json import dumps, loads
from time import time

import dagster as dg
from dagster import AssetCheckKey, AssetKey, DagsterRunStatus, RunsFilter

from headrace.automation.asks import Ask, Tried, files_asks, remembered, stale_asks, with_sources
from headrace.automation.decide import MOST_TRIES
from headrace.automation.looks.sensors import PRODUCT, in_words, request, steady
from headrace.automation.loop import Loop
from headrace.automation.retraining.sensors import retrain_sensor
from headrace.core.days import Days
from headrace.core.pace import SOON_S, every
from headrace.core.resources import instance_of
from headrace.sources.pending import pending_files

INGESTING = "headrace/ingesting"
"""Tag of runs that ingest, for their product."""


def data_automation(loop: Loop) -> dg.Definitions:
    """Return the sensor that ingests what lands, and the one job of a product, which all that runs by itself takes its assets from.

    A selection as a target would make a job for each sensor and schedule; the daemon reads all jobs of all products each minute.
    """
    product = loop.site.product.product
    described = "All assets of the product. What runs by itself takes those that it needs."
    job = dg.define_asset_job(product, dg.AssetSelection.key_prefixes([product]), description=described)
    return dg.Definitions(jobs=[job], sensors=[_files_sensor(loop)])


def model_automation(loop: Loop) -> dg.Definitions:
    """Return the sensor that retrains, and the schedules that score each day and look at the clock each hour."""
    return dg.Definitions(sensors=[retrain_sensor(loop)], schedules=[_daily_schedule(loop), _hourly_schedule(loop)])


def _files_sensor(loop: Loop) -> dg.SensorDefinition:
    product = loop.site.product.product

    @dg.sensor(
        name=f"{product}__files",
        job_name=product,
        minimum_interval_seconds=every(loop.site.place.root, SOON_S),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Ingests files that have landed and are stable, and scores their days if a model is live.",
    )
    @steady(loop, f"{product}__files")
    def files(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        known = loads(context.cursor or "{}")
        seen, looked = known.get("seen", {}), known.get("looked", {})
        pending = pending_files(loop.site, loop.sources, seen, time(), looked)
        for trouble in pending.troubles:
            context.log.warning(trouble)
        before = _before(instance_of(context), remembered(known.get("asks", [])))
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
    return request(loop, ask.run_key, keys, ask.span, {INGESTING: loop.site.product.product})


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


def _daily_schedule(loop: Loop) -> dg.ScheduleDefinition:
    product = loop.site.product

    @dg.schedule(
        name=f"{product.product}__daily",
        cron_schedule=loop.serve.batch.cron,
        execution_timezone=product.timezone,
        job_name=product.product,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Scores the last whole day with the model that is live.",
    )
    @in_words
    def daily_scores(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if not loop.live_since():
            return dg.SkipReason("No model is live yet.")
        newest = loop.newest_day()
        return request(
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
