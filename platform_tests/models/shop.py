"""A small shop whose customers may return what they bought: a training set with a known truth, real stores, no Dagster."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.core.declaration import Identity
from headrace.core.place import Place
from headrace.evaluation.declaration import Gate, parse_gate
from headrace.evaluation.judgement import Judgement, judge_candidate
from headrace.features.declaration import Label
from headrace.models.candidate import Candidate, remember, train_candidate
from headrace.models.declaration import BOOSTING, Model
from headrace.store.site import Site

SPRING = datetime(2024, 3, 1, tzinfo=UTC)
DAYS = 40
LABEL = Label(sql="label.sql", entity="order_id", time="at", column="returned", known_after=timedelta(days=1))
SAMPLED = {"bagging_fraction": 0.5, "bagging_freq": 1}
"""Parameters under which the order of rows changes the model: rows are drawn by their number."""
GATES = ["auc >= 0.6", "auc >= champion - 0.005"]


def orders(rows: int = 2000, *, seed: int = 0) -> pa.Table:
    """Return orders over 40 days in canonical order: returns follow price and country."""
    chance = np.random.default_rng(seed)
    price = chance.normal(size=rows)
    country = chance.choice(["DE", "FR", "PT"], size=rows)
    odds = 1.5 * price + np.where(country == "PT", 1.5, -0.5)
    returned = (chance.random(rows) < 1 / (1 + np.exp(-odds))).astype(np.int8)
    return pa.table(
        {
            "order_id": [f"o{i:05d}" for i in range(rows)],
            "at": pa.array([SPRING + timedelta(days=DAYS) * i / rows for i in range(rows)], pa.timestamp("us", "UTC")),
            "returned": returned,
            "price": pa.array(np.where(chance.random(rows) < 0.05, None, price), pa.float64()),
            "country": country,
            "gift": chance.random(rows) < 0.2,
            "noise": chance.normal(size=rows),
        }
    )


def mislabelled(rows: pa.Table, share: float, seed: int) -> pa.Table:
    """Return the rows with a share of the labels of the first 30 days turned around; the last ten stay true."""
    count = rows.num_rows
    wrong = (np.random.default_rng(seed).random(count) < share) & (np.arange(count) < count * 30 // DAYS)
    return relabelled(rows, np.where(wrong, 1 - rows["returned"].to_numpy(), rows["returned"].to_numpy()))


def relabelled(rows: pa.Table, labels: Any) -> pa.Table:
    """Return the rows with other labels."""
    return rows.set_column(rows.column_names.index("returned"), "returned", pa.array(labels))


def priced(rows: pa.Table | None = None, *, seed: int = 0) -> pa.Table:
    """Return orders whose label is a number: 100 and ten times the price, more in Portugal, with noise of deviation 2."""
    rows = orders(seed=seed) if rows is None else rows
    price = rows["price"].fill_null(0.0).to_numpy()
    country = np.where(rows["country"].to_numpy(zero_copy_only=False) == "PT", 8.0, 0.0)
    return relabelled(rows, 100 + 10 * price + country + np.random.default_rng(seed).normal(size=rows.num_rows) * 2)


def graded(rows: pa.Table | None = None, *, groups: int = 100) -> pa.Table:
    """Return orders in groups of a few (`basket`), graded from 0 to 3 by price."""
    rows = orders() if rows is None else rows
    grades = np.digitize(rows["price"].fill_null(0.0).to_numpy(), [-1.0, 0.0, 1.0])
    baskets = pa.array([f"b{i % groups:03d}" for i in range(rows.num_rows)])
    return relabelled(rows, grades).append_column("basket", baskets)


def model(**changes: Any) -> Model:
    """Return a small, fast model judged on the last ten days, but for the changes."""
    declared = {"split": {"test": "10d"}, "trees": 20, "params": {"num_leaves": 7, "learning_rate": 0.2}}
    return Model.model_validate(declared | changes)


def plain(trainer: str, **changes: Any) -> Model:
    """Return a model by another trainer than LightGBM, judged on the last ten days."""
    trees = {"trees": 20} if trainer in BOOSTING else {}
    return Model.model_validate({"trainer": trainer, "split": {"test": "10d"}, **trees, **changes})


def gates(*texts: str) -> list[Gate]:
    """Return the gates that the texts say, the shop's own by default."""
    return [Gate.model_validate(parse_gate(text)) for text in texts or GATES]


def shop(folder: Path, rows: pa.Table | None = None, **identity: Any) -> Site:
    """Return a site with a training set."""
    folder.mkdir(parents=True, exist_ok=True)
    site = Site(Identity(product="shop", **identity), folder, Place.at(folder))
    site.tables.replace("shop/training/set", orders() if rows is None else rows)
    return site


def silent(_: str) -> None:
    """Take progress without a word."""


def trained(site: Site, declared: Model | None = None) -> str:
    """Train on the newest training set, make the model the candidate, and return its digest."""
    version = site.tables.version("shop/training/set") or 0
    digest = train_candidate(site, LABEL, declared or model(), version, silent).digest
    remember(site, Candidate(digest, version, site.clock.now(), "a test"))
    return digest


def trained_on(site: Site, rows: pa.Table, declared: Model | None = None) -> str:
    """Train on other rows than those that are there, and return the model's digest."""
    site.tables.replace("shop/training/set", rows)
    return trained(site, declared)


def judged(site: Site, digest: str, *texts: str, declared: Model | None = None) -> Judgement:
    """Judge a model on the newest training set and record it."""
    version = site.tables.version("shop/training/set") or 0
    candidate = Candidate(digest, version, site.clock.now(), "a test")
    return judge_candidate(site, LABEL, declared or model(), candidate, gates(*texts))
