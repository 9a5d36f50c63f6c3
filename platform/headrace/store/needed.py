"""What is still needed: the models that stay, and the versions of tables that they were trained on."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from headrace.store.declaration import Keep
from headrace.store.releases import waiting_of
from headrace.store.site import Site

Pins = dict[tuple[str, int], str]
"""Table and version → why it stays."""


@dataclass(frozen=True)
class KeptModels:
    """The models of a product: which stay and why, and which may go."""

    stay: dict[str, str]
    go: dict[str, str]


def kept_models(site: Site, keep: Keep, now: datetime) -> KeptModels:
    """Return which models of a product stay: released ones, the candidate, the newest others, young ones."""
    trained = _trained_at(site)
    decisions = site.releases.all(site.product.product)
    stay = {r.model: f"release {r.number}" for r in decisions if r.goes_live}
    waiting = waiting_of(decisions)
    if waiting:
        stay.setdefault(waiting.model, "waits for approval")
    candidate = _candidate(site)
    if candidate:
        stay.setdefault(candidate, "the candidate")
    others = sorted((digest for digest in trained if digest not in stay), key=lambda digest: trained[digest])
    for place, digest in enumerate(reversed(others)):
        if place < keep.models or now - trained[digest] <= keep.versions:
            stay[digest] = f"trained {trained[digest]:%Y-%m-%d %H:%M}, never released"
    return KeptModels(
        stay, {digest: "never released, and newer ones are kept" for digest in others if digest not in stay}
    )


def needed_versions(site: Site, kept: KeptModels) -> Pins:
    """Return the versions that the models that stay were trained on, and those that these were made of.

    What other products have trained on, through feature tables that are shared, stays as long as their models do.
    """
    pins: Pins = {}
    for digest, why in kept.stay.items():
        for training in _trainings(site, digest):
            words = f"model {digest[:12]} ({why}) was trained on it"
            pins.setdefault((training["table"], training["version"]), words)
            for table, version in training["inputs"].items():
                made = f"{training['table']}@{training['version']}, which model {digest[:12]} was trained on, is made of it"
                pins.setdefault((table, version), made)
    return _needed_elsewhere(site) | pins


def _needed_elsewhere(site: Site) -> Pins:
    """Return the versions of the product's tables that models of other products were trained on, as long as these are there."""
    pins: Pins = {}
    for digest in site.models.digests():
        for training in site.models.trainings(digest):
            for table, version in training["inputs"].items():
                if training["product"] != site.product.product and table.startswith(f"{site.product.product}/"):
                    words = f"{training['table']}@{training['version']}, which model {digest[:12]} was trained on, is made of it"
                    pins.setdefault((table, version), words)
    return pins


def _trained_at(site: Site) -> dict[str, datetime]:
    """Return the models that the product has trained and that are there, each with its last training."""
    found: dict[str, datetime] = {}
    for digest in site.models.digests():
        own = [t for t in site.models.trainings(digest) if t["product"] == site.product.product]
        if own:
            found[digest] = max(datetime.fromisoformat(training["at"]) for training in own)
    return found


def _trainings(site: Site, digest: str) -> Iterator[dict[str, Any]]:
    product = site.product.product
    yield from (t for t in site.models.trainings(digest) if t["product"] == product)
    for release in site.releases.all(product):
        evidence = release.evidence
        if release.model == digest and "training_set" in evidence:
            yield {"table": evidence["training_set"], "version": evidence["version"], "inputs": {}}


def _candidate(site: Site) -> str | None:
    table = site.product.table("model", "candidate")
    rows = site.tables.read(table).to_pylist() if site.tables.exists(table) else []
    return rows[0]["digest"] if rows else None
