"""A load test, from a plan to a report; and of a candidate, whose evidence is kept with it for the gates."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import NamedTuple

from headrace.evaluation.underload import UnderLoad, record_load
from headrace.load.crowd import crowd
from headrace.load.declaration import Plan
from headrace.load.overload import overloaded
from headrace.load.report import Report, bounds_of, hold
from headrace.load.requests import requests_of
from headrace.load.run import Target
from headrace.load.search import Found, behind, found_of, search
from headrace.load.server import for_a_test, own_server
from headrace.load.step import Step
from headrace.serving.declaration import Sla
from headrace.serving.served import Served
from headrace.store.site import Site

LIBRARIES = ("headrace", "uvicorn", "httptools", "msgspec", "uvloop", "lightgbm")


class Asked(NamedTuple):
    """What is tested."""

    product: str
    plan: Plan
    sla: Sla | None
    for_gates: bool = False
    """Whether gates will ask for one rate: the promised one, or half of the capacity."""


def try_server(asked: Asked, target: Target, bodies: Sequence[bytes], of: str) -> Report:
    """Return what a load test of a server finds; raises StoreError where nobody listens."""
    plan, bounds, sla = asked.plan, bounds_of(asked.sla), asked.sla
    with crowd(target, bodies, plan.connections) as generators:
        found = search(generators.ask, plan, bounds)
        evidence = None
        if sla or asked.for_gates:
            rate = (sla and sla.rate) or _half(found)
            evidence = next((step for step in found.steps if step.rate == rate), None)
            if evidence is None:
                evidence = generators.ask(rate, plan.seconds)
                found = found_of([*found.steps, evidence], bounds, found.note)
        overload = (
            overloaded(generators.ask, found.capacity, plan.seconds) if plan.overload and found.capacity else None
        )
    note = found.note or (behind(evidence) if evidence else "")
    nothing = "Nothing was borne that could be asked three times of." if plan.overload and not overload else ""
    return Report(
        product=asked.product,
        of=of,
        bounds=bounds,
        steps=found.steps,
        capacity=found.capacity,
        evidence=evidence,
        held=hold(sla, evidence) if sla and evidence else [],
        overload=overload,
        note=" ".join(text for text in (note, nothing) if text),
    )


def try_own(site: Site, served: Served, asked: Asked, bodies: Sequence[bytes] = ()) -> Report:
    """Return what a load test finds of a server that is started for it, by the model that is live."""
    bodies = bodies or requests_of(site, served)
    with own_server(for_a_test(served), site.place) as target:
        return try_server(asked, target, bodies, "the model that is live, on a server of the test's own")


def try_candidate(site: Site, served: Served, asked: Asked, digest: str, bodies: Sequence[bytes] = ()) -> Report:
    """Return what a load test finds of a server of one model, released or not, and keep with that model what gates ask."""
    bodies = bodies or requests_of(site, served)
    with own_server(for_a_test(served, digest), site.place) as target:
        of = f"model {digest[:12]}, on a server of the test's own"
        report = try_server(asked._replace(for_gates=True), target, bodies, of)
    assert report.evidence
    record_load(site, _evidence(report.evidence, digest, report))
    return report


def _half(found: Found) -> float:
    """Return the rate that gates are held against where none is promised: half of the capacity; the lowest where there is none."""
    return max(found.capacity / 2, 1.0) if found.capacity else found.steps[0].rate


def _evidence(step: Step, digest: str, report: Report) -> UnderLoad:
    return UnderLoad(
        model=digest,
        at=datetime.now(UTC),
        rate=step.rate,
        seconds=step.seconds,
        asked=step.asked,
        failed=step.failed,
        allowed=report.bounds.errors,
        p50_ms=step.p50_ms,
        p95_ms=step.p95_ms,
        p99_ms=step.p99_ms,
        late_ms=step.late_ms,
        is_late=step.is_behind,
        machine={"system": platform.platform(), "processor": platform.machine(), "cores": f"{os.cpu_count()}"},
        versions={"python": platform.python_version()} | {name: version(name) for name in LIBRARIES},
    )
