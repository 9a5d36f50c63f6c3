"""Batch scores: each row is scored once, by the model that was live then, and kept with what the model saw."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.days import Days
from headrace.core.errors import Refused
from headrace.core.names import quoted
from headrace.features.compute import table_of
from headrace.features.declaration import Label
from headrace.features.steps import local_days
from headrace.features.training import Features, feature_pieces, label_rows, label_statement
from headrace.features.usable import stored
from headrace.models.blocks import Array
from headrace.models.compilation import Bulk, bulk_predictor
from headrace.models.meta import load_meta
from headrace.models.predict import MODEL, RELEASE, SCORE, VERSIONS, Predictor, score_rows
from headrace.store.engine import TableView
from headrace.store.past import PastSite
from headrace.store.releases import ENDS_LIVE, Release, live_of
from headrace.store.site import Site
from headrace.store.spill import BATCH
from headrace.store.tables import DAY


@dataclass(frozen=True)
class Turn:
    """A release, and which of the rows in the order of time it scores: from `start` to before `stop`."""

    release: Release
    start: int
    stop: int


@dataclass(frozen=True)
class Reading:
    """What rows are read from: a site that stands still meanwhile, and what the product declares."""

    site: PastSite
    features: Features
    label: Label


@dataclass(frozen=True)
class Share:
    """What one release has scored now."""

    release: Release
    rows: int
    how: str
    """By compiled trees, or why by LightGBM itself."""


@dataclass(frozen=True)
class Scored:
    """The scores of some days: those that were there, and the new ones. Rows beyond a share of the memory lie on disk."""

    rows: pa.Table
    live: Release
    shares: Sequence[Share]
    versions: Mapping[str, int]
    """The version of each table that the new ones were made of."""

    @property
    def new(self) -> int:
        """How many rows have a score that had none."""
        return sum(share.rows for share in self.shares)


def score_days(site: Site, features: Features, label: Label, days: Days) -> Scored:
    """Return the scores of all rows whose prediction time lies in `days`; rows that were scored before stay as they are.

    Rows whose prediction time is still to come are left for a later run: by then more may be known of them. A row is scored
    by the live model. What that one was trained on, its scores would look better on than it is: such a row is scored by the
    release that was live at its prediction time, or by none if there was none, or that one was trained on it, too.
    All is read at one version of each table, and made piece by piece. Raises Refused where no model is live.
    """
    decisions = _proven(site)
    live = live_of(decisions)
    if live is None:
        raise Refused("No model is live yet: nothing can be scored. Train and release one first.")
    versions = site.tables.newest(_tables_read(site, features, label))
    then = PastSite(site.product, site.folder, site.place, site.environment, versions=versions, at=site.clock.now())
    requests = _unscored(site, label_rows(then, label, days), label, days)
    made, shares = [], []
    for turn in _turns(site, requests[label.time], then.at, decisions):
        due = requests.slice(turn.start, turn.stop - turn.start)
        bulk = bulk_predictor(site, turn.release.model, due.num_rows)
        made.append(_scored_by(Reading(then, features, label), due, turn.release, bulk))
        shares.append(Share(turn.release, due.num_rows, bulk.how))
    added = pa.concat_tables(made, promote_options="permissive")
    return Scored(_with_those_before(site, label, days, added), live, shares, versions)


def _proven(site: Site) -> list[Release]:
    """Return what was decided, but for releases that take over in steps and have not come to the end of these."""
    product = site.product.product
    unproven = site.releases.unproven(product)
    return [decision for decision in site.releases.all(product) if decision.number not in unproven]


def _tables_read(site: Site, features: Features, label: Label) -> list[str]:
    """Return the tables that rows and their features are read from."""
    own = [site.product.table("validated", name) for name in label_statement(site, label).tables]
    return [*own, *(table_of(site, name, feature) for name, feature in stored(features).items())]


def _unscored(site: Site, requests: pa.Table, label: Label, days: Days) -> pa.Table:
    """Return the rows that have no score yet, in the order of time."""
    table = site.product.table("predictions", "batch")
    requests = requests.sort_by([(label.time, "ascending"), (label.entity, "ascending")]) if site.spark else requests
    if not site.tables.exists(table):
        return requests
    before = site.tables.read(table, days=days, columns=[label.entity])[label.entity]
    new = pc.invert(pc.is_in(requests[label.entity], before.combine_chunks()))
    starts = range(0, max(1, requests.num_rows), BATCH)
    return site.spill.concat(requests.slice(start, BATCH).filter(new.slice(start, BATCH)) for start in starts)


def _turns(site: Site, times: pa.ChunkedArray, now: datetime, decisions: Sequence[Release]) -> list[Turn]:
    """Return which release scores which rows, oldest first; the live one last, be it none. `times` are in order."""
    live = live_of(decisions)
    assert live
    moments = times.cast(pa.timestamp("us", "UTC")).to_numpy()
    due = _after(moments, now)
    own = min(_after(moments, _trained_to(site, live)), due)
    turns = []
    for number, release in enumerate(decisions):
        ended = next((later.at for later in decisions[number + 1 :] if later.outcome in ENDS_LIVE), None)
        if release.goes_live and ended and site.models.exists(release.model):
            first = max(_before(moments, release.at), _after(moments, _trained_to(site, release)))
            turns.append(Turn(release, first, min(_before(moments, ended), own)))
    return [*(turn for turn in turns if turn.start < turn.stop), Turn(live, own, due)]


def _after(moments: Array, moment: datetime) -> int:
    """Return how many of some moments, which are in order, come at or before another: where those after it begin."""
    return int(np.searchsorted(moments, _utc(moment), side="right"))


def _before(moments: Array, moment: datetime) -> int:
    return int(np.searchsorted(moments, _utc(moment), side="left"))


def _utc(moment: datetime) -> np.datetime64:
    return np.datetime64(pa.scalar(moment, pa.timestamp("us", "UTC")).value, "us")


def _trained_to(site: Site, release: Release) -> datetime:
    """Return the newest prediction time that a release's model was trained on: of those it knows the answers."""
    return load_meta(site.models, release.model).train_to


def _scored_by(read: Reading, requests: pa.Table, release: Release, bulk: Bulk) -> pa.Table:
    """Return rows with the scores of a release, beside what it saw of them."""
    kept = list(dict.fromkeys([read.label.entity, read.label.time, *(i.name for i in bulk.predictor.inputs)]))

    def scored(piece: pa.Table) -> pa.Table:
        scores = _scores(piece, bulk.predictor)
        return _with_scores(read, piece.select(kept), release, scores)

    return read.site.spill.concat(map(scored, feature_pieces(read.site, read.features, read.label, requests)))


def _scores(piece: pa.Table, predictor: Predictor) -> Array:
    """Return the score of each row; no more rows than a batch are encoded at once."""
    starts = range(0, max(1, piece.num_rows), BATCH)
    return np.concatenate([score_rows(piece.slice(start, BATCH), predictor) for start in starts])


def _with_scores(read: Reading, rows: pa.Table, release: Release, scores: Array) -> pa.Table:
    columns = {
        SCORE: pa.array(scores, pa.float64()),
        MODEL: pa.repeat(release.model, rows.num_rows),
        RELEASE: pa.repeat(pa.scalar(release.number, pa.int64()), rows.num_rows),
        VERSIONS: pa.repeat(json.dumps(dict(read.site.versions), sort_keys=True), rows.num_rows),
        DAY: local_days(rows[read.label.time], read.site.product.timezone),
    }
    for name, values in columns.items():
        rows = rows.append_column(name, values)
    return rows


def _with_those_before(site: Site, label: Label, days: Days, added: pa.Table) -> pa.Table:
    """Return new scores and those that were there, each with the columns of both, in the order of time and entity."""
    table = site.product.table("predictions", "batch")
    if not site.tables.exists(table):
        return added
    before = TableView(table, days)
    if not added.num_rows:
        return site.engine.query("from before", {"before": before}, origin=table)
    order = f"order by {quoted(label.time)}, {quoted(label.entity)}"
    both = f"select * from before union all by name select * from added {order}"
    return site.engine.query(both, {"before": before, "added": added}, origin=table)
