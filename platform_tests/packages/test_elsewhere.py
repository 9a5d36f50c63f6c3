"""A package runs where its requirements alone are installed, and answers as the project's own server does, byte for byte."""

import json
import random
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from headrace.core.ports import free_port
from headrace.store.site import Site
from platform_tests.packages.shop import bare, packaged, serving, shop
from platform_tests.serving.bar import CUSTOMERS, Running, running

pytestmark = pytest.mark.slow
MOST_MIB = 250
AT = "2024-04-09T12:00:00Z"
HEAVY = ("dagster", "mlflow", "polars", "deltalake", "pandas", "sqlalchemy")
WITHOUT = f"""
from importlib.util import find_spec
assert find_spec("headrace") is None
print([name for name in {HEAVY} if find_spec(name)])
"""


@dataclass(frozen=True)
class Elsewhere:
    """A package, the project that wrote it, and an environment of its requirements alone."""

    site: Site
    folder: Path
    python: str


def environment_of(requirements: Path, folder: Path) -> str:
    """Make an environment of what a list pins by digests, and return its interpreter."""
    python = str(folder / "bin" / "python")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True, env=bare())
    pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--require-hashes"]
    done = subprocess.run([*pip, "-r", str(requirements)], capture_output=True, text=True, check=False, env=bare())
    assert done.returncode == 0, done.stderr
    return python


@pytest.fixture(
    scope="module",
    params=[("lightgbm", False), ("lightgbm", True), ("xgboost", False)],
    ids=["lightgbm", "lightgbm with SQL on the request", "xgboost"],
)
def elsewhere(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Elsewhere:
    folder = tmp_path_factory.mktemp("elsewhere")
    trainer, computed = request.param
    site = shop(folder / "shop", trainer, computed=computed)
    package = packaged(site, folder / "package")
    assert package.unknown == ()
    return Elsewhere(site, package.folder, environment_of(package.folder / "requirements.txt", folder / "environment"))


def rows(count: int) -> list[dict[str, object]]:
    """Return requests of all kinds: known customers and others, missing values, the same instant."""
    chance = random.Random(3)
    return [
        {
            "customer": f"c{chance.randrange(CUSTOMERS + 9)}",
            "price": chance.choice([None, round(chance.gauss(), 3), chance.gauss()]),
            "country": chance.choice(["DE", "FR", "PT"]),
            "land": "PT",
            "gift": chance.random() < 0.3,
            "at": AT,
        }
        for _ in range(count)
    ]


def said(server: Running, asked: list[dict[str, object]]) -> list[bytes]:
    """Return the answers to rows one by one and together, to rows that break the contract, and about the model."""
    name = {"x-request-id": "same"}
    bodies: list[object] = [
        *asked,
        asked,
        [],
        {"customer": 1},
        {**asked[0], "price": 1000},
        {**asked[0], "country": "XX"},
    ]
    answers = [server.ask("/v1/predict", body, name).body for body in bodies]
    # An explanation has an id of its own.
    explained = re.sub(rb'"request":"[^"]*"', b"", server.ask("/v1/explain", asked[:20]).body)
    return [*answers, explained, server.ask("/v1/model").body]


def test_it_answers_like_the_projects_own_server_byte_for_byte(elsewhere: Elsewhere) -> None:
    asked = rows(400)
    with running(elsewhere.site, port=free_port()) as own:
        before = said(own, asked)
    with serving(elsewhere.folder, python=elsewhere.python) as server:
        after = said(server, asked)
        assert server.stop() == 0, server.log.read_text()
    assert json.loads(before[0])["release"] == 1
    assert after == before


def test_nothing_heavy_can_be_imported_there(elsewhere: Elsewhere) -> None:
    done = subprocess.run(
        [elsewhere.python, "-c", WITHOUT], capture_output=True, text=True, check=True, cwd="/", env=bare()
    )
    assert done.stdout.strip() == "[]"


def test_what_is_installed_is_whole(elsewhere: Elsewhere) -> None:
    done = subprocess.run(
        [elsewhere.python, "-m", "pip", "check"], capture_output=True, text=True, check=False, env=bare()
    )
    assert done.returncode == 0, done.stdout


def resident_mib(pid: int) -> float:
    """Return the resident memory of a process and of all that it has started."""
    found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(found[1]) / 1024 + sum(map(resident_mib, map(int, children)))


def test_it_holds_its_memory_over_many_requests(elsewhere: Elsewhere) -> None:
    asked = rows(100)
    with serving(elsewhere.folder, python=elsewhere.python) as server:
        for row in asked * 5:
            assert server.ask("/v1/predict", row).status == 200
        for _ in range(20):
            assert server.ask("/v1/predict", asked).status == 200
        assert resident_mib(server.process.pid) < MOST_MIB


def test_lambdas_handler_runs_there(elsewhere: Elsewhere) -> None:
    code = f"import json, handler; print(json.dumps(handler.handler({rows(1)[0] | {'price': None}!r}, None)))"
    done = subprocess.run(
        [elsewhere.python, "-c", code], capture_output=True, text=True, check=False, cwd=elsewhere.folder, env=bare()
    )
    assert done.returncode == 0, done.stderr
    assert 0 <= json.loads(done.stdout)["prediction"] <= 1
