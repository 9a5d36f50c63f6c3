"""A platform of many products: a code server that stays, as the docs set it up, and runs that load their own product alone."""

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterRunStatus

from headrace.project import Project
from headrace.starter.start import start_project
from platform_tests.waiting import eventually

ROOT = Path(__file__).parents[2]
OTHER = "returns_elsewhere"
BLOCK = re.compile(r"## Run many products.*?```bash\n(.*?)```", re.DOTALL)
LOADED = "(Path(__file__).parent / f'loaded-{os.getpid()}').write_text(' '.join(sorted({k.path[0] for k in made.resolve_asset_graph().executable_asset_keys})))"


@pytest.mark.slow
def test_the_daemon_of_the_docs_works_on_a_code_server_that_stays_and_runs_load_their_own_product(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_project(tmp_path)
    products = tmp_path / "platform" / "products"
    shutil.copytree(products / "returns", products / OTHER)
    declared = products / OTHER / "defs.yaml"
    declared.write_text(declared.read_text().replace("product: returns\n", f"product: {OTHER}\n"))
    front = tmp_path / "platform" / "definitions.py"
    told = front.read_text().replace("    return load_platform(", "    made = load_platform(")
    front.write_text(f"import os\n{told.rstrip()}\n    {LOADED}\n    return made\n")
    Project(tmp_path).instance_home()
    home = tmp_path / ".headrace" / "dagster"
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    # Whoever types these lines has activated the environment.
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    found = BLOCK.search((ROOT / "docs" / "how-to.md").read_text())
    assert found
    # Whoever opens an instance first makes its databases; Dagster lets nobody else do so at the same time.
    with dg.DagsterInstance.get() as instance, (tmp_path / "words").open("w") as words:
        command = ["bash", "-ec", found[1]]
        daemon = subprocess.Popen(command, cwd=tmp_path, stdout=words, stderr=words, start_new_session=True)

        def both_have_run() -> bool:
            assert daemon.poll() is None, (tmp_path / "words").read_text()
            runs = instance.get_runs()
            assert not [run for run in runs if run.status == DagsterRunStatus.FAILURE]
            ended = [run for run in runs if run.status == DagsterRunStatus.SUCCESS]
            return {run.tags["headrace/product"] for run in ended} == {"returns", OTHER}

        try:
            assert eventually(both_have_run, 240), "both products are ingested"
        finally:
            os.killpg(daemon.pid, signal.SIGTERM)
            daemon.wait(60)
            # A code server waits for who asked it to come back.
            with suppress(ProcessLookupError):
                os.killpg(daemon.pid, signal.SIGKILL)
        jobs = {run.job_name for run in instance.get_runs()}
    loaded = [path.read_text() for path in (tmp_path / "platform").glob("loaded-*")]
    assert set(loaded) == {f"returns {OTHER}", "returns", OTHER}
    assert loaded.count(f"returns {OTHER}") == 1, "the code server alone loads all"
    assert jobs == {"returns", OTHER}
