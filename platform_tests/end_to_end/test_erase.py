"""A person who is erased is nowhere below the home folder, and does not come back; the product runs on."""

import gzip
import json
import os
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from headrace.cli import main
from headrace.core.errors import Refused
from headrace.project import Project
from headrace.resources import refuse_runs_since
from platform_tests.end_to_end.shop import land_days, make_project
from platform_tests.end_to_end.test_crash import command, environment, materialize

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
WHO = "anna.berg@example.com"
CHAMPION = '+key:"shop/model/card"'
AFTER = "2024-01-10T05:00:00+00:00,2024-01-11T01:00:00+00:00"
LINES = [f"good-1,{WHO},{AFTER},25.0,True", f"bad-1,{WHO},{AFTER},-5,True", f"ragged,{WHO}"]
TABLES = ["features/habit", "quarantine/orders", "raw/orders", "training/set", "validated/orders"]


def land_person(project: Project, day: str = "2024-01-10", lines: list[str] = LINES) -> Path:
    """Add a person's rows to a landed file: a good one, one that breaks the contract, and a malformed line."""
    file = project.place.landing / "orders" / f"{day}.csv"
    file.write_text(file.read_text() + "".join(f"{line}\n" for line in lines))
    return file


def whole_run(project: Project) -> None:
    """Materialize everything that the shop has, with Dagster's own command."""
    done = subprocess.run(
        command("*"), cwd=project.root, env=environment(project), capture_output=True, text=True, check=False
    )
    assert "shop__model__champion" in done.stdout + done.stderr
    project.place.home.joinpath("daemon.log").write_bytes((done.stdout + done.stderr).encode())


def texts_of(path: Path) -> bytes:
    """Return all that a file says: Parquet decoded, gzip unpacked, SQLite dumped, and its bytes."""
    data = path.read_bytes()
    if path.suffix == ".parquet":
        data += repr(pq.read_table(path, partitioning=None).to_pydict()).encode()
        data += repr(pq.ParquetFile(path).metadata.to_dict()).encode()
    if data.startswith(b"\x1f\x8b"):
        data += gzip.decompress(data)
    if data.startswith(b"SQLite format 3"):
        with sqlite3.connect(path) as database:
            data += "\n".join(database.iterdump()).encode()
    return data


def who_holds(folder: Path, value: str = WHO) -> list[str]:
    """Return the files below a folder that hold a value, in whatever form."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [str(path.relative_to(folder)) for path in files if value.encode() in texts_of(path)]


def headrace(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


@pytest.fixture
def landed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    for name in ("HEADRACE_HOME", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    project = Project(make_project(tmp_path / "shop"))
    monkeypatch.chdir(project.root)
    land_days(project.root, 0, 29)
    land_person(project)
    monkeypatch.setenv("DAGSTER_HOME", str(project.place.home / "dagster"))
    return project


@pytest.fixture
def shop(landed: Project) -> Project:
    whole_run(landed)
    return landed


def erase(*more: str) -> Result:
    return headrace("erase", "shop", "--entity", f"customer={WHO}", *more)


def test_nothing_below_the_home_holds_an_erased_person_and_the_product_runs_on(shop: Project) -> None:
    _, site = shop.load("shop")
    live = site.releases.live("shop")
    assert live
    held = who_holds(shop.place.home)
    for where in ("dagster/history/runs/index.db", "reports/shop.html", f"models/{live.model}/meta.json", "daemon.log"):
        assert where in held
    assert [where for where in held if where.startswith("mlflow/") and where.endswith("/meta.json")]

    planned = erase("--dry-run", "--live-too")
    assert planned.exit_code == 0, planned.output
    assert who_holds(shop.place.home) == held
    refused = erase()
    assert refused.exit_code == 1
    assert "hold the value. Nothing was erased. Say --live-too" in refused.output
    assert who_holds(shop.place.home) == held

    rows = {table: site.tables.count(f"shop/{table}") for table in TABLES}
    done = erase("--live-too")
    assert done.exit_code == 0, done.output
    assert who_holds(shop.place.home) == []
    assert "still holds the value" not in done.output
    assert f"model {live.model[:12]} (live): its files hold the value; erased" in done.output
    assert {t: rows[t] - site.tables.count(f"shop/{t}") for t in TABLES} == dict(
        zip(TABLES, [2, 2, 3, 1, 1], strict=True)
    )
    assert site.releases.live("shop") is None
    assert headrace("doctor").output == "Nothing is wrong.\n"
    certificate = site.erasures.entries()[-1]
    assert (certificate["state"], certificate["column"], certificate["left"]) == ("done", "customer", 0)
    assert {t["table"]: t["rows"] for t in certificate["tables"]}["shop/raw/orders"] == 3
    assert "(erased)" in headrace("history", "shop/raw/orders").output

    plan = json.loads(headrace("plan", "shop", "--json").output)
    assert {p["asset"] for p in plan} >= {"shop/validated/orders", "shop/model/candidate"}
    assert "shop/raw/orders" not in {p["asset"] for p in plan}
    land_person(shop, "2024-01-12", [f"again,{WHO},{AFTER},25.0,True", f"again,{WHO}"])
    before = site.tables.count("shop/raw/orders")
    assert materialize(shop, CHAMPION) == 0
    assert who_holds(shop.place.home) == []
    assert site.tables.count("shop/raw/orders") == before
    again = site.releases.live("shop")
    assert again
    assert again.model != live.model
    assert json.loads(headrace("plan", "shop", "--json").output) == []
    assert headrace("doctor").output == "Nothing is wrong.\n"


def test_landed_files_are_listed_and_cleaned_when_asked(shop: Project) -> None:
    file = shop.place.landing / "orders" / "2024-01-10.csv"
    whole = file.read_text()
    listed = erase("--live-too")
    assert f"{file}: holds the value, and is yours" in listed.output
    assert file.read_text() == whole
    cleaned = erase("--landing")
    assert cleaned.exit_code == 0, cleaned.output
    assert file.read_text() == whole.replace("".join(f"{line}\n" for line in LINES), "")
    assert who_holds(shop.root) == []
    assert materialize(shop, CHAMPION) == 0
    assert who_holds(shop.root) == []


KILLED_AT = [
    "erasure_begun:1",
    "rows_erased:1",
    "entry_scrubbed:2",
    "erased_file:1",
    "table_erased:2",
    "model_removed:1",
    "trace_masked:2",
]
"""Where each call dies; what an earlier one has done is not done again, so each gets further."""


def test_a_killed_erasure_is_told_by_the_doctor_and_finished_by_the_next_call(shop: Project) -> None:
    words = [sys.executable, "-m", "headrace.cli", "erase", "shop", "--entity", f"customer={WHO}", "--live-too"]
    path = os.pathsep.join([str(ROOT / "platform"), str(ROOT)])
    for point in KILLED_AT:
        run = {**environment(shop), "PYTHONPATH": path, "FAILPOINT": point}
        done = subprocess.run(words, cwd=shop.root, env=run, capture_output=True, text=True, check=False)
        assert done.returncode == -signal.SIGKILL, (point, done.stdout, done.stderr)
        _, site = shop.load("shop")
        assert all(site.tables.count(f"shop/{table}") >= 0 for table in TABLES)
    assert "was begun at" in headrace("doctor").output
    done = erase("--live-too")
    assert done.exit_code == 0, done.output
    assert who_holds(shop.place.home) == []
    assert headrace("doctor").output == "Nothing is wrong.\n"
    assert materialize(shop, CHAMPION) == 0
    assert who_holds(shop.place.home) == []


def test_nothing_is_erased_while_a_run_is_under_way(landed: Project) -> None:
    assert materialize(landed, 'key:"shop/raw/orders"', FAILPOINT="committed:1") == -signal.SIGKILL
    with pytest.raises(Refused, match="began meanwhile, and may have written rows back"):
        refuse_runs_since(datetime.now(UTC) - timedelta(minutes=5))
    refuse_runs_since(datetime.now(UTC))
    held = who_holds(landed.place.home)
    refused = erase()
    assert refused.exit_code == 1
    assert "is started. Nothing was changed: wait for it" in refused.output
    assert who_holds(landed.place.home) == held
    assert headrace("doctor", "--mend").exit_code == 0
    assert erase().exit_code == 0
    assert who_holds(landed.place.home) == []
