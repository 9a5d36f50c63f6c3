"""The drill: a healthy copy of a product, a copy of that for each fault, and what its guards have done in it."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from headrace.core.errors import Refused
from headrace.drills.declaration import Drill, Fault
from headrace.drills.faults import healthy, look_around, plant
from headrace.drills.guards import Guard, guards_of
from headrace.drills.report import Reaction, Report
from headrace.drills.resources import Stage, require, staged
from headrace.drills.sandbox import Sandbox, make_sandbox
from headrace.project import Project

Say = Callable[[str], None]
RESULT, CONTROL = "drill.json", "healthy"
BY_DAYS: tuple[Fault, ...] = ("drift", "broken_rows")
"""Faults that days of rows bring: as many healthy ones should wake nobody."""


def drill(project: Project, product: str, plan: Drill, folder: Path, say: Say) -> Report:
    """Plant faults in copies of a product below `folder`, and return which guards reacted; written to `folder`/drill.json, too.

    Nothing of the product itself is written. Raises Refused where the copy cannot be brought into a healthy state.
    """
    say(f"Copying {product} to {folder} ...")
    start = make_sandbox(project, product, folder)
    with staged(start) as stage:
        _bring_to_life(stage, say)
    reactions, planted = list[Reaction](), dict[str, list[str]]()
    for fault in plan.faults:
        with staged(start.copy_to(fault)) as stage:
            found, planted[fault] = _planted(stage, fault, plan, say)
            reactions += found
    reactions = _held_against_healthy_days(start, reactions, planted, say)
    report = Report(product, datetime.now(UTC), planted, reactions)
    report.write(folder / RESULT)
    return report


def _bring_to_life(stage: Stage, say: Say) -> None:
    """Let the product take in what has landed, and train, release and score where nothing is live yet."""
    stage.remember_training()
    for run in stage.look("files"):
        require(run, "Taking in what has landed")
    if stage.declared.model:
        if not stage.loop.live_since():
            say("  no model is live: training one")
            for run in stage.look("retrain"):
                require(run, "Training a first model")
        if not stage.loop.live_since():
            _, why = stage.ask("retrain")
            raise Refused(f"No model of {stage.sandbox.product} could be brought to life in the copy: {why}")
        require(stage.make(stage.loop.live_keys), "Scoring the newest day")
    look_around(stage)
    say(f"  healthy, at {stage.now:%Y-%m-%d %H:%M} UTC by the product's clock")


def _planted(stage: Stage, fault: Fault, plan: Drill, say: Say) -> tuple[list[Reaction], list[str]]:
    """Plant one fault, and return what each guard did, and what was done."""
    guards = guards_of(fault, stage)
    found = {guard.name: _before(fault, guard, stage) for guard in guards}
    began, clock = time.monotonic(), stage.now
    say(f"{fault}:")
    done = []
    for words in _steps(fault, stage, plan, guards):
        done.append(words)
        say(f"  {words}")
        for guard in guards:
            evidence = guard.look(stage) if found[guard.name] is None else ""
            if evidence:
                seconds = time.monotonic() - began
                found[guard.name] = Reaction(fault, guard.name, "reacted", evidence, stage.now - clock, seconds)
                say(f"    {guard.name}: {evidence}")
        if all(found.values()):
            break
    return [found[guard.name] or Reaction(fault, guard.name, "silent") for guard in guards], done


def _steps(fault: Fault, stage: Stage, plan: Drill, guards: Sequence[Guard]) -> Iterator[str]:
    """Yield the steps of a fault; none where nothing that is declared could notice it."""
    if not all(guard.lacks for guard in guards):
        yield from plant(fault, stage, plan)


def _before(fault: Fault, guard: Guard, stage: Stage) -> Reaction | None:
    """Return what is known of a guard before a fault is planted: it is not declared, or stands already; else None."""
    if guard.lacks:
        return Reaction(fault, guard.name, "not declared", guard.lacks)
    stands = guard.look(stage)
    return Reaction(fault, guard.name, "stood before", stands) if stands else None


def _held_against_healthy_days(
    start: Sandbox, reactions: Sequence[Reaction], planted: dict[str, list[str]], say: Say
) -> list[Reaction]:
    """Return the reactions; those that as many healthy days bring as well are none."""
    faults = [fault for fault in BY_DAYS if any(r.fault == fault and r.state == "reacted" for r in reactions)]
    days = max((len(planted[fault]) for fault in faults), default=0)
    if not days:
        return list(reactions)
    woken = set()
    say("healthy days, which should wake nobody:")
    with staged(start.copy_to(CONTROL)) as stage:
        guards = {(fault, guard.name): guard for fault in faults for guard in guards_of(fault, stage)}
        for words in healthy(stage, days):
            say(f"  {words}")
            woken |= {of for of, guard in guards.items() if not guard.lacks and guard.look(stage)}
    return [
        replace(r, state="also when healthy") if r.state == "reacted" and (r.fault, r.expected) in woken else r
        for r in reactions
    ]
