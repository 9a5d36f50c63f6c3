"""A candidate: trained on one version of the training set, stored under the digest of its content."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import polars as pl
import pyarrow as pa

from headrace.core.errors import Refused
from headrace.features.declaration import Label
from headrace.features.statistics import STATISTICS, as_facts, statistics_of
from headrace.models.declaration import Model
from headrace.models.encode import Input
from headrace.models.predict import SCORE, load_predictor, score_rows
from headrace.models.profile import profile_of
from headrace.models.split import Split, canonical, split_by_time
from headrace.models.train import importance, train_model
from headrace.models.trainer import Meta, Say
from headrace.store.addition import Commit
from headrace.store.models import Training
from headrace.store.site import Site

MANUAL = "started by hand"


@dataclass(frozen=True)
class Candidate:
    """Which model waits to be judged: trained when, on which version, why."""

    digest: str
    version: int
    at: datetime
    reason: str


def train_candidate(
    site: Site, label: Label, model: Model, version: int, say: Say
) -> tuple[str, Meta, dict[str, float]]:
    """Train on a version of the training set and store model, meta, profile and statistics; return digest, meta, importance."""
    split = split_version(site, label, model, version)
    trained = train_model(split.train, label, model, say)
    digest = site.models.put(trained.files)
    site.models.record_training(digest, _training(site, version))
    scored = split.test.append_column(SCORE, pa.array(score_rows(split.test, load_predictor(site.models, digest))))
    profile = profile_of(split.train, trained.meta.inputs) | profile_of(scored, [Input(name=SCORE, kind="numeric")])
    shares = importance(trained)
    site.models.record(digest, "profile", profile)
    site.models.record(digest, "importance", {"shares": list(shares.items())})
    site.models.record(digest, STATISTICS, as_facts(statistics_of(split.train)))
    return digest, trained.meta, shares


def _training(site: Site, version: int) -> Training:
    table = site.product.table("training", "set")
    inputs = site.tables.versions(table)[version].inputs
    return Training(site.product.product, table, version, inputs, datetime.now(UTC).isoformat())


def split_version(site: Site, label: Label, model: Model, version: int) -> Split:
    """Return the rows of one version of the training set that a model learns from, and those it is judged on."""
    rows = site.tables.read(site.product.table("training", "set"), version=version)
    return split_by_time(canonical(rows, label), label, model.split.test)


def remember(site: Site, candidate: Candidate) -> Commit:
    """Make a model the product's candidate."""
    table = site.product.table("model", "candidate")
    return site.tables.replace(table, pa.Table.from_pylist([asdict(candidate)]), why=candidate.reason)


def the_candidate(site: Site) -> Candidate:
    """Return the product's candidate; raises Refused if nothing was ever trained."""
    table = site.product.table("model", "candidate")
    if not site.tables.exists(table):
        raise Refused("There is no candidate: materialize model/candidate first. Nothing is released by hand.")
    # Arrow's own reader of folders of files would import pandas, which takes longer than a command may.
    return Candidate(**pl.read_parquet(site.tables.files(table)).to_dicts()[0])
