"""The rules of the house, held by reading the code."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "platform"
ENGINE = SOURCE / "headrace"
FILES = sorted(ENGINE.rglob("*.py"))
ROOMS = ["core", "store", "sources", "contracts", "features", "online", "access", "models", "rollout", "serving"]
ROOMS += ["monitoring", "load", "incidents", "alerts", "numbers", "automation", "backtest"]
DAGSTER_FILES = {"assets.py", "sensors.py", "product.py", "definitions.py", "resources.py"}
LONGEST_FILE, LONGEST_ASSETS, LONGEST_BODY, MOST_ARGUMENTS = 300, 250, 40, 6
EDGE = {"cli.py", "definitions.py", "product.py", "project.py", "failpoints.py", "run.py"}


@cache
def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


@cache
def libraries_of(file: Path) -> frozenset[str]:
    return frozenset(name.split(".")[0] for name in imports(tree_of(file)))


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def importers_of(library: str) -> set[str]:
    return {str(file.relative_to(ENGINE)) for file in FILES if library in libraries_of(file)}


def functions(file: Path) -> Iterator[ast.FunctionDef]:
    yield from (node for node in ast.walk(tree_of(file)) if isinstance(node, ast.FunctionDef))


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=SOURCE, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_source_root_is_no_package_so_that_it_never_hides_the_standard_library() -> None:
    assert not (SOURCE / "__init__.py").exists()
    done = subprocess.run(
        [sys.executable, "-c", "import platform; print(platform.python_version())"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("3.")


def test_dagster_comes_in_by_its_doors_only() -> None:
    assert {Path(file).name for file in importers_of("dagster")} <= DAGSTER_FILES


@pytest.mark.parametrize("library", ["duckdb", "deltalake", "pyspark"])
def test_tables_and_engines_are_known_to_the_store_alone(library: str) -> None:
    assert {Path(file).parts[0] for file in importers_of(library)} <= {"store"}


@pytest.mark.parametrize(
    ("library", "doors"),
    [
        ("mlflow", {"store/runs.py"}),
        ("dagster_mlflow", {"models/resources.py"}),
        ("pandera", {"contracts/check.py"}),
        ("sqlalchemy", {"sources/database.py"}),
        ("dlt", {"sources/pulled.py"}),
        ("obstore", {"sources/bucket.py"}),
        ("redis", {"store/online_redis.py"}),
        ("lmdb", set()),
        ("shap", {"explain/contributions.py", "explain/plots.py"}),
        ("lleaves", {"models/compiled.py"}),
        ("llvmlite", {"models/compiled.py"}),
        ("onnxmltools", {"releases/export.py"}),
        ("onnxruntime", {"releases/export.py"}),
        ("sqlite3", {"store/online_embedded.py", "store/traces.py"}),
        ("pyspark", {"store/spark.py"}),
        ("httptools", {"access/protocol.py", "access/request.py"}),
        ("py4j", {"store/spark.py"}),
        ("optuna", {"models/tuning/study.py"}),
        ("ray", {"models/cluster.py", "models/spread/gang.py", "models/tuning/cluster.py"}),
        ("skops", {"models/trainers/skops.py"}),
        ("xgboost", {"models/trainers/xgboost.py"}),
        ("torch", {"models/trainers/torch.py"}),
        ("flwr", {"models/federated/server.py", "models/federated/site.py"}),
        ("prometheus_client", {"serving/metrics.py"}),
        ("opentelemetry", {"serving/traces.py"}),
        ("safetensors", {"models/trainers/torch.py"}),
    ],
)
def test_a_library_has_one_door(library: str, doors: set[str]) -> None:
    assert importers_of(library) <= doors


def test_lightgbm_is_known_to_models_and_their_mirror_alone() -> None:
    assert {Path(file).parts[0] for file in importers_of("lightgbm")} <= {"models"} | {"store"}
    assert {file for file in importers_of("lightgbm") if file.startswith("store")} <= {"store/runs.py"}


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ENGINE)))
def test_a_file_is_short_and_its_functions_too(file: Path) -> None:
    lines = len(file.read_text().splitlines())
    assert lines <= (LONGEST_ASSETS if file.name == "assets.py" else LONGEST_FILE)
    if file.name not in DAGSTER_FILES:
        too_long = [f.name for f in functions(file) if _body_lines(f) > LONGEST_BODY]
        assert not too_long
    assert not [f.name for f in functions(file) if _arguments(f) > MOST_ARGUMENTS]


def _body_lines(function: ast.FunctionDef) -> int:
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def _arguments(function: ast.FunctionDef) -> int:
    own = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return len([a for a in own if a.arg not in ("self", "cls")])


def test_no_file_is_without_a_noun() -> None:
    nameless = {"utils", "helpers", "common", "misc", "manager"}
    assert not [file for file in FILES if file.stem in nameless]


def test_each_room_has_a_declaration_and_its_verbs_but_for_the_core_and_the_store() -> None:
    for room in ROOMS[2:]:
        assert (ENGINE / room / "declaration.py").exists()


def test_failures_are_never_swallowed() -> None:
    broad = [
        f"{file.relative_to(ENGINE)}:{node.lineno}"
        for file in FILES
        for node in ast.walk(tree_of(file))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException")))
    ]
    assert not broad


def test_the_environment_is_read_at_the_edge_alone() -> None:
    readers = [file.name for file in FILES if "os.environ" in file.read_text() or "getenv" in file.read_text()]
    assert set(readers) <= EDGE


def test_importing_headrace_brings_nothing_heavy() -> None:
    loaded = run_python("import sys, headrace; print(sorted({m.split('.')[0] for m in sys.modules}))")
    assert not [
        name for name in ("dagster", "pandas", "mlflow", "lightgbm", "polars", "pyarrow") if f"'{name}'" in loaded
    ]


def test_the_rooms_run_without_dagster() -> None:
    rooms = [
        "features.compute",
        "features.training",
        "models.train",
        "contracts.validate",
        "sources.ingest",
        "monitoring.report",
        "online.publish",
        "online.lookup",
        "access.protocol",
        "rollout.advance",
        "packages.write",
        "packages.events",
        "load.trial",
    ]
    code = f"""
import sys
from importlib import import_module
for room in {rooms}:
    import_module("headrace." + room)
    assert "dagster" not in sys.modules, room
print("none")
"""
    assert run_python(code) == "none"


def test_each_floor_imports_only_what_is_below_it() -> None:
    linter = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
