"""A process that Dagster begins for a run loads what the run is about; any other process loads all that is declared."""

import multiprocessing
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._grpc.types import ExecuteExternalJobArgs
from dagster._serdes import serialize_value

from headrace.definitions import load_platform
from headrace.incidents.resources import PRODUCT
from headrace.starter.start import start_project
from platform_tests.features.neighbours import neighbours

OTHER, ORDERS = "returns_elsewhere", ["returns", "raw", "orders"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project of two products and a plain asset."""
    start_project(tmp_path)
    products = tmp_path / "platform" / "products"
    shutil.copytree(products / "returns", products / OTHER)
    declared = products / OTHER / "defs.yaml"
    declared.write_text(declared.read_text().replace("product: returns\n", f"product: {OTHER}\n"))
    (products / "plain.py").write_text("import dagster as dg\n\n@dg.asset\ndef plain() -> None: ...\n")
    return tmp_path


def begun_for(root: Path, key: Sequence[str], tags: dict[str, str]) -> str:
    """Return what Dagster tells a process that it begins for a run of an asset."""

    @dg.asset(key=key)
    def asset() -> None: ...

    (root / "instance").mkdir()
    with dg.DagsterInstance.local_temp(str(root / "instance")) as instance:
        job = dg.Definitions(assets=[asset]).resolve_implicit_global_asset_job_def()
        made = job.execute_in_process(instance=instance, asset_selection=[dg.AssetKey(key)], tags=tags)
        origin = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("platform"), "__repository__")
        return serialize_value(
            ExecuteExternalJobArgs(
                job_origin=RemoteJobOrigin(origin, "returns"), run_id=made.run_id, instance_ref=instance.get_ref()
            )
        )


def load(_told: str, root: Path, found: Any) -> None:
    graph = load_platform(root / "platform" / "products").resolve_asset_graph()
    found.put({key.path[0] for key in graph.executable_asset_keys})


def loaded(root: Path, told: str) -> set[str]:
    """Return what the assets begin with that a process loads, with what Dagster told it."""
    spawn = multiprocessing.get_context("spawn")
    found = spawn.Queue()
    process = spawn.Process(target=load, args=(told, root, found))
    process.start()
    names: set[str] = found.get(timeout=120)
    process.join()
    return names


@pytest.mark.parametrize(
    ("key", "tags", "names"),
    [
        (ORDERS, {}, {"returns"}),
        (ORDERS, {PRODUCT: OTHER}, {"returns", OTHER}),
        (["plain"], {}, {"returns", OTHER, "plain"}),
        (None, {}, {"returns", OTHER, "plain"}),
    ],
)
def test_a_process_of_a_run_loads_what_the_run_is_about(
    root: Path, key: Sequence[str] | None, tags: dict[str, str], names: set[str]
) -> None:
    assert loaded(root, begun_for(root, key, tags) if key else "nothing") == names
    assert "HEADRACE_RUN_PRODUCTS" not in os.environ


def test_whoever_uses_the_features_of_another_product_is_loaded_with_it(tmp_path: Path) -> None:
    project = neighbours(tmp_path / "project")
    assert loaded(project.root, begun_for(project.root, ["care", "raw", "calls"], {})) == {"care", "shop"}
