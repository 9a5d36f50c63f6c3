"""Sensors of many products are each looked at less often, and say so to Dagster."""

from pathlib import Path

import pytest

from headrace.core.pace import every
from headrace.product import build
from headrace.project import Project
from headrace.starter.start import start_project


def products(root: Path, number: int) -> Path:
    for one in range(number):
        (root / "platform/products" / f"p{one}").mkdir(parents=True)
    return root


@pytest.mark.parametrize(
    ("number", "least", "seconds"),
    [(0, 5, 5), (1, 5, 5), (10, 5, 5), (11, 5, 6), (200, 5, 100), (60, 30, 30), (61, 30, 31)],
)
def test_a_round_over_all_products_fits_between_two_looks(
    tmp_path: Path, number: int, least: int, seconds: int
) -> None:
    assert every(products(tmp_path, number), least) == seconds


def test_files_beside_the_products_are_none(tmp_path: Path) -> None:
    products(tmp_path, 10)
    (tmp_path / "platform/products/__init__.py").touch()
    assert every(tmp_path, 5) == 5


def test_each_sensor_of_a_project_with_many_products_asks_for_fewer_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEADRACE_HOME", raising=False)
    start_project(tmp_path / "project")
    products(tmp_path / "project", 99)
    declared, site = Project(tmp_path / "project").load("returns")
    sensors = build(declared, site).get_repository_def().sensor_defs
    assert len(sensors) >= 4
    assert {sensor.minimum_interval_seconds for sensor in sensors} == {50}
