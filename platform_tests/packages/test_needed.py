"""What a package needs is found by reading the code; nothing that serving never comes to is in it."""

from pathlib import Path

import pytest

from headrace.packages.needed import SOURCE, UNNAMED, WHEN, Use, needed

SERVING = {"fastapi", "filelock", "httptools", "msgspec", "numpy", "pyarrow", "pydantic", "jinja2", "opentelemetry", "prometheus_client", "pydantic_core", "starlette", "tzdata", "uvicorn", "uvloop"}  # fmt: skip
NEVER = {"dagster", "mlflow", "polars", "deltalake", "ray", "optuna", "sqlalchemy", "pandera"}


def source(folder: Path, **modules: str) -> Path:
    """Write modules of Headrace; `a__b` is headrace/a/b.py."""
    for name, text in {"__init__": "", **modules}.items():
        path = folder / "headrace" / f"{name.replace('__', '/') if name != '__init__' else name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if path.parent != folder / "headrace":
            (path.parent / "__init__.py").touch()
    return folder


def found(folder: Path, use: Use | None = None, **modules: str) -> tuple[list[str], list[str]]:
    need = needed(use or Use("lightgbm"), ("headrace.start",), source(folder, **modules))
    return [name.removeprefix("headrace/") for name in need.files], sorted(need.libraries - set(UNNAMED))


def test_what_is_imported_is_followed_and_so_are_the_packages_that_hold_it(tmp_path: Path) -> None:
    files, libraries = found(
        tmp_path,
        start="import headrace.a.b\nimport json, msgspec",
        a__b="from headrace.c import d",
        c__d="import numpy.linalg",
    )
    assert files == ["__init__.py", "a/__init__.py", "a/b.py", "c/__init__.py", "c/d.py", "start.py"]
    assert libraries == ["msgspec", "numpy"]


def test_an_import_within_a_function_is_followed_too(tmp_path: Path) -> None:
    files, libraries = found(
        tmp_path, start="def work():\n    from headrace.late import x\n    import msgspec", late="x = 1"
    )
    assert ("late.py" in files, libraries) == (True, ["msgspec"])


def test_imports_for_the_type_checker_alone_are_not(tmp_path: Path) -> None:
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import dagster\n    from headrace.late import x"
    assert found(tmp_path, start=text, late="x = 1") == (["__init__.py", "start.py"], [])


def test_modules_that_import_each_other_end_somewhere(tmp_path: Path) -> None:
    assert found(tmp_path, start="import headrace.a", a="import headrace.start")[0] == [
        "__init__.py",
        "a.py",
        "start.py",
    ]


def test_an_import_that_a_use_does_not_come_to_is_left_out(tmp_path: Path) -> None:
    text = (
        "def work():\n    import ray\n    import scipy.special\n    from headrace.store.online_redis import RedisStore"
    )
    there = {"start": text, "store__online_redis": "class RedisStore: ..."}
    assert found(tmp_path, **there) == (["__init__.py", "start.py"], [])
    use = Use("lightgbm", on_server=True, calibration="platt")
    files, libraries = found(tmp_path, use, **there)
    assert ("store/online_redis.py" in files, libraries) == (True, ["scipy"])


def test_the_templates_of_a_room_that_reads_them_go_with_it(tmp_path: Path) -> None:
    source(tmp_path, pages__page="TEMPLATES = 'templates'", other__page="")
    for room in ("pages", "other"):
        (tmp_path / "headrace" / room / "templates").mkdir()
        (tmp_path / "headrace" / room / "templates" / "page.html").touch()
    files, _ = found(tmp_path, start="import headrace.pages.page, headrace.other.page")
    assert [name for name in files if "templates" in name] == ["pages/templates/page.html"]


@pytest.mark.parametrize(
    "trainer", ["lightgbm", "xgboost", "federated", "torch", "sklearn:sklearn.svm.SVC", "train.py:fit"]
)
def test_no_trainer_brings_what_makes_and_keeps_models(trainer: str) -> None:
    need = needed(Use(trainer, has_sql=True, on_server=True, calibration="platt"))
    assert not need.libraries & NEVER
    assert not [name for name in need.files if name.endswith(("assets.py", "sensors.py", "tables.py"))]


@pytest.mark.parametrize(
    ("use", "more"),
    [
        (Use("lightgbm"), {"lightgbm"}),
        (Use("lightgbm", has_sql=True), {"lightgbm", "duckdb", "sqlglot"}),
        (Use("lightgbm", on_server=True), {"lightgbm", "redis", "hiredis"}),
        (Use("lightgbm", calibration="platt"), {"lightgbm", "scipy"}),
        (Use("lightgbm", calibration="isotonic"), {"lightgbm"}),
        (Use("xgboost"), {"xgboost", "sqlglot", "pydantic_core"}),
        (Use("federated"), {"xgboost", "sqlglot", "pydantic_core"}),
        (Use("torch"), {"torch", "safetensors", "sqlglot", "pydantic_core"}),
        (Use("sklearn:sklearn.svm.SVC"), {"sklearn", "skops", "pandas", "threadpoolctl", "sqlglot", "pydantic_core"}),
        (Use("train.py:fit"), {"sqlglot", "pydantic_core"}),
    ],
)
def test_libraries_are_those_of_the_use_alone(use: Use, more: set[str]) -> None:
    assert needed(use).libraries == SERVING | more


def test_what_is_said_of_late_imports_is_of_modules_that_are_there() -> None:
    ours = [name for name in WHEN if name.startswith("headrace.")]
    assert [name for name in ours if not (SOURCE / f"{name.replace('.', '/')}.py").is_file()] == []
