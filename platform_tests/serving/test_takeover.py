"""A release that takes over in steps on a real server: who does harm goes back by itself, who does not takes over."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.core.ports import free_port
from headrace.rollout.state import rollouts_log
from headrace.store.log import Log
from headrace.store.releases import Release
from headrace.store.site import Site
from platform_tests.models.shop import model, relabelled, trained_on
from platform_tests.serving.bar import bar, released, running, training_rows, until
from platform_tests.serving.test_server import Load, loaded

pytestmark = pytest.mark.slow
DOUBTFUL = {"price": -1.5, "country": "DE"}
"""Who is asked about: hardly anybody like that returns anything."""
STEPS = ["shadow", "50%"]
QUICK = {"steps": STEPS, "bake": "1s", "at_least": 100}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = bar(tmp_path)
    released(site)
    return site


def taking_over(site: Site, *, harmful: bool) -> Release:
    """Release a model that takes over in steps; a harmful one believes that nearly everything is returned."""
    rows = training_rows(seed=0)
    likely = np.random.default_rng(0).random(rows.num_rows) < 0.97
    digest = trained_on(
        site,
        relabelled(rows, likely.astype(np.int8)) if harmful else rows,
        model(trees=25, ignore=["customer", "land"]),
    )
    decision = {
        "outcome": "released",
        "model": digest,
        "at": site.clock.now(),
        "who": "a test",
        "why": "to see",
        "evidence": {},
    }
    return site.releases.decide("shop", decision | {"stages": STEPS, "replaces": 1}, after=1)


def said(site: Site) -> list[str]:
    return [entry["what"] for entry in rollouts_log(site).entries()]


def test_a_harmful_release_goes_back_by_itself_and_an_incident_says_why(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_CANARY", json.dumps(QUICK))
    with running(site, port=free_port()) as server, loaded(server, **DOUBTFUL) as load:
        until(lambda: len(load.releases) > 50)
        taking_over(site, harmful=True)
        until(lambda: site.releases.all("shop")[-1].outcome == "rolled back")
        until(lambda: server.ask("/v1/model").told["release"] == 3)
    assert not load.failed
    assert load.cut == 0
    assert 2 not in load.releases, "in the shadow nobody gets its answers"
    assert said(site) == ["begun", "rolled back"]
    [incident] = Log(site.place.logs / "shop" / "incidents").entries()
    assert "Release 2 did harm in step 1" in incident["what"]
    evidence: Any = rollouts_log(site).entries()[-1]["evidence"]
    assert evidence
    roles = {row["role"] for row in site.tables.read("shop/predictions/online", columns=["role"]).to_pylist()}
    assert roles == {"live", "shadow"}


def test_a_release_that_does_no_harm_takes_over_step_by_step(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    tolerant = {"errors": "20%", "latency": None, "shift": 1.0, "quality": None}
    monkeypatch.setenv("SHOP_CANARY", json.dumps(QUICK | {"tolerance": tolerant}))
    load: Load
    with running(site, port=free_port()) as server, loaded(server, **DOUBTFUL) as load:
        until(lambda: len(load.releases) > 50)
        taking_over(site, harmful=False)
        until(lambda: said(site)[-1:] == ["promoted"])
        until(lambda: set(load.releases[-100:]) == {2})
    assert not load.failed
    assert load.cut == 0
    assert said(site) == ["begun", "step", "promoted"]
    rows = site.tables.read("shop/predictions/online", columns=["role", "release", "request"]).to_pylist()
    assert {(row["role"], row["release"]) for row in rows} == {("live", 1), ("shadow", 2), ("canary", 2), ("live", 2)}


def test_a_candidate_that_cannot_see_what_is_served_costs_nobody_an_answer(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_CANARY", json.dumps(QUICK | {"steps": ["50%"]}))
    with running(site, port=free_port()) as server, loaded(server, **DOUBTFUL) as load:
        until(lambda: len(load.releases) > 50)
        digest = trained_on(site, training_rows(computed=True), model(ignore=["customer", "land"]))
        decision = {
            "outcome": "released",
            "model": digest,
            "at": site.clock.now(),
            "who": "a test",
            "why": "",
            "evidence": {},
        }
        site.releases.decide("shop", decision | {"stages": ["50%"], "replaces": 1}, after=1)
        until(lambda: site.releases.all("shop")[-1].outcome == "rolled back")
    assert not load.failed
    assert load.cut == 0
    assert set(load.releases) <= {1, 3}
