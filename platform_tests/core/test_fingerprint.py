import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.core.fingerprint import code_version, libraries, sql_version

HELPER = '''
"""Helpers."""
LIMIT = 15


def is_late(delay):
    """Return whether it is late."""
    return delay > LIMIT
'''
TRAIN = """
from helper import is_late


def train(delays):
    # count the late ones
    return sum(is_late(d) for d in delays)
"""


@pytest.fixture
def version_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], str]:
    monkeypatch.syspath_prepend(str(tmp_path))

    def load(helper: str, train: str) -> str:
        package = tmp_path / "user_code"
        package.mkdir(exist_ok=True)
        (package / "__init__.py").write_text("")
        (package / "helper.py").write_text(helper)
        (package / "train.py").write_text(train.replace("from helper", "from user_code.helper"))
        for name in [name for name in sys.modules if name.startswith("user_code")]:
            del sys.modules[name]
        importlib.invalidate_caches()
        sys.dont_write_bytecode = True
        return code_version(importlib.import_module("user_code.train").train)

    return load


def test_comments_docstrings_and_layout_change_nothing(version_of: Callable[[str, str], str]) -> None:
    plain = TRAIN.replace("    # count the late ones\n", "")
    assert version_of(HELPER, TRAIN) == version_of(HELPER.replace("Return whether it is late.", "Say it."), plain)


def test_a_changed_helper_changes_the_version(version_of: Callable[[str, str], str]) -> None:
    assert version_of(HELPER, TRAIN) != version_of(HELPER.replace("delay >", "delay >="), TRAIN)


def test_a_changed_constant_of_a_helper_changes_the_version(version_of: Callable[[str, str], str]) -> None:
    assert version_of(HELPER, TRAIN) != version_of(HELPER.replace("LIMIT = 15", "LIMIT = 16"), TRAIN)


def test_a_changed_body_changes_the_version(version_of: Callable[[str, str], str]) -> None:
    assert version_of(HELPER, TRAIN) != version_of(HELPER, TRAIN.replace("sum(", "any("))


def test_names_of_local_variables_change_nothing_and_those_of_arguments_and_what_they_hold_do(
    version_of: Callable[[str, str], str],
) -> None:
    two = TRAIN.replace("    return sum(", "    first = delays[0]\n    other = first + 1\n    return other + sum(")
    assert version_of(HELPER, two) == version_of(HELPER, two.replace("first", "head").replace("other", "more"))
    assert version_of(HELPER, two) == version_of(HELPER, two.replace("(d) for d in", "(one) for one in"))
    assert version_of(HELPER, two) != version_of(HELPER, two.replace("return other", "return first"))
    assert version_of(HELPER, two) != version_of(HELPER, two.replace("delays", "minutes"))


@pytest.mark.slow
def test_every_process_gives_the_same_code_the_same_version() -> None:
    code = "from headrace.sources.ingest import ingest; from headrace.core.fingerprint import code_version; print(code_version(ingest))"
    versions = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(versions) == 1


def test_another_version_of_a_library_is_another_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = libraries("polars", "duckdb")
    other = tmp_path / "polars-99.9.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: polars\nVersion: 99.9\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    after = libraries("polars", "duckdb")
    assert {name for name in before if before[name] != after[name]} == {"library polars"}


def test_sql_is_compared_by_what_it_says() -> None:
    assert sql_version("select a -- why\nfrom t where x>1") == sql_version("SELECT a\nFROM t\nWHERE x > 1")
    assert sql_version("select a from t where x > 1") != sql_version("select a from t where x > 2")
