"""Batch scores as an asset: one run for many days, and nothing that unpickles or asks MLflow."""

import subprocess
import sys
from pathlib import Path

import dagster as dg

from headrace.serving.assets import serving_assets
from platform_tests.models.shop import LABEL
from platform_tests.serving.test_score import Site, release, site

__all__ = ["site"]
LOADED = """
import sys
import headrace.serving.score
print(sorted(name for name in ("mlflow", "dagster", "lightgbm", "pandas") if name in sys.modules))
"""


def materialize(site: Site, first: str, last: str) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(
            serving_assets(site, {}, LABEL),
            instance=instance,
            tags={"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last},
            raise_on_error=False,
        )


def test_many_days_are_scored_in_one_run(site: Site) -> None:
    digest = release(site)
    result = materialize(site, "2024-04-01", "2024-04-05")
    assert result.success
    made = result.asset_materializations_for_node("shop__predictions__batch")[0].metadata
    assert made["dagster/row_count"].value == made["new rows"].value == 250
    assert (made["model"].value, made["release"].value) == (digest, 1)
    assert [r.data["new rows"] for r in made["by release"].value.records] == [250]
    assert [r.data["table"] for r in made["read"].value.records] == ["shop/validated/orders"]
    assert str(made["scored by"].value) == "LightGBM: 250 rows are too few for compiled trees to pay"
    assert str(made["scores"].value).startswith("![plot](data:image/png;base64,")
    assert site.tables.read("shop/predictions/batch").num_rows == 250


def test_scores_come_after_the_rows_that_they_are_for(site: Site) -> None:
    [batch] = serving_assets(site, {}, LABEL)
    assert dg.AssetKey(["shop", "validated", "orders"]) in batch.asset_deps[batch.key]


def test_a_run_without_a_live_model_fails_in_words(site: Site) -> None:
    result = materialize(site, "2024-04-01", "2024-04-01")
    data = result.failure_data_for_node("shop__predictions__batch")
    assert data is not None
    assert data.user_failure_data is not None
    assert "No model is live yet" in str(data.user_failure_data.description)
    assert not site.tables.exists("shop/predictions/batch")


def test_scoring_again_changes_nothing(site: Site) -> None:
    release(site)
    materialize(site, "2024-04-01", "2024-04-02")
    version = site.tables.version("shop/predictions/batch")
    result = materialize(site, "2024-04-01", "2024-04-02")
    assert result.asset_materializations_for_node("shop__predictions__batch")[0].metadata["new rows"].value == 0
    assert site.tables.version("shop/predictions/batch") == version


def test_scoring_needs_neither_dagster_nor_mlflow(tmp_path: Path) -> None:
    loaded = subprocess.run([sys.executable, "-c", LOADED], check=True, capture_output=True, text=True).stdout
    assert loaded.strip() == "[]"
