"""The guards that a fault should wake: where each of them speaks, or what to declare where there is none."""

from collections.abc import Callable
from dataclasses import dataclass

from headrace.declaration import ProductDeclaration
from headrace.drills.declaration import Fault
from headrace.drills.resources import Stage
from headrace.drills.rows import daily_sources
from headrace.incidents.kinds import Kind
from headrace.rollout.state import rollouts_log

CHECK, DECISION, WAITS, INCIDENT = "check", "decision to retrain", "retraining waits", "incident"
KEPT_OUT, TRIED_AGAIN, NOTHING_LOST, RECOVERY = "bad rows kept out", "tried again", "nothing lost", "recovery"
FAILS, GATE, ROLLBACK = "failure in words", "gate", "rollout goes back"
CANARY = "serve: {online: {}, canary: {}}"
NO_MODEL = "model: {split: {by: time, test: 14d}}"


@dataclass(frozen=True)
class Guard:
    """What should notice a fault."""

    name: str
    look: Callable[[Stage], str]
    """Returns its own words where it has noticed something that still stands, else an empty text."""
    lacks: str = ""
    """The line that declares it; empty where it is declared."""


def guards_of(fault: Fault, stage: Stage) -> list[Guard]:
    """Return what should notice a fault in a product as it stands now."""
    return _GUARDS[fault](stage)


def late_name(declared: ProductDeclaration) -> str:
    """Return the source that is late first once nothing comes any more; empty where none says how fresh it must be."""
    limits = {name: source.fresh_within for name, source in declared.sources.items() if source.fresh_within}
    return min(limits, key=lambda name: limits[name]) if limits else ""


def _drift(stage: Stage) -> list[Guard]:
    declared = stage.declared
    model = "" if declared.model else NO_MODEL
    trigger = "" if any(trigger.on == "drift" for trigger in declared.retrain.when) else "retrain: {when: [drift]}"
    return [
        Guard(f"{CHECK} monitoring/drift features", _check("monitoring", "drift", "features"), model),
        Guard(DECISION, _decided_for("drift"), model or trigger),
        Guard(f"{INCIDENT} drift", _incident("drift"), model),
    ]


def _late_source(stage: Stage) -> list[Guard]:
    name = late_name(stage.declared)
    fresh = "" if name else f"sources: {{{next(iter(stage.declared.sources))}: {{fresh_within: 36h}}}}"
    return [
        Guard(f"{CHECK} raw/{name or '<source>'} freshness", _check("raw", name, "freshness"), fresh),
        _waits(stage, "late_source", "late source", fresh),
        Guard(f"{INCIDENT} freshness", _incident("freshness"), fresh),
    ]


def _broken_rows(stage: Stage) -> list[Guard]:
    name = next((name for name in daily_sources(stage.declared) if name in stage.declared.contracts), "")
    contract = stage.declared.contracts.get(name)
    source = next(iter(stage.declared.sources))
    none = "" if contract else f"contracts: {{{source}: {{columns: {{<column>: {{type: double, min: 0}}}}}}}}"
    lets_go = f"contracts: {{{name}: {{on_fail: quarantine}}}}" if contract and contract.on_fail == "warn" else ""
    return [
        Guard(f"{CHECK} validated/{name or source} contract", _breaks_more(stage, name), none),
        Guard(KEPT_OUT, _seen(KEPT_OUT), none or lets_go),
        _waits(stage, "broken_contract", "broken contract", none),
        Guard(f"{INCIDENT} contract", _incident("contract"), none),
    ]


def _outage(stage: Stage) -> list[Guard]:
    del stage
    return [
        Guard(FAILS, _failed_run),
        Guard(f"{INCIDENT} failed_run", _incident("failed_run")),
        Guard(TRIED_AGAIN, _tried_again),
        Guard(NOTHING_LOST, _seen(NOTHING_LOST)),
        Guard(RECOVERY, _seen(RECOVERY)),
    ]


def _bad_model(stage: Stage) -> list[Guard]:
    declared, known = stage.declared, len(stage.site.releases.all(stage.sandbox.product))
    model = "" if declared.model else NO_MODEL
    canary = model or ("" if declared.serve.canary else CANARY)
    noted, written = len(rollouts_log(stage.site).entries()), len(stage.incidents())
    gates = "" if declared.gates else f"gates: [{declared.monitors.quality.metric} >= champion - 0.01]"
    return [
        Guard(GATE, lambda stage: _refused(stage, known), model or gates),
        Guard(f"{INCIDENT} gate_failed", _incident("gate_failed"), model or gates),
        Guard(ROLLBACK, lambda stage: _went_back(stage, noted), canary),
        Guard(f"{INCIDENT} rolled_back", lambda stage: _incident_of_return(stage, written), canary),
    ]


_GUARDS: dict[Fault, Callable[[Stage], list[Guard]]] = {
    "drift": _drift,
    "late_source": _late_source,
    "broken_rows": _broken_rows,
    "outage": _outage,
    "bad_model": _bad_model,
}


def _check(layer: str, name: str, check: str) -> Callable[[Stage], str]:
    return lambda stage: stage.failed_check(layer, name, check)


def _breaks_more(stage: Stage, source: str) -> Callable[[Stage], str]:
    """See a contract broken by a larger share of the rows than now: of a few that broke it long ago it warns all the time."""
    stands = stage.broken_share(source)
    return lambda stage: (
        stage.failed_check("validated", source, "contract") if stage.broken_share(source) > stands else ""
    )


def _seen(what: str) -> Callable[[Stage], str]:
    return lambda stage: stage.seen.get(what, "")


def _decided_for(reason: str) -> Callable[[Stage], str]:
    def look(stage: Stage) -> str:
        entry = stage.last_decision()
        return str(entry["what"]) if any(fired["on"] == reason for fired in entry.get("triggers", ())) else ""

    return look


def _waits(stage: Stage, obstacle: str, words: str, lacks: str) -> Guard:
    """Return the guard by which a reason to train waits, as something forbids it."""

    def look(stage: Stage) -> str:
        entry = stage.last_decision()
        forbids = any(text.startswith(words) for text in entry.get("obstacles", ()))
        return str(entry["what"]) if forbids and not entry["train"] and entry["reasons"] else ""

    declared = stage.declared
    unless = "" if obstacle in declared.retrain.unless else f"retrain: {{unless: [{obstacle}]}}"
    return Guard(WAITS, look, ("" if declared.model else NO_MODEL) or lacks or unless)


def _incident(kind: Kind) -> Callable[[Stage], str]:
    def look(stage: Stage) -> str:
        found = [one for one in stage.incidents() if one.kind == kind and one.is_open]
        return f"incident {found[-1].number}: {found[-1].what}" if found else ""

    return look


def _failed_run(stage: Stage) -> str:
    """Return what the run that failed last has said, if every failure is a sentence and none a traceback."""
    failed = [run for run in stage.runs if not run.succeeded]
    return "; ".join(failed[-1].said) if failed and all(run.in_words for run in failed) else ""


def _tried_again(stage: Stage) -> str:
    failed = {_ask(run.key) for run in stage.runs if not run.succeeded}
    again = [run.key for run in stage.runs if run.succeeded and _ask(run.key) in failed]
    return f"run {again[-1]} has done what failed before" if again else ""


def _ask(key: str) -> str:
    """Return what a run was asked for, without the number of the try."""
    return key.rpartition("-")[0]


def _refused(stage: Stage, known: int) -> str:
    """Return the refusal of a candidate since there were `known` decisions, if the model that was live still is."""
    decisions = stage.site.releases.all(stage.sandbox.product)
    refused = [decision for decision in decisions[known:] if decision.outcome == "refused"]
    went_live = any(decision.goes_live for decision in decisions[known:])
    if not refused or went_live:
        return ""
    return f"decision {refused[-1].number}: model {refused[-1].model[:12]} {refused[-1].why}"


def _went_back(stage: Stage, noted: int) -> str:
    """Return why a release went back, if one has since there were `noted` entries of rollouts."""
    entries = rollouts_log(stage.site).entries()[noted:]
    return next((f"release {one['release']}: {one['why']}" for one in entries if one["what"] == "rolled back"), "")


def _incident_of_return(stage: Stage, written: int) -> str:
    """Return the incident of a release that went back, if there is one beyond the first `written`; it is over at once."""
    found = [one for one in stage.incidents()[written:] if one.kind == "rolled_back"]
    return f"incident {found[-1].number}: {found[-1].what}" if found else ""
