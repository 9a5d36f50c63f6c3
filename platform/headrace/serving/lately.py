"""What was served in the last days, as the table of predictions shows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from headrace.core.days import Days
from headrace.core.names import duration_text, quoted_text
from headrace.serving.gather import predictions_table
from headrace.store.engine import TableView
from headrace.store.site import Site

LATELY = timedelta(days=7)
"""How far back is looked: what was lost before that is nobody's alarm any more."""
OURS = 500
"""From which status on the server is to blame."""


@dataclass(frozen=True)
class Lately:
    """What was served since a moment; shadow answers, which nobody was given, count as rows alone."""

    rows: int = 0
    failed: int = 0
    """Rows that the server could not answer."""
    p50_ms: float | None = None
    """Of the answered rows, from reading the request to scoring; None where none was answered."""
    p99_ms: float | None = None
    degraded: float | None = None
    """The share of the answered rows that were served without the online store; None where none was answered."""
    lost: int = 0
    """Predictions that were answered and could not be kept."""
    newest: datetime | None = None
    """When the last of them was asked for."""
    releases: Sequence[Mapping[str, Any]] = ()
    """Release, model, role → rows and the newest version of the features."""

    @property
    def said(self) -> str:
        """What was lost, in words."""
        of = f"of the last {duration_text(LATELY)}"
        if self.lost:
            return (
                f"{self.lost:,} predictions {of} were answered and not kept, beside {self.rows:,} that were: they came "
                "faster than the disk took them, or it was full. docs/runbook.md (HeadraceJournalDropping) says what to do."
            )
        return (
            f"None of the {self.rows:,} predictions {of} was lost."
            if self.rows
            else f"Nothing was served in the last {duration_text(LATELY)}."
        )


def served_lately(site: Site, now: datetime) -> Lately:
    """Return what was served in the seven days until `now`, of the wall clock: that is when requests came."""
    table = predictions_table(site)
    if not site.tables.exists(table):
        return Lately()
    since = (now - LATELY).astimezone(UTC)
    view = {"served": TableView(table, Days(since.date(), max(since.date(), now.astimezone(UTC).date())))}
    rows = f"with rows as (from served where received > timestamptz {quoted_text(since.isoformat())})"
    answered = f"filter (role <> 'shadow' and status < {OURS})"
    counts = f"""{rows} select count(*) as "rows", count(*) filter (role <> 'shadow' and status >= {OURS}) as failed,
  quantile_cont(milliseconds, 0.5) {answered} as p50_ms, quantile_cont(milliseconds, 0.99) {answered} as p99_ms,
  avg(degraded::int) {answered} as degraded, coalesce(sum(dropped), 0)::bigint as lost, max(received) as newest from rows"""
    releases = f"""{rows} select release, model, role, count(*) as "rows", max(features_version) as features from rows
group by all order by release, model, role"""
    [found] = site.engine.query(counts, view, origin=table).to_pylist()
    return Lately(**found, releases=site.engine.query(releases, view, origin=table).to_pylist())
