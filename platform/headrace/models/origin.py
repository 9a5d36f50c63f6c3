"""What a model came from: trigger, data, code, configuration and libraries, written down when it is trained."""

import platform
import resource
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import pyarrow.compute as pc

from headrace.core.errors import StoreError
from headrace.features.declaration import Label
from headrace.models.changes import changes, libraries_of
from headrace.models.lineage import versions_behind
from headrace.models.lock import installed, locks_of
from headrace.models.meta import ORIGIN
from headrace.store.code import code_files
from headrace.store.digest import contents_of
from headrace.store.site import Site

TRAINING = "training"
"""The step that each training begins with, in what it cost."""


@dataclass
class Cost:
    """What a piece of work took."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_mib: float = 0.0
    """The most memory that its process has held so far."""


@contextmanager
def measured() -> Iterator[Cost]:
    """Yield what fills with the cost of the work meanwhile."""
    cost, wall, cpu = Cost(), time.perf_counter(), time.process_time()
    yield cost
    cost.seconds, cost.cpu_seconds = round(time.perf_counter() - wall, 3), round(time.process_time() - cpu, 3)
    cost.peak_mib = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


@dataclass(frozen=True)
class Trigger:
    """Why a training was started: by which kind of reason, in words, and the values behind it."""

    on: str
    what: str
    facts: Mapping[str, Any] = field(default_factory=dict)


def triggers_of(site: Site, number: str | None, reason: str) -> list[Trigger]:
    """Return why a training was started; without a number of the log of trainings somebody has started it by hand."""
    if not number:
        return [Trigger("manual", reason)]
    entry = site.trainings.entries()[int(number) - 1]
    told = [Trigger(one["on"], one["what"], one["facts"]) for one in entry.get("triggers", [])]
    return told or [Trigger("unknown", reason)]


@dataclass(frozen=True)
class Trained:
    """A model, on which version of the training set, why, and what it took."""

    digest: str
    version: int
    rows: int
    triggers: list[Trigger]
    cost: Cost
    parts: Mapping[str, str]
    """The code, declarations and libraries of the training itself."""
    params: Mapping[str, Any] | None = None
    """The parameters that were found, over those declared, where they were searched for."""
    tuning: Mapping[str, Any] | None = None
    """What that search took."""
    workers: Mapping[str, Any] | None = None
    """What the workers of a cluster took to learn the model itself, beside the cost of this process."""
    run: str | None = None
    """The id of the Dagster run that has trained it, if one has."""


def record_origin(site: Site, label: Label, trained: Trained) -> None:
    """Keep with a model what it was made of, and what changed since the live one; what decisions stand on stays as it is."""
    digest = trained.digest
    kind = f"{ORIGIN}.{site.product.product}"
    elsewhere = float((trained.workers or {}).get("cpu_seconds", 0.0))
    _spend(site, digest, TRAINING, trained.cost.cpu_seconds + elsewhere)
    known = site.models.recorded(digest, kind)
    if known and any(decision.model == digest for decision in site.releases.all(site.product.product)):
        return
    live = site.releases.live(site.product.product)
    before = origin_of(site, live.model) if live and live.model != digest else None
    versions = versions_behind(site, trained.version)
    facts: dict[str, Any] = {
        "at": site.clock.now().isoformat(),
        "run": trained.run,
        "triggers": [asdict(trigger) for trigger in trained.triggers],
        "training_set": trained.version,
        "known_at": known_at(site, label, trained.version).isoformat(),
        "before": live.model if live and live.model != digest else None,
        "versions": versions,
        "contents": {name: _contents(site, name, version) for name, version in versions.items()},
        "parts": _parts(site, versions, before or {}) | {"the model": dict(trained.parts)},
        "code": site.code.put(code_files(site.folder)),
        "declaration": site.product.model_dump(mode="json", by_alias=True, exclude_defaults=True),
        "libraries": dict(installed()),
        "python": platform.python_version(),
        "labelled": _labelled(site, label, trained.version),
        "cost": {TRAINING: asdict(trained.cost) | {"rows": trained.rows}},
    }
    facts["lock"] = site.code.put(locks_of(site, libraries_of(facts)))
    if trained.tuning is not None:
        facts["params"], facts["cost"]["tuning"] = trained.params, trained.tuning
    if trained.workers is not None:
        facts["cost"]["workers"] = trained.workers
    facts["changes"] = changes(site, label, before, facts) if before else None
    site.models.record(digest, kind, facts)


def record_cost(site: Site, digest: str, what: str, cost: Cost, rows: int) -> None:
    """Add what a later step took to what is kept of a model's origin, and to what the product has spent."""
    _spend(site, digest, what, cost.cpu_seconds)
    kind = f"{ORIGIN}.{site.product.product}"
    known = site.models.recorded(digest, kind)
    if known:
        costs = {**known["cost"], what: asdict(cost) | {"rows": rows}}
        site.models.record(digest, kind, {**known, "cost": costs})


def origin_of(site: Site, digest: str) -> dict[str, Any] | None:
    """Return what is kept of a model's origin; None where nothing is."""
    return site.models.recorded(digest, f"{ORIGIN}.{site.product.product}")


def _spend(site: Site, digest: str, what: str, cpu_seconds: float) -> None:
    at = site.clock.now().isoformat()
    site.costs.add({"at": at, "what": what, "model": digest, "cpu_seconds": round(cpu_seconds, 3)})


def _labelled(site: Site, label: Label, version: int) -> int:
    """Return how many rows a version of the training set has: those to learn from, and those to be judged on."""
    rows = site.tables.read(site.product.table("training", "set"), columns=[label.time], version=version)
    return int(rows.num_rows)


def known_at(site: Site, label: Label, version: int) -> datetime:
    """Return the earliest moment at which the labels of all rows of a version of the training set were known."""
    rows = site.tables.read(site.product.table("training", "set"), columns=[label.time], version=version)
    newest: datetime = pc.max(rows[label.time]).as_py()
    return newest + label.known_after


def _contents(site: Site, table: str, version: int) -> dict[str, str] | None:
    """Return what a version of a table holds; None where its rows can no longer be read."""
    if site.tables.version(table) == version:
        return dict(site.ledger.contents(table))
    try:
        return contents_of(site.tables.scan(table, version=version))
    except StoreError:
        return None


def _parts(site: Site, versions: Mapping[str, int], before: Mapping[str, Any]) -> dict[str, Any]:
    """Return the code behind each table; of a version that is not the newest that of the last origin, if it is of that one."""
    known, then = before.get("parts", {}), before.get("versions", {})
    stayed = {
        name: known[name]
        for name, version in versions.items()
        if name in known and then.get(name) == version != site.tables.version(name)
    }
    return {name: site.ledger.parts(name) for name in versions} | stayed
