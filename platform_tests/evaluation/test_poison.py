"""Poisoned labels: 5 % and more of the newest labels turned around are stopped by the check of labels or by the gates."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from headrace.features.labels import moved_labels
from headrace.releases.release import Request, release_model
from headrace.store.site import Site
from platform_tests.models.shop import DAYS, LABEL, gates, judged, model, orders, relabelled, shop, trained

GATES = ("labels == 0", "auc >= 0.7", "auc >= champion - 0.005")
ROWS = 60_000
DECLARED = model(split={"test": "5d"})
NOW = "2024-04-10T00:00:00+00:00"


def rare(seed: int = 0) -> pa.Table:
    """Return 1,500 orders a day of which about a quarter are returned."""
    rows, chance = orders(ROWS, seed=seed), np.random.default_rng(seed + 1)
    return relabelled(rows, rows["returned"].to_numpy() * (chance.random(ROWS) < 0.5).astype(np.int8))


def poisoned(rows: pa.Table, share: float, seed: int) -> pa.Table:
    """Return the rows with a share of the labels of the newest week turned around."""
    wrong = np.random.default_rng(seed).random(ROWS) < share
    labels = rows["returned"].to_numpy()
    return relabelled(rows, np.where(wrong & (np.arange(ROWS) >= ROWS * (DAYS - 7) // DAYS), 1 - labels, labels))


def outcome(site: Site, rows: pa.Table) -> tuple[str, str]:
    """Return what becomes of a candidate of the rows, and why: training set and check, training, evaluation, release."""
    site.tables.replace("shop/training/set", rows)
    version = site.tables.version("shop/training/set")
    site.findings.note("labels", int(moved_labels(rows, LABEL, "UTC").found), NOW, version)
    digest = trained(site, DECLARED)
    judged(site, digest, *GATES, declared=DECLARED)
    decision = release_model(site, Request(digest, "a test", "to see"), gates(*GATES))
    return decision.outcome, decision.why


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.05, 0.1, 0.3])
def test_a_candidate_of_poisoned_labels_is_never_released(tmp_path: Path, share: float) -> None:
    site = shop(tmp_path, rare())
    assert outcome(site, rare())[0] == "released"
    for seed in range(5):
        found, why = outcome(site, poisoned(rare(), share, seed))
        assert found == "refused", why
