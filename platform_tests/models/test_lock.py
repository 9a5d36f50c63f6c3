"""What a clean environment is made of: the project's lock file, and the pins of what a model needs beside it."""

from importlib.metadata import version
from pathlib import Path

import pytest

from headrace.models.lock import BESIDE, LOCK, installed, locks_of
from headrace.store.site import Site
from platform_tests.models.shop import shop

BASE = (Path(__file__).parents[2] / "requirements/base.txt").read_bytes()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/base.txt").write_bytes(BASE)
    return shop(tmp_path)


def beside(site: Site, *libraries: str) -> list[str]:
    lists = locks_of(site, libraries)
    assert lists[LOCK] == BASE
    return lists.get(BESIDE, b"").decode().splitlines()


def test_a_lock_file_that_names_all_that_a_model_needs_stands_alone(site: Site) -> None:
    assert beside(site, "lightgbm", "scikit-learn") == []


def test_an_extra_that_the_lock_file_lacks_is_pinned_beside_it_with_what_it_needs(site: Site) -> None:
    assert beside(site, "xgboost-cpu") == [f"xgboost-cpu=={version('xgboost-cpu')}"]
    names = [line.partition("==")[0] for line in beside(site, "optuna")]
    assert {"optuna", "colorlog"} <= set(names)
    assert "numpy" not in names


def test_what_python_files_beside_the_declaration_import_is_pinned_too(site: Site) -> None:
    (site.folder / "train.py").write_text("from xgboost.callback import TrainingCallback\nimport numpy, json\n")
    (site.folder / "torn.py").write_text("import optuna (\n")
    (site.folder / "zeros.py").write_bytes(b"\0" * 8)
    assert beside(site) == [f"xgboost-cpu=={version('xgboost-cpu')}"]


def test_a_file_without_hashes_is_no_lock_and_what_is_installed_stands_for_it(tmp_path: Path) -> None:
    site = shop(tmp_path)
    (tmp_path / "requirements.txt").write_text("headrace\npandas>=2\n")
    lists = locks_of(site, ["xgboost-cpu"])
    assert list(lists) == [LOCK]
    pins = lists[LOCK].decode().splitlines()
    assert pins == [f"{name}=={at}" for name, at in installed().items() if name != "headrace"]
    assert f"xgboost-cpu=={version('xgboost-cpu')}" in pins
