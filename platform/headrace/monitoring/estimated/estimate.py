"""Estimated quality of each scored day of the live model, beside what came true of it once labels are known."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from hashlib import sha256
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError
from scipy.special import stdtrit

from headrace.core.days import Days
from headrace.core.errors import StoreError
from headrace.core.names import duration_text
from headrace.evaluation.evaluate import LEAST_ROWS
from headrace.evaluation.judgement import recorded_judgement
from headrace.evaluation.metrics import HALF
from headrace.features.declaration import Label
from headrace.features.training import known_by, label_rows
from headrace.models.blocks import blocks_of
from headrace.models.candidate import split_version
from headrace.models.declaration import Model
from headrace.models.predict import MODEL, SCORE, load_predictor, score_rows
from headrace.models.split import unseen_by
from headrace.monitoring.declaration import BETTER_LOW, Quality
from headrace.monitoring.drift import window_start
from headrace.monitoring.estimated import chances, losses
from headrace.monitoring.estimated.chances import Calibrated, Estimate, calibrated
from headrace.monitoring.estimated.losses import Losses, learned_losses
from headrace.store.digest import rows_digest
from headrace.store.releases import Release
from headrace.store.site import Site
from headrace.store.tables import DAY

RECORD = "estimator"
KNOWN = 0.9
"""From which share of labels on a window counts as known: some labels never come."""
SURE = 3.0
"""How many standard deviations below its test a model is estimated before that alarms, where no limit is declared."""
ESTIMATED = pa.schema(
    {
        "day": pa.date32(),
        "metric": pa.string(),
        "value": pa.float64(),
        "low": pa.float64(),
        "high": pa.float64(),
        "deviation": pa.float64(),
        "tested": pa.float64(),
        "realized": pa.float64(),
        "difference": pa.float64(),
        "rows": pa.int64(),
        "labels": pa.int64(),
        "model": pa.string(),
        "note": pa.string(),
        "state": pa.string(),
    }
)


@dataclass(frozen=True)
class Estimated:
    """What is expected of the live model on the window that ends on a day, by one metric; no value where `note` says why."""

    day: date
    model: str
    metric: str
    rows: int
    value: float | None = None
    low: float | None = None
    high: float | None = None
    """Where what comes true lies, with the declared confidence, as long as the world is that of the test set."""
    deviation: float | None = None
    """The standard deviation of what comes true about the estimate."""
    tested: float | None = None
    """What the metric was on the model's own test set."""
    realized: float | None = None
    """What came true, once nine of ten labels of the window are known."""
    difference: float | None = None
    """The estimate less what came true."""
    labels: int = 0
    note: str = ""
    state: str = ""
    """A digest of the scores and labels behind it, and of how it was made."""

    def is_good_enough(self, policy: Quality) -> bool:
        """Return whether it keeps to the declared limits; where there are none, whether it is within chance of its test."""
        if self.value is None:
            return True
        if policy.estimated.has_limit:
            return policy.estimated.allows(self.value)
        if self.tested is None or self.deviation is None:
            return True
        worse = self.value - self.tested if self.metric in BETTER_LOW else self.tested - self.value
        return worse <= SURE * self.deviation


@dataclass(frozen=True)
class Estimating:
    """How a product's quality is estimated."""

    label: Label
    model: Model
    policy: Quality
    version: str = ""
    """The version of the code that estimates."""


def live_estimates(site: Site, live: Release, how: Estimating) -> list[Estimated]:
    """Return what is expected of each day that the live model has scored, oldest first; what is known already stays.

    Raises Refused where the model was never evaluated, StoreError where its test rows are gone.
    """
    label, policy = how.label, how.policy
    rows = scored_rows(site, label, live)
    if not rows.num_rows:
        return []
    expecting = expecting_of(site, live.model, how)
    known = _known(site)
    found: list[Estimated] = []
    for day in sorted(set(rows[DAY].to_pylist())):
        first = pa.scalar(window_start(day, policy.window))
        own = rows.filter(pc.and_(pc.greater_equal(rows[DAY], first), pc.less_equal(rows[DAY], pa.scalar(day))))
        seen = rows_digest(own.select([label.entity, SCORE, label.column]))
        said = [seen, day, live.model, policy.window, policy.confidence, policy.estimated_metric, how.version]
        state = sha256("|".join(map(str, said)).encode()).hexdigest()[:16]
        empty = Estimated(day, live.model, policy.estimated_metric, own.num_rows, state=state)
        found += known[state] if state in known else _estimated(own, label, policy, expecting, empty)
    return found


def estimated_table(site: Site, found: Sequence[Estimated], model: str) -> pa.Table:
    """Return the rows of monitoring/estimated: those of the live model, behind those of models before it."""
    before = _before(site)
    kept = [row for row in before if row["model"] != model or not found]
    return pa.Table.from_pylist([*kept, *map(asdict, found)], schema=ESTIMATED)


def newest_estimate(found: Sequence[Estimated], policy: Quality) -> Estimated | None:
    """Return the newest estimate of the metric that alarms."""
    return next((one for one in reversed(found) if one.metric == policy.estimated_metric), None)


def estimate_words(found: Estimated | None, policy: Quality) -> str:
    """Return the estimate as a sentence."""
    if found is None:
        return "the live model has scored nothing yet"
    if found.value is None:
        return found.note
    limit = policy.estimated.limits_said if policy.estimated.has_limit else "limit: three deviations from its test"
    came = "" if found.realized is None else f"; {found.realized:.3f} came true, {found.difference:+.3f} off"
    return (
        f"estimated {found.metric} is {found.value:.3f} ({found.low:.3f} to {found.high:.3f}), {limit}, "
        f"{found.tested:.3f} on its test set, on {found.rows:,} scores of {duration_text(policy.window)} to {found.day} "
        f"without their labels{came}"
    )


def scored_rows(site: Site, label: Label, live: Release) -> pa.Table:
    """Return all rows that the live model has scored, with the label where it is known, else null."""
    table = site.product.table("predictions", "batch")
    if not site.tables.exists(table):
        return pa.table({})
    scored = site.tables.read(table)
    own = scored.filter(pc.equal(scored[MODEL], live.model))
    if not own.num_rows:
        return own
    span = pc.min_max(own[DAY]).as_py()
    labels = known_by(label_rows(site, label, Days(span["min"], span["max"])), label, site.clock.now())
    labels = labels.select([label.entity, label.column])
    return own.join(labels, label.entity, join_type="left outer").sort_by(
        [(label.time, "ascending"), (label.entity, "ascending")]
    )


@dataclass(frozen=True)
class Expecting:
    """What a model's test set says of it; nothing where `note` says why."""

    of: Calibrated | Losses | None
    note: str = ""


def expecting_of(site: Site, digest: str, how: Estimating) -> Expecting:
    """Return what the model's own test set says of it: kept with the model, made where it is not there yet.

    Raises Refused where the model was never evaluated, StoreError where its test rows are gone.
    """
    kind, version = f"{RECORD}.{site.product.product}", how.version
    kept = site.models.recorded(digest, kind)
    form = Calibrated if how.model.task == "classification" else Losses
    if kept and kept["version"] == version and kept["note"]:
        return Expecting(None, kept["note"])
    if kept and kept["version"] == version:
        try:
            return Expecting(form.model_validate(kept["of"]))
        except ValidationError as error:
            raise StoreError(
                f"What the test set says of model {digest[:12]} cannot be read: remove "
                f"{site.place.models}/records/{digest}/{kind}.json, and it is made again."
            ) from error
    made = _expecting(site, how.label, how.model, digest)
    facts = {"version": version, "note": made.note, "of": made.of.model_dump(mode="json") if made.of else None}
    site.models.record(digest, kind, facts)
    return made


def _expecting(site: Site, label: Label, model: Model, digest: str) -> Expecting:
    predictor = load_predictor(site.models, digest)
    test = split_version(site, label, model, recorded_judgement(site, digest).version).test
    rows = unseen_by([predictor.meta], test, label)
    if rows.num_rows < LEAST_ROWS:
        return Expecting(
            None, f"its test set has {rows.num_rows} rows, too few to estimate by, fewer than {LEAST_ROWS}"
        )
    scores, answers = score_rows(rows, predictor), rows[label.column].cast(pa.float64()).to_numpy()
    blocks = blocks_of(rows[label.time], site.product.timezone)
    if not np.isfinite(scores).all():
        return Expecting(None, "some scores of its test set are not numbers")
    if model.task == "regression":
        scored = rows.append_column(SCORE, pa.array(scores, pa.float64()))
        return Expecting(learned_losses(scored, predictor.inputs, answers, blocks))
    if answers.min() == answers.max():
        return Expecting(None, "its test set has one class only: no chance can be learned from it")
    threshold = predictor.tuned.threshold
    return Expecting(calibrated(scores, answers, blocks, HALF if threshold is None else threshold))


def _estimated(
    own: pa.Table, label: Label, policy: Quality, expecting: Expecting, empty: Estimated
) -> Iterator[Estimated]:
    scores = own[SCORE].to_numpy()
    few = f"{own.num_rows} scores are too few, fewer than {LEAST_ROWS}" if own.num_rows < LEAST_ROWS else ""
    strange = "" if np.isfinite(scores).all() else "some scores are not numbers"
    of, note = expecting.of, expecting.note or few or strange
    if of is None or note:
        yield replace(empty, note=note)
        return
    found = of.estimates(scores) if isinstance(of, Calibrated) else of.estimates(own)
    came_true, labels = _realized(own, label, of)
    for metric, estimate in found.items():
        yield replace(empty, metric=metric, labels=labels, **_facts(metric, estimate, of, came_true, policy))


def _facts(
    metric: str, estimate: Estimate, of: Calibrated | Losses, came_true: Mapping[str, float], policy: Quality
) -> dict[str, Any]:
    reach = _student(policy.confidence, of.blocks) * estimate.deviation
    real = came_true.get(metric)
    tested = None if metric in COUNTS else of.tested.get(metric)
    return {
        "value": estimate.value,
        "low": estimate.value - reach,
        "high": estimate.value + reach,
        "deviation": estimate.deviation,
        "tested": tested,
        "realized": real,
        "difference": None if real is None else estimate.value - real,
    }


COUNTS = ("true_positives", "false_positives", "false_negatives", "true_negatives")
"""Counts of the window: those of a test set of another size say nothing about them."""


def _realized(own: pa.Table, label: Label, of: Calibrated | Losses) -> tuple[dict[str, float], int]:
    """Return what came true, and of how many rows that is known; nothing before nine of ten labels are known."""
    known = own.filter(pc.is_valid(own[label.column]))
    if known.num_rows < KNOWN * own.num_rows:
        return {}, known.num_rows
    scores, answers = known[SCORE].to_numpy(), known[label.column].cast(pa.float64()).to_numpy()
    if isinstance(of, Losses):
        return losses.realized(scores, answers), known.num_rows
    found = chances.realized(scores, answers, of.threshold)
    whole = known.num_rows == own.num_rows
    return {name: value for name, value in found.items() if whole or name not in COUNTS}, known.num_rows


def _student(confidence: float, blocks: int) -> float:
    """Return how many deviations a band of that confidence reaches, where the deviation is known from some days."""
    return float(stdtrit(max(blocks - 1, 1), (1 + confidence) / 2))


def _known(site: Site) -> dict[str, list[Estimated]]:
    found: dict[str, list[Estimated]] = {}
    for row in _before(site):
        found.setdefault(row["state"], []).append(Estimated(**row))
    return found


def _before(site: Site) -> list[dict[str, Any]]:
    table = site.product.table("monitoring", "estimated")
    rows: list[dict[str, Any]] = site.tables.read(table).to_pylist() if site.tables.exists(table) else []
    return rows
