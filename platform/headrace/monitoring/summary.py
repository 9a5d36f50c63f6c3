"""A product in plain text, for a terminal: under forty lines, however much there is."""

from collections.abc import Iterator, Sequence
from textwrap import shorten
from typing import TypeVar

from headrace.monitoring.facts import ProductFacts, newest_drift
from headrace.store.releases import Release

MOST_SOURCES, MOST_MONTHS, MOST_DECISIONS, MOST_COLUMNS = 6, 6, 4, 8
WIDEST = 200
T = TypeVar("T")


def summary_text(facts: ProductFacts) -> str:
    """Return rows in, quality by month, decisions with reasons, and drift."""
    return "\n".join([*_arrived(facts), *_months(facts), *_decisions(facts), *_drift(facts)])


def _arrived(facts: ProductFacts) -> Iterator[str]:
    yield f"{facts.product.product} at {facts.now:%Y-%m-%d %H:%M} UTC"
    yield "\n  rows in, and set aside"
    width = max((len(a.source) for a in facts.arrived), default=0)
    for a in facts.arrived[:MOST_SOURCES]:
        why = f"  ({shorten(next(iter(a.reasons)), 80)})" if a.reasons else ""
        yield f"    {a.source:<{width}}{a.rows:>12,}{a.quarantined:>8,}{why}"
    yield from _more(facts.arrived, MOST_SOURCES, "sources")


def _months(facts: ProductFacts) -> Iterator[str]:
    yield "\n  quality of the scores as they came true"
    for month, measured in list(facts.months.items())[-MOST_MONTHS:]:
        auc = measured.metrics.get("auc")
        yield f"    {month}   {f'AUC {auc:.4f}' if auc is not None else measured.note}   on {measured.rows:>8,} labels"
    if not facts.months:
        yield "    no scored row has its label yet"


def _decisions(facts: ProductFacts) -> Iterator[str]:
    yield "\n  releases"
    yield from _more(facts.decisions, MOST_DECISIONS, "earlier decisions")
    for decision in facts.decisions[-MOST_DECISIONS:]:
        yield f"    {decision.number}. {_outcome(facts, decision)}, {decision.at:%Y-%m-%d}"
        yield f"       because {shorten(decision.why, WIDEST)}"
    if not facts.decisions:
        yield "    none yet"


def _outcome(facts: ProductFacts, decision: Release) -> str:
    live = ", live" if facts.live and decision.number == facts.live.release.number else ""
    metric, value = decision.measured
    rows = decision.evidence.get("rows", 0)
    tested = f"{metric.upper()} {value:.4f} on {rows:,} test rows" if value is not None else "not measured"
    return f"{decision.outcome}{live}: {tested}"


def _drift(facts: ProductFacts) -> Iterator[str]:
    drift = newest_drift(facts)
    yield "\n  drift of the last days against the live model's training set"
    shown = drift[:MOST_COLUMNS]
    width = max((len(row["column"]) for row in shown), default=0)
    for row in shown:
        measure = "PSI" if row["measure"] == "psi" else "missing"
        mark = f"beyond its limit {row['limit']:.3g}" if row["value"] > row["limit"] else ""
        ignored = " (ignored)" if row["column"] in facts.monitors.drift.ignore else ""
        yield f"    {row['column']:<{width}}  {measure:<7}{row['value']:>8.3f}  {mark}{ignored}".rstrip()
    if not drift:
        yield "    the live model has not scored a whole window yet" if facts.live else "    no model is live yet"


def _more(things: Sequence[T], most: int, name: str) -> Iterator[str]:
    if len(things) > most:
        yield f"    and {len(things) - most} more {name}"
