"""The model card: what a release is for, what it was made of, how well it does, who let it through; from facts alone.

Source: M. Mitchell et al., Model Cards for Model Reporting (FAT* 2019).
"""

from dataclasses import dataclass
from typing import Any

from headrace.core.declaration import Identity
from headrace.core.errors import Refused
from headrace.evaluation.judgement import Judgement, recorded_judgement
from headrace.explain.declaration import Card
from headrace.explain.explanation import Explanation, recorded_explanation
from headrace.features.graph import Graph, sources_behind
from headrace.features.lineage import training_lineage
from headrace.models.baselines import RECORD as BASELINES
from headrace.models.declaration import Model
from headrace.models.harden import RECORD as ROBUSTNESS
from headrace.models.meta import Meta, load_meta
from headrace.models.trainers.federated import RECORD as FEDERATED
from headrace.store.evaluations import recorded
from headrace.store.releases import Release
from headrace.store.site import Site

MOST = 10


@dataclass(frozen=True)
class Told:
    """All that a card says."""

    product: Identity
    card: Card
    release: Release
    meta: Meta
    trained_on: list[dict[str, Any]]
    """Product, table, version and versions of its inputs: each training that gave this model, the newest last."""
    judgement: Judgement | None
    explanation: Explanation | None
    protected: list[str]
    """The columns between whose values it should be fair."""
    robustness: dict[str, dict[str, Any]]
    """Of a hardened model: how it and the plain one bear small moves."""
    federated: dict[str, Any]
    """Of a model of several sites: what each has sent, what is not promised, and what it is worth beside one place."""
    origins: dict[str, str]
    """Input → table and sources that it comes from."""

    @property
    def gates(self) -> list[dict[str, Any]]:
        """The gates as they were held against this model when it was decided."""
        gates: list[dict[str, Any]] = self.release.evidence.get("gates", [])
        return gates


def release_named(site: Site, word: str) -> Release:
    """Return the release that a word names, or the live one where it is empty; raises Refused where there is none."""
    product = site.product.product
    found = site.releases.named(product, word) if word else site.releases.live(product)
    if found is None:
        raise Refused(f"No model of {product} is live.")
    return found


def told_of(site: Site, card: Card, graph: Graph, model: Model | None, release: Release) -> Told:
    """Return what the card of a release says; raises StoreError where the model's files are gone, Refused for torn records."""
    digest = release.model
    return Told(
        product=site.product,
        card=card,
        release=release,
        meta=load_meta(site.models, digest),
        trained_on=site.models.trainings(digest),
        judgement=recorded_judgement(site, digest) if recorded(site, digest) else None,
        explanation=recorded_explanation(site, digest),
        protected=model.evaluation.protected if model else [],
        robustness=site.models.recorded(digest, ROBUSTNESS) or {},
        federated=_federated(site, digest),
        origins=_origins(site, graph),
    )


def _federated(site: Site, digest: str) -> dict[str, Any]:
    """Return what is kept of the sites of a model, with the models that it is held against; empty for one of no sites."""
    kept = site.models.recorded(digest, FEDERATED)
    beside = (site.models.recorded(digest, BASELINES) or {"baselines": []})["baselines"]
    return {**kept, "beside": beside} if kept else {}


def _origins(site: Site, graph: Graph) -> dict[str, str]:
    """Return what each input is made of: its table with the sources behind it, or the sources that the label's SQL reads."""
    made = {}
    for column, found in training_lineage(site, graph).items():
        tables = sorted({f"{layer}/{table}" for layer, table, _ in found})
        names = [table for layer, table, _ in found if layer == "features" and table in graph.features]
        behind = sorted({source for name in names for source in sources_behind(site, graph.features, name)})
        made[column] = ", ".join(tables) + (f" (of {', '.join(behind)})" if behind else "")
    return made
