"""What a kept model needs stays readable for ever; what nobody needs goes, safely beside writers and after a kill."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from headrace.core.declaration import Identity
from headrace.core.errors import VersionRemoved
from headrace.core.place import Place
from headrace.declaration import ProductDeclaration
from headrace.store.cause import Cause
from headrace.store.declaration import Keep
from headrace.store.engine import TableView
from headrace.store.history import history_text
from headrace.store.models import Training
from headrace.store.retention import Collection, collect
from headrace.store.sensors import store_automation
from headrace.store.site import Site
from headrace.store.studies import lock_of
from headrace.store.tables import Addition

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "platform"), str(ROOT)])}
KEEP, NONE = Keep(), Keep(models=0)
SET, ORDERS = "shop/training/set", "shop/validated/orders"
SCRIPT = """
import sys
from datetime import datetime
from pathlib import Path
from platform_tests.store.test_retention import *
site = shop(Path(sys.argv[1]))
"""


def shop(folder: Path) -> Site:
    return Site(Identity(product="shop"), folder, Place.at(folder))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return shop(tmp_path)


def write(site: Site, table: str, *values: int, **inputs: int) -> int:
    """Write one version a value, and return the newest."""
    made_of = {name.replace("__", "/"): version for name, version in inputs.items()}
    for value in values:
        site.tables.replace(table, pa.table({"v": [value]}), why=Cause("a test", made_of))
    return site.tables.version(table) or 0


def in_days(days: float) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


def gc(site: Site, days: float = 40, keep: Keep = KEEP) -> Collection:
    return collect(site, keep, in_days(days), remove=True)


def train(site: Site, version: int, days: float = 0, **inputs: int) -> str:
    """Store a model that was trained on a version of the training set, some days from now."""
    digest = site.models.put({"model.txt": b"tree %d" % version})
    made_of = {name.replace("__", "/"): v for name, v in inputs.items()}
    site.models.record_training(digest, Training("shop", SET, version, made_of, in_days(days).isoformat()))
    return digest


def release(site: Site, digest: str) -> None:
    decision = {"outcome": "released", "model": digest, "at": datetime.now(UTC), "who": "a", "why": "b", "evidence": {}}
    site.releases.decide("shop", decision, after=len(site.releases.all("shop")))


def readable(site: Site, table: str) -> dict[int, Any]:
    """Return the rows of each version that can be read."""
    found = {}
    for version in site.tables.versions(table):
        if version.number not in site.tables.removed(table).versions:
            found[version.number] = site.tables.read(table, version=version.number).to_pylist()
    return found


def parquet_files(site: Site) -> set[Path]:
    return set(site.place.tables.rglob("*.parquet"))


def run(code: str, site: Site, **env: str) -> int:
    command = [sys.executable, "-c", SCRIPT + code, str(site.place.root)]
    return subprocess.run(command, env=ENVIRONMENT | env, check=False).returncode


@contextmanager
def process(code: str, site: Site) -> Iterator[subprocess.Popen[str]]:
    """Start code that says when it is ready, and end it afterwards."""
    command = [sys.executable, "-c", SCRIPT + code, str(site.place.root)]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout
        assert started.stdout.readline() == "ready\n"
        yield started
        started.kill()


def test_a_version_goes_thirty_days_after_a_newer_one_took_its_place(site: Site) -> None:
    write(site, ORDERS, 1, 2, 3)
    assert not gc(site, days=29).going
    gc(site, days=31)
    assert readable(site, ORDERS) == {2: [{"v": 3}]}
    assert len(parquet_files(site)) == 1


def test_the_versions_that_a_kept_model_was_trained_on_stay_and_those_that_they_were_made_of(site: Site) -> None:
    write(site, ORDERS, 1, 2, 3)
    version = write(site, SET, 1, 2, shop__validated__orders=1)
    release(site, train(site, version, shop__validated__orders=1))
    write(site, SET, 3, 4)
    collected = gc(site, keep=NONE)
    assert readable(site, SET) == {1: [{"v": 2}], 3: [{"v": 4}]}
    assert readable(site, ORDERS) == {1: [{"v": 2}], 2: [{"v": 3}]}
    reasons = {fate.name: fate.why for fate in collected.fates if not fate.goes}
    assert "(release 1) was trained on it" in reasons[f"{SET}@1"]
    assert "is made of it" in reasons[f"{ORDERS}@1"]


def test_a_model_that_goes_lets_its_versions_go_with_it(site: Site) -> None:
    version = write(site, SET, 1)
    digest = train(site, version)
    write(site, SET, 2)
    gc(site, keep=NONE)
    assert not site.models.exists(digest)
    assert readable(site, SET) == {1: [{"v": 2}]}


def test_a_version_that_another_products_model_was_trained_on_stays_as_long_as_that_model(site: Site) -> None:
    write(site, ORDERS, 0, 1, 2)
    digest = site.models.put({"model.txt": b"tree"})
    trained = Training("care", "care/training/set", 4, {ORDERS: 0}, in_days(0).isoformat())
    site.models.record_training(digest, trained)
    kept = gc(site, days=400)
    assert set(readable(site, ORDERS)) == {0, 2}
    [why] = [fate.why for fate in kept.fates if fate.name == f"{ORDERS}@0"]
    assert why == f"care/training/set@4, which model {digest[:12]} was trained on, is made of it"
    site.models.remove(digest)
    gc(site, days=400)
    assert set(readable(site, ORDERS)) == {2}


def test_the_newest_models_stay_and_released_ones_and_the_candidate(site: Site) -> None:
    digests = [train(site, version, days=version) for version in range(6)]
    release(site, digests[0])
    site.tables.replace("shop/model/candidate", pa.table({"digest": [digests[1]]}))
    gc(site, days=60, keep=Keep(models=2))
    assert [site.models.exists(digest) for digest in digests] == [True, True, False, False, True, True]


def test_a_young_model_stays_whatever_its_number(site: Site) -> None:
    digest = train(site, 0)
    assert not gc(site, days=20, keep=NONE).going
    assert site.models.exists(digest)


def test_reading_a_removed_version_says_so_in_words(site: Site) -> None:
    write(site, ORDERS, 1, 2, 3)
    gc(site)
    said = r"Version 0 of 'shop/validated/orders' was removed \(headrace gc, last on .*These can be read: 2\. See: headrace"
    with pytest.raises(VersionRemoved, match=said):
        site.tables.read(ORDERS, version=0)
    with pytest.raises(VersionRemoved, match=said):
        site.engine.query("from orders", {"orders": TableView(ORDERS, version=0)})
    lines = history_text(site.tables.versions(ORDERS), site.tables.removed(ORDERS)).splitlines()
    assert [("(removed by gc)" in line) for line in lines] == [False, False, True, True]


def test_a_version_whose_rows_all_live_on_in_a_newer_one_stays_readable(site: Site) -> None:
    site.tables.replace(ORDERS, pa.table({"v": [1], "_file": ["f"]}))
    write_more = pa.table({"v": [2], "_file": ["g"]})
    site.tables.add_files(ORDERS, Addition(write_more, {"g": "digest"}), after=0)
    gc(site)
    assert sorted(readable(site, ORDERS)) == [0, 1]


def test_a_dry_run_names_what_goes_and_why_the_rest_stays_and_removes_nothing(site: Site) -> None:
    write(site, ORDERS, 1, 2)
    before = parquet_files(site)
    planned = collect(site, KEEP, in_days(40), remove=False)
    assert parquet_files(site) == before
    assert {fate.name for fate in planned.going} == {fate.name for fate in gc(site).going}
    text = planned.text(done=False)
    assert "goes   version  shop/validated/orders@0" in text
    assert "superseded more than 30d ago" in text
    assert "stays  version  shop/validated/orders@1" in text
    assert "2 would go" in text


def test_a_file_of_a_killed_write_goes_at_once_and_that_of_a_running_one_never(site: Site) -> None:
    write(site, ORDERS, 1)
    orphan = site.place.tables / ORDERS / "part-00000-orphan.snappy.parquet"
    orphan.write_bytes(b"half a file")
    writing = """
from headrace.store.fences import Fences
import time
with Fences(site.place.tables / "_fences").writing(ORDERS):
    print("ready", flush=True)
    time.sleep(60)
"""
    with process(writing, site):
        collected = gc(site, days=0)
        assert collected.busy == [ORDERS]
        assert "shop/validated/orders is being written at this moment" in collected.text(done=True)
        assert orphan.exists()
    assert [fate.why for fate in gc(site, days=0).going] == ["of a write that was killed"]
    assert not orphan.exists()
    assert readable(site, ORDERS) == {0: [{"v": 1}]}


def test_what_a_dead_process_has_staged_goes_and_what_a_living_one_has_stays(site: Site) -> None:
    home = site.place.home
    dead = run("import os; Path(sys.argv[1], 'pid').write_text(str(os.getpid()))", site)
    assert dead == 0
    gone = (site.place.root / "pid").read_text()
    staged = [home / "models" / f".{'a' * 64}", home / "logs/shop/releases/.000001.json", home / "reports/shop"]
    for path in staged:
        path.parent.mkdir(parents=True, exist_ok=True)
        for pid in (gone, os.getpid()):
            path.with_name(f"{path.name}.{pid}").write_text("half")
    assert len(gc(site, days=0).going) == len(staged)
    left = {path.name.rpartition(".")[2] for folder in staged for path in folder.parent.glob(f"{folder.name}.*")}
    assert left == {str(os.getpid())}


KILLED = "collect(site, NONE, in_days(40), remove=True)"


@pytest.mark.slow
@pytest.mark.parametrize("point", ["versions_removed:1", "file_removed:1", "file_removed:3", "model_removed:1"])
def test_a_kill_in_the_middle_is_finished_by_the_next_call(site: Site, point: str) -> None:
    write(site, ORDERS, 1, 2, 3)
    write(site, SET, 1, 2, 3)
    digest = train(site, 0)
    assert run(KILLED, site, FAILPOINT=point) == -signal.SIGKILL
    for table in (ORDERS, SET):
        assert readable(site, table)[2] == [{"v": 3}]
    gc(site, keep=NONE)
    assert readable(site, ORDERS) == readable(site, SET) == {2: [{"v": 3}]}
    assert len(parquet_files(site)) == 2
    assert not list(site.place.models.glob(f"*{digest}*"))
    assert site.models.put({"model.txt": b"tree 0"}) == digest


WRITER = """
from headrace.core.errors import StoreError
me = int(sys.argv[2])
for value in range(25):
    try:
        write(site, ORDERS, me * 1000 + value)
    except StoreError:
        pass
"""


@pytest.mark.slow
def test_beside_running_writers_no_file_of_a_version_that_stays_is_lost(site: Site) -> None:
    write(site, ORDERS, 0)
    command = [sys.executable, "-c", SCRIPT + WRITER, str(site.place.root)]
    writers = [subprocess.Popen([*command, str(n)], env=ENVIRONMENT) for n in range(1, 4)]
    looked_at = 0
    while any(writer.poll() is None for writer in writers):
        collected = gc(site, days=0)
        looked_at += not collected.busy
        assert not collected.going
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert looked_at
    newest = site.tables.version(ORDERS) or 0
    assert newest
    assert list(readable(site, ORDERS)) == list(range(newest + 1))


@settings(max_examples=15, deadline=None)
@given(values=st.lists(st.integers(0, 3), min_size=1, max_size=6), pinned=st.sets(st.integers(0, 5)))
def test_whatever_stays_reads_as_it_did_before(
    tmp_path_factory: pytest.TempPathFactory, values: list[int], pinned: set[int]
) -> None:
    site = shop(tmp_path_factory.mktemp("shop"))
    newest = write(site, SET, *values)
    for version in pinned:
        if version <= newest:
            release(site, train(site, version))
    before = readable(site, SET)
    gc(site, keep=NONE)
    assert readable(site, SET) == {n: rows for n, rows in before.items() if n in pinned or n == newest}


def test_keep_is_a_duration_or_says_versions_and_models() -> None:
    def declared(keep: Any) -> Keep:
        sources = {"orders": {"files": "landing/*.csv"}}
        return ProductDeclaration.model_validate({"product": "shop", "sources": sources, "keep": keep}).keep

    assert declared("14d") == Keep(versions=timedelta(days=14))
    assert declared({"versions": "14d", "models": 3}) == Keep(versions=timedelta(days=14), models=3)
    with pytest.raises(ValidationError, match="`keep` of 1h is too short: a run may read a version for 3h"):
        declared("1h")


def test_the_nightly_job_removes_what_nobody_needs(site: Site) -> None:
    write(site, ORDERS, 1)
    orphan = site.place.tables / ORDERS / "part-00000-orphan.snappy.parquet"
    orphan.write_bytes(b"half a file")
    defs = store_automation(site, KEEP)
    assert [schedule.name for schedule in defs.schedules or []] == ["shop__nightly"]
    with dg.DagsterInstance.ephemeral() as instance:
        assert defs.resolve_job_def("shop__gc").execute_in_process(instance=instance).success
    assert not orphan.exists()


def test_studies_that_nobody_goes_on_with_are_removed_after_a_while_and_none_while_one_is_at_work(site: Site) -> None:
    folder = site.place.studies / "shop"
    folder.mkdir(parents=True)
    old, young = folder / "old.db", folder / "young.db"
    for path in (old, young):
        path.write_bytes(b"trials")
    now = datetime.now(UTC)
    before = (now - KEEP.versions - timedelta(minutes=1)).timestamp()
    os.utime(old, (before, before))
    with FileLock(lock_of(folder)):
        assert not [fate for fate in collect(site, KEEP, now, remove=True).going if fate.what == "study"]
    assert [fate.name for fate in collect(site, KEEP, now, remove=False).going if fate.what == "study"] == ["old"]
    assert old.exists()
    collect(site, KEEP, now, remove=True)
    assert (old.exists(), young.exists()) == (False, True)
