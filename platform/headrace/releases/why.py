"""Why a model is what it is, and live: trigger, what is behind it, what changed, gates, approver, cost."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from headrace.models.origin import origin_of
from headrace.store.releases import Release
from headrace.store.site import Site

WIDTH, MOST_SHOWN = 150, 4
Facts = Mapping[str, Any]


def why(site: Site, decision: Release) -> dict[str, Any]:
    """Return all that is known of why a decision was made about a model, as plain values.

    `causes` are the names of what led to it, with words for each: what started the training, and what changed behind it.
    """
    product = site.product.product
    origin = origin_of(site, decision.model)
    decisions = site.releases.all(product)
    before = next((d for d in decisions if origin and d.model == origin["before"] and d.goes_live), None)
    return {
        "product": product,
        "decision": decision.number,
        "outcome": decision.outcome,
        "model": decision.model,
        "at": decision.at.isoformat(),
        "asked_by": decision.who,
        "approver": decision.approver or None,
        "why": decision.why,
        "replaces": decision.replaces,
        "back_to": decision.back_to,
        "causes": [{"cause": name, "what": what} for name, what in _causes(decision, origin)],
        "triggers": origin["triggers"] if origin else [],
        "before": {"release": before.number, "model": before.model} if before else None,
        "changes": origin["changes"] if origin else None,
        "versions": origin["versions"] if origin else {},
        "code": origin["code"] if origin else None,
        "gates": decision.evidence.get("gates", []),
        "cost": origin["cost"] if origin else {},
    }


def _causes(decision: Release, origin: Facts | None) -> Iterator[tuple[str, str]]:
    if decision.outcome in ("rolled back", "erased"):
        yield "rollback" if decision.outcome == "rolled back" else "erasure", decision.why
        return
    if origin is None:
        yield "unknown", f"nothing is kept of the training of model {decision.model[:12]}"
        return
    for trigger in origin["triggers"]:
        yield trigger["on"], trigger["what"]
    if origin["changes"]:
        yield from behind(origin["changes"])


def behind(changed: Facts) -> Iterator[tuple[str, str]]:
    """Yield the names of what changed behind a training, each with words."""
    rows, old = changed["rows"] or {}, [d for d in changed["data"] if d["old_days"]]
    if rows.get("labels") and not changed["code"]:
        yield "label back-fill", f"{rows['labels']:,} rows have other labels, of {_span(rows['label_times'])}"
    if old and (rows.get("late") or rows.get("removed") or (rows.get("features") and not _is_other_code(changed))):
        yield "late data", "; ".join(f"{d['table']}: {d['old_days']}{_of_files(d['files'])}" for d in old)
    new = [f"{d['table']}: {d['new_days']}" for d in changed["data"] if d["new_days"]]
    if new:
        yield "new data", "; ".join(new)
    if changed["code"]:
        yield "code", _some(changed["files"] or changed["code"])
    if changed["config"]:
        yield "configuration", "; ".join(f"{k}: {a} → {b}" for k, (a, b) in changed["config"].items())
    if _used(changed):
        yield "libraries", ", ".join(f"{name} {a} → {b}" for name, (a, b) in _used(changed).items())


def _is_other_code(changed: Facts) -> bool:
    return bool(changed["code"] or changed["config"] or _used(changed))


def _used(changed: Facts) -> dict[str, Any]:
    """Return the libraries with another version among those that the model is made by."""
    return {name: pair for name, pair in changed["libraries"].items() if name in changed["used"]}


def why_text(facts: Facts) -> str:
    """Return it in words, for one screen of a terminal."""
    return "\n".join(line if len(line) <= WIDTH else f"{line[: WIDTH - 4]} ..." for line in _lines(facts))


def _lines(facts: Facts) -> Iterator[str]:
    yield f"decision {facts['decision']} of {facts['product']}: model {facts['model'][:12]} {facts['outcome']}, {facts['at'][:16]}"
    yield from _titled("because", [f"{one['cause']}: {one['what']}" for one in facts["causes"]])
    yield from _titled("values", [line for one in facts["triggers"] for line in _values(one["facts"])])
    before = facts["before"]
    yield from _titled(
        "since",
        [f"release {before['release']}, model {before['model'][:12]}" if before else "no model was live before"],
    )
    if facts["changes"]:
        yield from _changed(facts["changes"])
    yield from _titled(
        "gates", [f"{'passed' if g['passed'] else 'FAILED'} {g['gate']}: {g['why']}" for g in facts["gates"]]
    )
    yield from _titled("asked by", [facts["asked_by"]])
    yield from _titled("approver", [facts["approver"] or "nobody had to be asked"])
    yield from _titled("cost", [_cost(what, cost) for what, cost in facts["cost"].items()])


def _titled(title: str, lines: Sequence[str]) -> Iterator[str]:
    for place, line in enumerate(lines[:MOST_SHOWN]):
        yield f"{'' if place else title:<11}{line}"
    if len(lines) > MOST_SHOWN:
        yield f"{'':<11}and {len(lines) - MOST_SHOWN} more (--json)"


def _values(facts: Facts) -> Iterator[str]:
    plain = {name: value for name, value in facts.items() if not isinstance(value, list)}
    if plain:
        yield ", ".join(f"{name} {_figure(value)}" for name, value in plain.items())
    for rows in (value for value in facts.values() if isinstance(value, list)):
        yield "; ".join(", ".join(_figure(value) for value in row.values()) for row in rows[:MOST_SHOWN])


def _changed(changed: Facts) -> Iterator[str]:
    lines = [_data(one) for one in changed["data"]]
    rows = changed["rows"]
    if rows:
        features = _some([f"{name} in {count:,}" for name, count in rows["features"].items()])
        counts = (
            f"{rows['new']:,} new, {rows['late']:,} late, {rows['removed']:,} gone, {rows['labels']:,} other labels"
        )
        lines.append(f"training rows: {counts}" + (f"; other values: {features}" if features else ""))
    yield from _titled("data", lines or ["the same"])
    yield from _titled("code", [_some([*changed["files"], *changed["code"]]) or "the same"])
    yield from _titled("config", [f"{k}: {a} → {b}" for k, (a, b) in changed["config"].items()] or ["the same"])
    yield from _titled("libraries", [f"{k} {a} → {b}" for k, (a, b) in changed["libraries"].items()] or ["the same"])


def _data(one: Facts) -> str:
    old = f"other rows of {one['old_days']}{_of_files(one['files'])}" if one["old_days"] else ""
    new = f"new days {one['new_days']}" if one["new_days"] else ""
    before, now = one["versions"]
    return f"{one['table']} {before} → {now}: {'; '.join(filter(None, (old, new)))}"


def _of_files(files: Sequence[str]) -> str:
    return f" ({_some(files)})" if files else ""


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_SHOWN} more" if len(names) > MOST_SHOWN else ""
    return f"{', '.join(names[:MOST_SHOWN])}{more}"


def _span(times: Sequence[str]) -> str:
    days = list(dict.fromkeys(moment[:10] for moment in times))
    return " to ".join(days)


def _figure(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _cost(what: str, cost: Facts) -> str:
    took = f"{cost['seconds']:.1f} s, CPU {cost['cpu_seconds']:.1f} s, at most {cost['peak_mib']:,.0f} MiB"
    tried = f", {cost['trials']} trials, {cost['pruned']} of them pruned" if "trials" in cost else ""
    return f"{what}: {took}, {cost['rows']:,} rows{tried}"
