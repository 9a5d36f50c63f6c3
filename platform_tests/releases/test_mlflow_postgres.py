"""MLflow on a real server over a real PostgreSQL: the same story as in SQLite."""

from pathlib import Path

import dagster as dg
import mlflow
import pytest

from headrace.core.ports import free_port
from headrace.releases.assets import MIRRORED
from headrace.releases.guard import guard
from platform_tests.models.shop import model
from platform_tests.models.test_assets import Way, check, failure, instance
from platform_tests.releases.test_mlflow_away import alias, is_told_once, mlflow_server, patient, site_with
from platform_tests.sources.postgres import running_postgres

__all__ = ["instance", "patient"]  # fixtures
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("patient")]


def test_trainings_evaluations_releases_and_the_alias_stand_on_a_server_over_postgresql(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    port = free_port()
    site = site_with(tmp_path / "project", f"http://127.0.0.1:{port}")
    way = Way(site, instance)
    with running_postgres() as address:
        store = address.replace("postgresql://", "postgresql+psycopg://")
        with mlflow_server(tmp_path, port, store):
            first = way.run()
            live = site.releases.live("shop")
            assert first.success, failure(first)
            assert live
            assert check(first, MIRRORED).passed
            is_told_once(site, live.model, [first.run_id])
        way.gates, way.model = way.gates[:1], model(trees=30)
        away = way.run()
        assert away.success
        assert not check(away, MIRRORED).passed
        assert len(site.spool.waiting()) == 2
        with mlflow_server(tmp_path, port, store):
            assert alias(site) == [live.model]
            assert guard(site) == []
            newest = site.releases.live("shop")
            assert newest
            assert alias(site) == [newest.model] != [live.model]
            version = mlflow.MlflowClient(site.place.mlflow_uri).get_model_version_by_alias("shop", "champion")
    assert version.tags["headrace.gates"] == "all 1 passed"
    assert version.tags["headrace.release"] == "2"
