"""What Dagster's instance says to incidents: checks, runs, looks of sensors, and what was made before."""

import re
import time
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache, partial
from hashlib import sha256
from typing import Any

import dagster as dg
from dagster import AssetCheckKey, AssetKey, AssetRecordsFilter, DagsterEventType, DagsterRunStatus, RunsFilter
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph
from dagster._core.definitions.data_version import CODE_VERSION_TAG
from dagster._core.scheduler.instigation import TickStatus
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus as CheckStatus
from dagster_shared.error import SerializableErrorInfo

from headrace.incidents.first_bad import first_bad
from headrace.incidents.incident import Line, Moment
from headrace.incidents.keep import Passed
from headrace.incidents.kinds import kind_of
from headrace.incidents.note import Alarm
from headrace.resources import UNDER_WAY
from headrace.store.site import Site

PAGE = 100
PRODUCT = "headrace/product"
OVERLAP = timedelta(minutes=10)
"""How far back runs are looked at again: two may end at once, and one of them is told later."""
LISTED_S = 30
"""How long it takes at the most until a new sensor is known."""
SHOWN_DAYS = 3
_PICTURE = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=]+)")
_CHANGES = re.compile(r"0x[0-9a-f]+|[0-9a-f]{6,}|\d+")
"""What differs from one failure to the next of the same cause: numbers, digests."""


@dataclass(frozen=True)
class Known:
    """What tells the failures of a product's runs apart."""

    steps: Mapping[str, str]
    """The asset of each step, as `layer/name`."""
    refused: Mapping[str, str]
    """Evidence of each refusal and why it was: a run that fails for that has no cause of its own."""


def moment(site: Site, timestamp: float) -> Moment:
    """Return a moment by both clocks; a replay's clock says what it says now."""
    wall = datetime.fromtimestamp(timestamp, UTC)
    return Moment(wall if site.product.clock == "wall" else site.clock.now(), wall)


def check_news(
    site: Site, instance: dg.DagsterInstance, keys: Iterable[AssetCheckKey], seen: Mapping[str, int]
) -> tuple[list[Alarm | Passed], dict[str, int]]:
    """Return what checks have said behind what was seen of each, oldest first, and what is seen then.

    Dagster gives an evaluation the number that its run was planned with: one that is under way holds the mark before it.
    """
    records, marks = [], dict(seen)
    is_under_way = cache(partial(_is_under_way, instance))
    for key, newest in instance.event_log_storage.get_latest_asset_check_execution_by_key(list(keys)).items():
        name = f"{'/'.join(key.asset_key.path)}:{key.name}"
        if newest.id <= seen.get(name, 0):
            continue
        new = _behind(instance, key, seen.get(name, 0))
        records += [record for record in new if record.status in (CheckStatus.SUCCEEDED, CheckStatus.FAILED)]
        for record in new:
            if record.status == CheckStatus.PLANNED and is_under_way(record.run_id):
                break
            marks[name] = record.id
    records.sort(key=lambda record: record.event.timestamp if record.event else 0.0)
    return [news for record in records for news in _said(site, record)], marks


def _behind(instance: dg.DagsterInstance, key: AssetCheckKey, seen: int) -> list[AssetCheckExecutionRecord]:
    """Return the records of a check behind a number, oldest first."""
    found: list[AssetCheckExecutionRecord] = []
    cursor = None
    while True:
        page = instance.event_log_storage.get_asset_check_execution_history(key, limit=PAGE, cursor=cursor)
        found += [record for record in page if record.id > seen]
        if len(page) < PAGE or page[-1].id <= seen:
            return found[::-1]
        cursor = page[-1].id


def _is_under_way(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is not None and run.status in UNDER_WAY


def _said(site: Site, record: AssetCheckExecutionRecord) -> Iterator[Alarm | Passed]:
    said = record.evaluation
    if said is None or record.event is None:
        return
    path, at = said.asset_key.path, moment(site, record.event.timestamp)
    asset, what = "/".join(path[1:]), said.description or f"{said.check_name} {'passed' if said.passed else 'failed'}"
    of = f"{asset}:{said.check_name}"
    if said.check_name == "guarded" and said.passed:
        yield Passed("tampered", "", what, at)
    kind = kind_of(path, said.check_name, severe=said.severity == dg.AssetCheckSeverity.ERROR or said.passed)
    if kind and said.passed:
        yield Passed(kind, of, what, at)
    elif kind:
        facts = {name: value.value for name, value in said.metadata.items()}
        first = first_bad(site, kind, path, facts, at.at)
        evidence = f"{_evidence(record.run_id, asset)}{said.check_name} {record.id}"
        yield Alarm(kind, of, what, at, evidence, first, (asset,), _picture(facts))


def _evidence(run_id: str, asset: str) -> str:
    return f"check {run_id or 'of no run'} {asset}:"


def _picture(facts: Mapping[str, Any]) -> bytes:
    texts = (value for value in facts.values() if isinstance(value, str))
    found = next((match for text in texts if (match := _PICTURE.search(text))), None)
    return b64decode(found[1]) if found else b""


def run_news(
    site: Site, instance: dg.DagsterInstance, since: float, known: Known
) -> tuple[list[Alarm | Passed], float]:
    """Return which of a product's runs have failed, and which have done something, since a moment, and up to when was looked."""
    after = datetime.fromtimestamp(since, UTC) - OVERLAP if since else None
    wanted = RunsFilter(statuses=[DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE], updated_after=after)
    records = instance.get_run_records(wanted, order_by="update_timestamp", ascending=True)
    news: list[Alarm | Passed] = []
    for record in records:
        if site.product.product not in (products_of(record.dagster_run) or {site.product.product}):
            continue
        run, at = record.dagster_run, moment(site, record.end_time or record.update_timestamp.timestamp())
        if run.status == DagsterRunStatus.FAILURE:
            news += _failed(site, instance, run, at, known)
        made = frozenset(known.steps[step] for step in _done(instance, run.run_id) if step in known.steps)
        if made:
            news.append(Passed("failed_run", "", f"Run {run.run_id[:8]} has done that.", at, made))
    newest = max((record.update_timestamp.timestamp() for record in records), default=since)
    return news, newest


def products_of(run: dg.DagsterRun) -> set[str]:
    """Return which products a run is about, as far as it says so: by its tag, and by the assets that it is to make and check."""
    keys = {*(run.asset_selection or ()), *(check.asset_key for check in run.asset_check_selection or ())}
    return {key.path[0] for key in keys} | ({run.tags[PRODUCT]} if PRODUCT in run.tags else set())


@lru_cache(maxsize=1000)
def _done(instance: dg.DagsterInstance, run_id: str) -> frozenset[str]:
    """Return the steps that a run which has ended has done."""
    entries = instance.all_logs(run_id, of_type=DagsterEventType.STEP_SUCCESS)
    steps = (entry.dagster_event.step_key for entry in entries if entry.dagster_event)
    return frozenset(step for step in steps if step)


def _failed(site: Site, instance: dg.DagsterInstance, run: dg.DagsterRun, at: Moment, known: Known) -> Iterator[Alarm]:
    """Yield the alarm of a failed run: its failed steps and their words are the cause."""
    failures = dict(_step_failures(instance, run.run_id))
    own = {known.steps[step]: what for step, what in failures.items() if step in known.steps}
    if not own and (failures or run.tags.get(PRODUCT) != site.product.product):
        return
    selected = [key.path for key in run.asset_selection or () if key.path[0] == site.product.product]
    assets = tuple(sorted(own or ("/".join(path[1:]) for path in selected)))
    words = "; ".join(f"{asset}: {what}" for asset, what in sorted(own.items())) or "it has ended without a word"
    digest = sha256(_CHANGES.sub("#", words.splitlines()[0][:200]).encode()).hexdigest()[:8]
    after = [_evidence(run.run_id, asset) for asset in own]
    after += [evidence for evidence, why in known.refused.items() if why in words]
    of = f"{', '.join(own) or 'no step'} {digest}"
    what = f"Run {run.run_id[:8]} failed. {words}"
    yield Alarm("failed_run", of, what, at, f"run {run.run_id}", None, assets, after=tuple(after))


def _step_failures(instance: dg.DagsterInstance, run_id: str) -> Iterator[tuple[str, str]]:
    for entry in instance.all_logs(run_id, of_type=DagsterEventType.STEP_FAILURE):
        event = entry.dagster_event
        if event is None or event.step_key is None:
            continue
        data = event.step_failure_data
        said = data.user_failure_data.description if data.user_failure_data else None
        yield event.step_key, said or (_innermost(data.error) if data.error else "failed without a word")


def _innermost(error: SerializableErrorInfo) -> str:
    """Return the message of what Dagster's own error was raised by."""
    while error.cause:
        error = error.cause
    return str(error.message).strip()


def tick_news(site: Site, instance: dg.DagsterInstance) -> Iterator[Alarm | Passed]:
    """Yield which sensors and schedules of a product failed when they looked last, and which did not."""
    ended = [TickStatus.FAILURE, TickStatus.SUCCESS, TickStatus.SKIPPED]
    for name, ids in _looking(instance, int(time.time() / LISTED_S)).items():
        if not name.startswith(f"{site.product.product}__"):
            continue
        for tick in instance.get_ticks(*ids, limit=1, statuses=ended):
            at, failed = moment(site, tick.timestamp), tick.status == TickStatus.FAILURE
            if failed:
                error = _innermost(tick.error) if tick.error else "without a word"
                yield Alarm(
                    "failed_sensor", name, f"{name} fails when it looks: {error}", at, f"tick {name} {tick.tick_id}"
                )
            else:
                yield Passed("failed_sensor", name, f"{name} looks again.", at)


@lru_cache(maxsize=1)
def _looking(instance: dg.DagsterInstance, period: int) -> Mapping[str, tuple[str, str]]:
    """Return the ids of all sensors and schedules by name, asked for once in a period: those of all products come at once."""
    del period
    return {state.name: (state.instigator_origin_id, state.selector_id) for state in instance.all_instigator_state()}


def upstream_lines(
    site: Site, instance: dg.DagsterInstance, graph: BaseAssetGraph[Any], alarm: Alarm, back: timedelta
) -> Iterator[Line]:
    """Yield what was made upstream of an alarm's assets in the time before it, one line a run, and which code or contract was new."""
    known = graph.get_all_asset_keys()
    failed = [AssetKey(site.product.key(*asset.split("/", 1))) for asset in alarm.assets]
    failed = [key for key in failed if key in known]
    if not failed:
        return
    for key in sorted(dg.AssetSelection.assets(*failed).upstream().resolve(graph)):
        yield from _made(instance, key, alarm.moment.wall, back, graph.get(key).code_version)


def _made(
    instance: dg.DagsterInstance, key: AssetKey, until: datetime, back: timedelta, declared: str | None
) -> Iterator[Line]:
    """Yield the runs that made an asset; at the end, whether it is declared or written otherwise by now."""
    end, start = until.timestamp(), (until - back).timestamp()
    within = AssetRecordsFilter(key, after_timestamp=start, before_timestamp=end)
    earlier = AssetRecordsFilter(key, before_timestamp=start)
    records = instance.fetch_materializations(within, limit=1000).records[::-1]
    before = [_code(record) for record in instance.fetch_materializations(earlier, limit=1).records]
    code, name = before[0] if before else None, "/".join(key.path[1:])
    runs: dict[str, list[dg.EventLogRecord]] = {}
    for record in records:
        runs.setdefault(record.run_id, []).append(record)
    for run_id, made in runs.items():
        at = datetime.fromtimestamp(made[-1].timestamp, UTC)
        now = _code(made[-1])
        yield from _other_code(key, at, code, now)
        code = now or code
        yield Line(at, f"{name} was made by run {run_id[:8]}{_days(made)}", "materialized")
    yield from _other_code(key, until, code, declared)


def _other_code(key: AssetKey, at: datetime, before: str | None, now: str | None) -> Iterator[Line]:
    if before and now and before != now:
        of = "contract" if key.path[1] == "validated" else "code"
        what = "contract, or the code behind it," if of == "contract" else "declaration or code"
        yield Line(at, f"the {what} of {'/'.join(key.path[1:])} was another: {before[:12]} → {now[:12]}", of)


def _code(record: dg.EventLogRecord) -> str | None:
    made = record.asset_materialization
    return (made.tags or {}).get(CODE_VERSION_TAG) if made else None


def _days(made: Iterable[dg.EventLogRecord]) -> str:
    days = sorted({record.partition_key for record in made if record.partition_key})
    if len(days) > SHOWN_DAYS:
        return f": {len(days)} days, {days[0]} to {days[-1]}"
    return f": {', '.join(days)}" if days else ""
