"""What requests have shown of a rollout, read from their log: errors, times, scores, and what came true.

Everything is added up by entity where the rows lie: nothing but a few sums comes back, however many requests there were.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa

from headrace.core.days import Days, local_day
from headrace.core.errors import HeadraceError
from headrace.core.names import quoted, quoted_text
from headrace.features.declaration import Label
from headrace.features.training import known_by, label_rows
from headrace.models.declaration import Model
from headrace.rollout.bounds import Sums
from headrace.rollout.declaration import SHADOW, Canary, Tolerance
from headrace.rollout.judge import Arms, Evidence, Measure
from headrace.rollout.state import Rollout
from headrace.store.engine import TableView
from headrace.store.site import Site

SERVED, INSTANT = "online", "at"
"""The table of served requests, in the layer of predictions; as of when a row of it was asked."""
KEPT = frozenset(
    [
        "_day",
        "request",
        "row",
        "at",
        "received",
        "entity",
        "release",
        "model",
        "role",
        "features_version",
        "status",
        "degraded",
        "score",
        "milliseconds",
        "key",
        "worker",
        "dropped",
    ]
)
"""Its own columns, of which `entity` holds the label's: a request's of the same name stands beside it with `_` behind it."""
NO_LOSS = "the scores of a ranking say nothing one by one: its quality is not judged here"
_SUMS = "count(*) as entities, sum(n) as count, sum(s) as total, sum(n * n) as counts2, sum(n * s) as cross, sum(s * s) as totals2"


@dataclass(frozen=True)
class Plan:
    """What a product declares of how a release takes over, and of what comes true."""

    canary: Canary
    label: Label
    model: Model


def evidence_of(site: Site, plan: Plan, rollout: Rollout, now: datetime) -> Evidence:
    """Return what was seen of a rollout until `now` (of the wall clock); nothing where nothing was asked yet.

    Errors, times and scores are those of this step alone, in which both models saw the same hours. Labels come late: they
    are those of all steps, compared within each.
    """
    served, empty = site.product.table("predictions", SERVED), _empty(plan, rollout, now)
    if not site.tables.exists(served):
        return empty
    asked = _Asked(site, plan, rollout, site.tables.schema(served), now)
    found = asked.step()
    slow = next((row["slow_ms"] for row in found if row["slow_ms"] is not None), None)
    sums = {(row["measure"], row["arm"]): _sums(row) for row in found}
    arms: dict[Measure, list[Arms]] = {m: [_arms(sums, m)] for m in ("errors", "latency", "shift")} | {"quality": []}
    requests = int(arms["errors"][0].candidate.count)
    seen = replace(empty, requests=requests, arms=arms, slow_ms=slow, holds=asked.holds())
    return seen if "quality" in empty.notes else _with_quality(seen, asked)


def _with_quality(seen: Evidence, asked: "_Asked") -> Evidence:
    """Return the evidence with what came true. Labels that cannot be read hold a step that waits for them, and hide no other harm."""
    try:
        return replace(seen, arms={**seen.arms, "quality": asked.quality()})
    except HeadraceError as error:
        what = f"the labels cannot be read: {error}"
        holds = (*seen.holds, what) if seen.labels_due else seen.holds
        return replace(seen, notes={"quality": what}, holds=holds)


def _empty(plan: Plan, rollout: Rollout, now: datetime) -> Evidence:
    return Evidence(
        rollout.step,
        len(rollout.stages),
        now - rollout.since,
        labels_due=plan.canary.bake >= plan.label.known_after,
        notes={"quality": NO_LOSS} if plan.model.task == "ranking" else {},
    )


@dataclass(frozen=True)
class _Asked:
    """A rollout, and the rows that it was served in."""

    site: Site
    plan: Plan
    rollout: Rollout
    columns: pa.Schema
    now: datetime

    @property
    def view(self) -> TableView:
        """The rows since the rollout began, by the days that they came in."""
        first = min([self.rollout.since, *self.rollout.starts])
        return TableView(
            self.site.product.table("predictions", SERVED), Days(_day(first), max(_day(first), _day(self.now)))
        )

    def holds(self) -> tuple[str, ...]:
        """Return why the rollout does not go on, whatever the numbers say."""
        by = self.plan.canary.by
        if by is None or self._by:
            return ()
        return (f"no request has had the column '{by}' that `by` names, so that each goes by its own id",)

    def step(self) -> list[dict[str, Any]]:
        """Return the sums of each measure and model in this step; `slow_ms` is the champion's 99th percentile."""
        factor = 1 + (self.plan.canary.tolerance.latency or _LATENCY)
        sql = f"""
with rows as ({self._rows(self.rollout.step)}),
requests as (
  select arm, request, min(who) as who, max(fails) as fails, max(ms) as ms from rows group by arm, request
),
slow as (select quantile_cont(ms, 0.99) as slow_ms from requests where arm = 'champion'),
spread as (
  select coalesce(avg(score), 0) as middle, coalesce(nullif(stddev_pop(score), 0), 1) as deviation
  from rows where arm = 'champion'
),
measured as (
  select 'errors' as measure, arm, who, fails::double as value from requests
  union all
  select 'latency', arm, who, (ms > slow_ms * if(arm = 'champion', 1, {factor}))::int::double
  from requests, slow where ms is not null and slow_ms is not null
  union all
  select 'shift', arm, who, (score - middle) / deviation from rows, spread where score is not null
  union all
  select 'shift', 'pairs', min(who), (max(score) filter (arm = 'candidate') - max(score) filter (arm = 'champion')) / any_value(deviation)
  from rows, spread where is_shadow and score is not null group by request, "row" having count(distinct arm) = 2
),
entities as (select measure, arm, who, count(*) as n, sum(value) as s from measured group by measure, arm, who)
select measure, arm, any_value(slow_ms) as slow_ms, {_SUMS} from entities, slow group by measure, arm"""
        return self._query(sql, {})

    def quality(self) -> list[Arms]:
        """Return the sums of the losses of each step, as far as labels are known by now."""
        labels = self._labels()
        if labels is None:
            return []
        steps = " union all ".join(self._rows(step) for step in range(len(self.rollout.starts)))
        named = quoted(self.plan.label.entity)
        sql = f"""
with rows as (select * from ({steps}) where score is not null),
labelled as (
  select rows.*, labels.{quoted(self.plan.label.column)}::double as truth
  from rows join labels on rows.label_of = labels.{named}::varchar
),
spread as (select greatest(var_pop(truth), 1e-300) as variance from labelled where arm = 'champion'),
lost as (select step, is_shadow, arm, request, "row", who, {self._loss} as loss from labelled, spread),
measured as (
  select step, arm, who, loss as value from lost
  union all
  select step, 'pairs', min(who), max(loss) filter (arm = 'candidate') - max(loss) filter (arm = 'champion')
  from lost where is_shadow group by step, request, "row" having count(distinct arm) = 2
),
entities as (select step, arm, who, count(*) as n, sum(value) as s from measured group by step, arm, who)
select step, arm, {_SUMS} from entities group by step, arm"""
        found = {(row["step"], row["arm"]): _sums(row) for row in self._query(sql, {"labels": labels})}
        return [_arms(found, step) for step in sorted({step for step, _ in found})]

    @property
    def _loss(self) -> str:
        """The loss of a row, in SQL: `score` against `truth`, and `variance`, that of what came true."""
        model = self.plan.model
        if model.task == "quantile":
            level = float(model.quantile or 0.5)
            return f"greatest({level} * (truth - score), {level - 1} * (truth - score)) / sqrt(variance)"
        return "(score - truth) ** 2" + ("" if model.task == "classification" else " / variance")

    def _labels(self) -> pa.Table | None:
        """Return what has come true of the requests by now, where it can be known of any."""
        asked = self._query(f"select min({quoted(INSTANT)}) as first, max({quoted(INSTANT)}) as last from served", {})[
            0
        ]
        label = self.plan.label
        if asked["first"] is None or asked["first"] + label.known_after > self.site.clock.now():
            return None
        zone = self.site.product.timezone
        days = Days(local_day(asked["first"], zone), local_day(asked["last"], zone))
        rows = known_by(label_rows(self.site, label, days), label, self.site.clock.now())
        return rows.select([label.entity, label.column]) if rows.num_rows else None

    def _rows(self, step: int) -> str:
        """Return the SQL of the rows of a step: which model, who, and what became of it."""
        starts = self.rollout.starts or (self.rollout.since,)
        until = f" and received < {_instant(starts[step + 1])}" if step + 1 < len(starts) else ""
        who = f"{quoted(self._by)}::varchar" if self._by else "entity"
        champion, candidate = self.rollout.champion.number, self.rollout.candidate.number
        return f"""select {step} as step, {str(self.rollout.stages[step] == SHADOW).lower()} as is_shadow,
  if(role = 'live', 'champion', 'candidate') as arm, request, "row", coalesce({who}, 'request ' || request) as who,
  entity as label_of, (status >= 500)::int as fails, if(status < 500, milliseconds, null) as ms, score
  from served where received >= {_instant(starts[step])}{until}
  and ((role = 'live' and release = {champion}) or (role in ('canary', 'shadow') and release = {candidate}))"""

    @property
    def _by(self) -> str | None:
        """The column of the log that `by` names, where a request has had it."""
        by = self.plan.canary.by
        if by == self.plan.label.entity:
            return "entity"
        kept = f"{by}_" if by in KEPT else by
        return kept if kept in self.columns.names else None

    def _query(self, sql: str, more: Mapping[str, pa.Table]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.site.engine.query(sql, {"served": self.view, **more}).to_pylist()
        return rows


_LATENCY = Tolerance().latency or 0.0


def _sums(row: Mapping[str, Any]) -> Sums:
    return Sums(*(float(row[name]) for name in ("entities", "count", "total", "counts2", "cross", "totals2")))


def _arms(sums: Mapping[tuple[Any, str], Sums], of: Any) -> Arms:
    champion, candidate = (sums.get((of, arm), Sums()) for arm in ("champion", "candidate"))
    return Arms(champion, candidate, sums.get((of, "pairs")))


def _instant(moment: datetime) -> str:
    return f"timestamptz {quoted_text(moment.astimezone(UTC).isoformat())}"


def _day(moment: datetime) -> date:
    return moment.astimezone(UTC).date()
