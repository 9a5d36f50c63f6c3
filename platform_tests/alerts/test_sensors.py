"""The sensor and the commands of alerts, over a declared product."""

import json
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from headrace.cli import main
from headrace.product import build
from headrace.project import Project
from platform_tests.alerts.listeners import http_server
from platform_tests.alerts.test_tell import wrong
from platform_tests.end_to_end.shop import land_days, make_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delenv("HEADRACE_HOME", raising=False)
    root = make_project(tmp_path / "shop")
    land_days(root, 0, 0, rows=1)
    monkeypatch.chdir(root)
    return Project(root)


def declare(project: Project, alerts: str) -> None:
    defs = project.root / "platform/products/shop/defs.yaml"
    defs.write_text(f"{defs.read_text()}  alerts: {alerts}\n")


def headrace(*words: str) -> Result:
    return CliRunner().invoke(main, ["alerts", *words])


def test_the_sensor_tells_what_is_open_and_says_what_waits(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with http_server(500) as server:
        monkeypatch.setenv("HOOK", server.address)
        declare(project, "[{webhook: env:HOOK, on: [drift]}, {folder: local}]")
        wrong(project.load("shop")[1])
        repository = build(*project.load("shop")).get_repository_def()
        with dg.DagsterInstance.ephemeral() as instance:
            context = dg.build_sensor_context(instance=instance, repository_def=repository)
            said = repository.get_sensor_def("shop__alerts").evaluate_tick(context)
    assert str(said.skip_message) == "1 sent. 1 notices wait, the oldest: 127.0.0.1 answered 500."
    assert "webhook env:HOOK: [shop] drift: PSI of price is 3" in headrace("list").output
    found = json.loads(headrace("list", "--product", "shop", "--json").output)
    assert sorted(bool(one["sent"]) for one in found) == [False, True]


def test_a_product_without_alerts_has_no_sensor_for_them(project: Project) -> None:
    names = {sensor.name for sensor in build(*project.load("shop")).sensors or ()}
    assert "shop__incidents" in names
    assert "shop__alerts" not in names


def test_a_trial_goes_to_each_channel_and_without_any_into_a_folder(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert headrace("test").exit_code == 0
    [file] = (project.place.home / "alerts" / "shop" / "local").glob("*.json")
    assert (
        json.loads(file.read_text())["title"] == "[shop] test: check: This is a test of the alerts: nothing is wrong."
    )
    with http_server() as server:
        monkeypatch.setenv("HOOK", server.address)
        declare(project, "[{slack: env:HOOK}, {webhook: env:NOBODY}]")
        done = headrace("test", "--product", "shop")
        assert done.exit_code == 1
        assert "shop: slack env:HOOK: delivered" in done.output
        assert "NOBODY is not set" in done.output
        assert len(server.bodies) == 1
