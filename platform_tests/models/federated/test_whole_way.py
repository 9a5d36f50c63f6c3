"""A model of sites goes the whole way as an asset: trained, told, judged, released, explained, and made again byte for byte."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from headrace.explain.card import told_of
from headrace.explain.declaration import Card
from headrace.explain.explanation import explain_candidate, rows_to_explain
from headrace.explain.page import card_markdown
from headrace.features.graph import Graph
from headrace.models.candidate import the_candidate
from headrace.models.meta import load_meta
from headrace.models.predict import load_predictor, score_rows
from headrace.models.recipe import candidate_parts
from headrace.models.trainers.federated import NOT_PROMISED
from headrace.sources.declaration import Source
from headrace.store.site import Site
from platform_tests.models.federated.flower import federated, site_with_flower
from platform_tests.models.shop import LABEL, orders, plain, trained
from platform_tests.models.test_assets import Way, failure, metadata, table

pytestmark = pytest.mark.slow
SITES = ["site DE alone", "site FR alone", "site PT alone"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, dg.ExecuteInProcessResult]]:
    site = site_with_flower(tmp_path_factory.mktemp("shop"))
    (site.folder / "label.sql").write_text("select order_id, at, returned, price from orders")
    with dg.DagsterInstance.ephemeral() as instance:
        result = Way(site, instance, federated()).run()
        assert result.success
        yield site, result


def test_the_candidate_tells_what_each_site_sent_and_what_nobody_promises(run: Any) -> None:
    _, result = run
    sites = table(result, "sites")
    assert [site["site"] for site in sites] == ["DE", "FR", "PT"]
    assert sum(site["rows"] for site in sites) == metadata(result, "candidate")["rows"]
    assert all(site["bytes sent"] > 1000 for site in sites)
    assert metadata(result, "candidate")["not promised"] == NOT_PROMISED


def test_it_stands_beside_one_place_and_each_site_alone_on_the_same_test_rows(run: Any) -> None:
    _, result = run
    auc = {row["model"]: row["auc"] for row in table(result, "baselines")}
    assert list(auc)[:5] == ["candidate", "all sites in one place", *SITES]
    assert auc["candidate"] > max(auc[name] for name in SITES) - 0.02
    assert auc["candidate"] > auc["all sites in one place"] - 0.05


def test_it_is_released_and_scores_as_any_model_of_xgboost_does(run: Any) -> None:
    site, _ = run
    live = site.releases.live("shop")
    assert live
    predictor = load_predictor(site.models, live.model)
    scores = score_rows(orders(200, seed=1), predictor)
    assert ((scores > 0) & (scores < 1)).all()
    assert [column.name for column in load_meta(site.models, live.model).inputs] == ["price", "gift", "noise"]


def test_its_card_tells_where_it_learned(run: Any) -> None:
    site, _ = run
    live = site.releases.live("shop")
    text = card_markdown(
        told_of(
            site, Card(), Graph({"orders": Source(files="orders/*.csv", time="at")}, {}, {}, LABEL), federated(), live
        )
    )
    assert "At 3 sites, one for each value of `country`. In 2 rounds each sent trees" in text
    assert "No secure aggregation and no differential privacy" in text
    assert "| PT | " in text
    assert "| all sites in one place | 0." in text


def test_it_is_explained(run: Any) -> None:
    site, _ = run
    digest = the_candidate(site).digest
    found, _ = explain_candidate(site, digest, rows_to_explain(site, LABEL, federated(), the_candidate(site)), [])
    assert found.inputs[0].name == "price"


def test_the_same_rows_give_the_same_bytes(run: Any) -> None:
    site, _ = run
    digest = the_candidate(site).digest
    assert trained(site, federated()) == digest


def test_a_failure_stores_nothing(tmp_path: Path) -> None:
    site = site_with_flower(tmp_path)
    with dg.DagsterInstance.ephemeral() as instance:
        result = Way(site, instance, federated(params={"max_depth": -3})).run("candidate")
    assert "XGBoost refuses to train" in failure(result)
    assert not site.tables.exists("shop/model/candidate")
    assert not site.place.models.exists() or not any(site.place.models.iterdir())


def test_each_option_makes_another_candidate(run: Any) -> None:
    site, _ = run
    parts = candidate_parts(site, LABEL, federated())
    assert "library flwr of the sites" in parts
    assert candidate_parts(site, LABEL, federated(3)) != parts
    assert candidate_parts(site, LABEL, federated(trees=30)) != parts
    assert not any("of the sites" in part for part in candidate_parts(site, LABEL, plain("xgboost")))
