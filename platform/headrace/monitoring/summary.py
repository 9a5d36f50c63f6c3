"""A product in plain text, for a terminal."""

from collections.abc import Iterator

from headrace.monitoring.facts import ProductFacts, newest_drift

MOST_COLUMNS = 8


def summary_text(facts: ProductFacts) -> str:
    """Return rows in, quality by month, decisions with reasons, and drift, in under forty lines."""
    return "\n".join([*_arrived(facts), *_months(facts), *_decisions(facts), *_drift(facts)])


def _arrived(facts: ProductFacts) -> Iterator[str]:
    yield f"{facts.product.product} at {facts.now:%Y-%m-%d %H:%M} UTC"
    yield "\n  rows in, and set aside"
    for a in facts.arrived:
        why = f"  ({next(iter(a.reasons))})" if a.reasons else ""
        yield f"    {a.source:<12}{a.rows:>10,}{a.quarantined:>8,}{why}"


def _months(facts: ProductFacts) -> Iterator[str]:
    yield "\n  quality of the scores as they came true"
    for month, measured in facts.months.items():
        auc = measured.metrics.get("auc")
        yield f"    {month}     {f'AUC {auc:.4f}' if auc is not None else measured.note}  on {measured.rows:,} labels"
    if not facts.months:
        yield "    no scored row has its label yet"


def _decisions(facts: ProductFacts) -> Iterator[str]:
    yield "\n  releases"
    for d in facts.decisions:
        auc = d.evidence.get("auc")
        live = ", live" if facts.live and d.number == facts.live.number else ""
        tested = f"AUC {auc:.4f} on {d.evidence['rows']:,} test rows" if auc is not None else "not measured"
        yield f"    {d.number}. {d.outcome}{live}: {tested}, {d.at:%Y-%m-%d}"
        yield f"       because {d.why}"
    if not facts.decisions:
        yield "    none yet"


def _drift(facts: ProductFacts) -> Iterator[str]:
    drift = list(newest_drift(facts).values())
    yield "\n  drift of the last days against the live model's training set (PSI)"
    for row in drift[:MOST_COLUMNS]:
        mark = "beyond its limit" if row["value"] > row["limit"] else ""
        yield f"    {row['column']:<32}{row['value']:>7.3f}  {mark}".rstrip()
    if not drift:
        yield "    nothing is scored yet"
