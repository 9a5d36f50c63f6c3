"""The command that asks how much a server bears, as a person types it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from benchmarks.project import copy_settings
from headrace.access.keys import keys_of
from headrace.cli import main
from headrace.core.ports import free_port
from headrace.evaluation.underload import recorded_load
from headrace.models.candidate import the_candidate
from headrace.project import Project
from headrace.store.site import Site
from platform_tests.serving.bar import CONTRACT, FILES, bar, released, running

ROOT = Path(__file__).parents[1]
QUICK = ["--rates", "20", "--seconds", "1", "--connections", "8"]


def declare(root: Path, **sla: Any) -> None:
    """Write the bar as a project, with what is promised of its server."""
    folder = root / "platform" / "products" / "shop"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in FILES.items():
        (folder / name).write_text(text)
    attributes = {
        "product": "shop",
        "sources": {"orders": {"files": "orders.csv", "time": "at"}},
        "contracts": {"orders": CONTRACT.model_dump(mode="json", by_alias=True, exclude_defaults=True)},
        "features": {"habit": {"sql": "habit.sql", "entity": "customer"}},
        "label": {"sql": "label.sql", "entity": "order_id", "time": "at", "column": "returned", "known_after": "1d"},
        "model": {"split": {"test": "10d"}},
        "serve": {"online": {}} | ({"sla": sla} if sla else {}),
    }
    (folder / "defs.yaml").write_text(yaml.safe_dump({"type": "headrace.Product", "attributes": attributes}))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    released(bar(root))
    copy_settings(root)
    declare(root)
    return root


@pytest.fixture
def site(made: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.delenv("HEADRACE_HOME", raising=False)
    monkeypatch.delenv("HEADRACE_KEY", raising=False)
    monkeypatch.chdir(made)
    return Project(made).load("shop")[1]


def headrace(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


@pytest.mark.slow
def test_it_prints_a_table_and_the_promise_and_ends_with_1_where_that_is_missed(site: Site, tmp_path: Path) -> None:
    declare(site.place.root, p99="9s", rate="30/s", errors="5%")
    kept = headrace("loadtest", "shop", *QUICK, "--picture", str(tmp_path / "curve.png"))
    assert kept.exit_code == 0, kept.output
    assert "limits by key and address are lifted" in kept.output
    assert "20/s" in kept.output
    assert "kept   p99 <= 9000ms at 30/s" in kept.output
    assert (tmp_path / "curve.png").read_bytes()[:4] == b"\x89PNG"
    declare(site.place.root, p99="0.001ms", rate="30/s")
    missed = headrace("loadtest", "shop", *QUICK)
    assert missed.exit_code == 1
    assert "MISSED p99 <= 0.001ms at 30/s" in missed.output


@pytest.mark.slow
def test_the_candidate_is_tested_by_hand_and_the_evidence_kept_with_it(site: Site) -> None:
    declare(site.place.root)
    done = headrace("loadtest", "shop", *QUICK, "--candidate", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    found = recorded_load(site, the_candidate(site).digest)
    assert found
    assert told["evidence"]["rate"] == found.rate == 10
    assert told["product"] == "shop"


@pytest.mark.slow
def test_a_key_for_a_server_elsewhere_comes_from_the_environment(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    declare(site.place.root)
    key = keys_of(site.place, "shop").create("somebody", ["predict"], datetime.now(UTC), None)
    monkeypatch.chdir(ROOT)
    with running(site, port=free_port(), keys=True) as server:
        monkeypatch.chdir(site.place.root)
        url = f"http://127.0.0.1:{server.port}"
        denied = json.loads(headrace("loadtest", "shop", *QUICK, "--url", url, "--json").stdout)
        monkeypatch.setenv("HEADRACE_KEY", key.text)
        told = headrace("loadtest", "shop", *QUICK, "--url", url, "--json")
    assert set(denied["steps"][0]["errors"]) == {"401"}
    assert json.loads(told.stdout)["steps"][0]["errors"] == {}
    assert key.text not in told.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--rates", "fast"], "'fast' lists no rates"),
        (["--rates", "0.5"], "a rate is from 1 to 100000"),
        (["--candidate", "--url", "http://127.0.0.1:1"], "leave --url out"),
        (["--url", "http://192.0.2.1", "--rates", "1"], "in clear over the network"),
    ],
)
def test_words_that_do_not_go_together_are_refused(
    site: Site, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.setenv("HEADRACE_KEY", "hr_x")
    declare(site.place.root)
    done = headrace("loadtest", "shop", *words)
    assert done.exit_code != 0
    assert said in done.output
