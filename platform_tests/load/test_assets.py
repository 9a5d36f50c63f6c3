"""model/loadtest: there where a gate asks for it, between the evaluation and the release, and made once for each candidate."""

from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import pytest

from benchmarks.project import copy_flights
from headrace.core.errors import DeclarationError
from headrace.evaluation.underload import recorded_load
from headrace.load.assets import BORNE, loadtest_assets, plan_of
from headrace.load.recipe import loadtest_recipe
from headrace.load.verify import verify_load
from headrace.models.candidate import the_candidate
from headrace.models.resources import mlflow_resources
from headrace.product import build, loop_of
from headrace.recipes import recipes_of
from headrace.releases.assets import RELEASED, model_assets
from headrace.serving.declaration import Serve
from headrace.store.site import Site
from platform_tests.models.shop import LABEL, gates, model
from platform_tests.serving.bar import bar, graph

SERVE = Serve.model_validate({"online": {}, "sla": {"p99": "9s", "rate": "20/s", "errors": "5%"}})
PASSES, FAILS = ["auc >= 0.6", "latency.p99 <= 9s"], ["auc >= 0.6", "latency.p50 <= 0.001ms"]


def run(site: Site, instance: dg.DagsterInstance, texts: Sequence[str], *names: str) -> dg.ExecuteInProcessResult:
    declared = model(ignore=["customer", "land"])
    assets = [
        *model_assets(site, LABEL, declared, gates(*texts), None),
        *loadtest_assets(site, graph(), declared, SERVE, gates(*texts)),
    ]
    return dg.materialize(
        assets,
        selection=[dg.AssetKey(["shop", "model", name]) for name in names],
        resources=mlflow_resources(site),
        instance=instance,
        raise_on_error=False,
    )


def said(result: dg.ExecuteInProcessResult, check: str) -> dg.AssetCheckEvaluation:
    return next(one for one in result.get_asset_check_evaluations() if one.check_name == check)


@pytest.mark.slow
def test_a_candidate_is_tested_before_its_release_which_its_evidence_decides(tmp_path: Path) -> None:
    site = bar(tmp_path)
    with dg.DagsterInstance.ephemeral() as instance:
        refused = run(site, instance, FAILS, "candidate", "evaluation", "loadtest", "champion")
        assert not refused.success
        assert said(refused, "gates").passed
        assert "latency.p50 <= 0.001ms" in str(said(refused, BORNE).description)
        assert "latency.p50 <= 0.001ms" in site.releases.all("shop")[-1].why
        released = run(site, instance, PASSES, "evaluation", "loadtest", "champion")
        assert released.success
        assert said(released, BORNE).passed
        assert said(released, RELEASED).passed
        told = released.asset_materializations_for_node("shop__model__loadtest")[0].metadata
        assert str(told["curve"].value).startswith("![plot](data:image/png")
        found = recorded_load(site, the_candidate(site).digest)
        assert found
        assert found.rate == 20
        evidence = site.releases.all("shop")[-1].evidence["gates"]
        assert [(gate["gate"], gate["value"]) for gate in evidence][1] == ("latency.p99 <= 9s", found.p99_ms)
        again = run(site, instance, PASSES, "loadtest")
        assert not again.asset_materializations_for_node("shop__model__loadtest")
        assert said(again, BORNE).passed


@pytest.mark.slow
def test_a_load_test_whose_record_is_gone_is_made_again(tmp_path: Path) -> None:
    site = bar(tmp_path)
    assert not loadtest_recipe(site, SERVE, gates(*PASSES)).lost
    with dg.DagsterInstance.ephemeral() as instance:
        run(site, instance, PASSES, "candidate")
    recipe = loadtest_recipe(site, SERVE, gates(*PASSES))
    assert recipe.lost
    assert recipe.facts == {"candidate": the_candidate(site).digest}


def test_another_promise_or_gate_is_another_load_test(tmp_path: Path) -> None:
    site = bar(tmp_path)
    codes = {
        loadtest_recipe(site, serve, gates(*texts)).code
        for serve in (SERVE, Serve.model_validate({"online": {}}))
        for texts in (PASSES, FAILS)
    }
    assert len(codes) == 4


def test_a_product_with_such_a_gate_has_the_asset_before_its_champion_and_others_have_not(tmp_path: Path) -> None:
    project = copy_flights(tmp_path)
    keys = {name: dg.AssetKey(["flight_delays", "model", name]) for name in ("loadtest", "champion", "evaluation")}
    plain, plain_site = project.load("flight_delays")
    assert keys["loadtest"] not in build(plain, plain_site).resolve_asset_graph().get_all_asset_keys()
    defs = tmp_path / "platform" / "products" / "flight_delays" / "defs.yaml"
    defs.write_text(defs.read_text().replace("auc >= 0.70", "latency.p99 <= 20ms, auc >= 0.70", 1))
    declared, site = project.load("flight_delays")
    found = build(declared, site).resolve_asset_graph()
    assert keys["loadtest"] in found.get(keys["champion"]).parent_keys
    assert {keys["evaluation"], dg.AssetKey(["flight_delays", "online", "features"])} <= set(
        found.get(keys["loadtest"]).parent_keys
    )
    site.place.replay_clock.parent.mkdir(exist_ok=True)
    site.place.replay_clock.write_text("2013-07-01T00:00:00+00:00")
    order = [key[-1] for key in loop_of(declared, site).model_keys]
    assert order.index("evaluation") < order.index("loadtest") < order.index("champion")
    assert "flight_delays/model/loadtest" in {recipe.table for recipe in recipes_of(declared, site)}


def test_a_promise_or_a_gate_about_a_server_that_nobody_declares_is_refused() -> None:
    with pytest.raises(DeclarationError, match=r"'latency.p99 <= 9s' is held against a load test") as gate:
        verify_load(Serve(), gates(*PASSES), has_model=True)
    assert gate.value.path == ("gates",)
    with pytest.raises(DeclarationError, match="`sla` is promised of the server") as promise:
        verify_load(SERVE.model_copy(update={"online": None}), [], has_model=True)
    assert promise.value.path == ("serve", "sla")
    with pytest.raises(DeclarationError, match="there is no model to serve"):
        verify_load(SERVE, [], has_model=False)
    verify_load(SERVE, gates(*PASSES), has_model=True)


def test_a_candidate_is_asked_about_the_promised_rate_and_beyond_it() -> None:
    assert plan_of(SERVE).rates == [10, 20, 40, 80]
    assert plan_of(Serve.model_validate({"online": {}})).rates == []
