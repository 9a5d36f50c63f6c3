"""Schemathesis holds a real server against its own document: no error of the server's, no answer that the document does not say."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from platform_tests.serving.bar import Running
from platform_tests.serving.shopfront import open_shop

INFER = "infer$"
# Schemathesis knows no 413 for a list of more rows than `maxItems`.
SETTINGS = """
[checks.negative_data_rejection]
expected-statuses = [400, 404, 405, 413, 415, 422]
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with open_shop(tmp_path_factory.mktemp("shop")) as (site, server):
        site.place.reports.mkdir(parents=True, exist_ok=True)
        for kind in ("md", "html"):
            site.place.card("shop", 1, kind).write_text("# shop")
        yield server


@pytest.mark.slow
@pytest.mark.parametrize(
    "chosen",
    [
        pytest.param(["--exclude-path-regex", INFER], id="all routes but the inference protocol's tensors"),
        # That a tensor has as many values as its shape says, JSON Schema cannot say: valid by it is not valid yet.
        pytest.param(["--include-path-regex", INFER, "--exclude-checks", "positive_data_acceptance"], id="tensors"),
    ],
)
def test_the_server_does_what_its_document_says(server: Running, tmp_path: Path, chosen: list[str]) -> None:
    command = [str(Path(sys.executable).parent / "schemathesis"), "run", f"http://127.0.0.1:{server.port}/openapi.json"]
    how = ["--checks", "all", "--max-examples", "100", "--seed", "1", "--continue-on-failure", *chosen]
    (tmp_path / "schemathesis.toml").write_text(SETTINGS)
    done = subprocess.run([*command, *how], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:]
    assert not [word for word in ("Traceback", "ERROR", "Exception") if word in server.log.read_text()]
