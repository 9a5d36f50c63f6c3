"""When the disk is full a write says where, leaves nothing behind, and works again once there is space."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from headrace.core.declaration import Identity
from headrace.core.errors import DiskFull
from headrace.core.place import Place
from headrace.store.site import Site
from platform_tests.sources.ferries import RAW, crossing, csv, ferry_line, land_file, raw_rows, take

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "platform"), str(ROOT)])}
FILLED = """
import resource, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
import dagster as dg
import numpy as np
import pyarrow as pa
from headrace.core.errors import DiskFull
from headrace.sources.assets import source_assets
from headrace.store.declaration import Keep
from headrace.store.retention import collect
from platform_tests.sources.ferries import CROSSINGS, ferry_line
site = ferry_line(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    WORK
except DiskFull as error:
    print(error)
"""
WRITE = 'site.tables.replace("ferry/features/x", pa.table({"v": np.random.default_rng(0).random(100_000)}))'
PUT = 'site.models.put({"model.txt": b"tree" * 100_000})'
RECORD = 'site.models.record("a" * 64, "profile", {"edges": "1" * 100_000})'
DECIDE = """site.releases.decide("ferry", {"outcome": "released", "model": "a" * 100_000, "at": datetime.now(UTC),
        "who": "a", "why": "b", "evidence": {}}, after=0)"""
RUN = """
    made = dg.materialize(source_assets(site, {"crossings": CROSSINGS}), raise_on_error=False, tags={
        "dagster/asset_partition_range_start": "2013-03-05", "dagster/asset_partition_range_end": "2013-03-05"})
    for event in made.get_step_failure_events():
        print(event.step_failure_data.user_failure_data.description)
"""


def on_a_full_disk(root: Path, work: str, most: int = 50_000) -> str:
    """Do some work where no file may grow beyond `most` bytes, and return what it says."""
    code = FILLED.replace("WORK", work.strip())
    command = [sys.executable, "-c", code, str(root), str(most)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    return done.stdout


def files_below(folder: Path) -> list[str]:
    ours = [p for p in folder.rglob("*") if p.is_file() and "_fences" not in p.parts]
    return sorted(str(path.relative_to(folder)) for path in ours)


@pytest.mark.parametrize(
    ("work", "folder"),
    [(WRITE, "tables"), (PUT, "models"), (RECORD, "models"), (DECIDE, "logs")],
    ids=["table", "model", "record", "log"],
)
def test_a_write_that_does_not_fit_says_where_and_leaves_nothing(tmp_path: Path, work: str, folder: str) -> None:
    site = ferry_line(tmp_path)
    said = on_a_full_disk(tmp_path, work)
    assert said.startswith(f"disk full at {site.place.home / folder}")
    assert "Free some space and run this again" in said
    assert files_below(site.place.home / folder) == []
    assert on_a_full_disk(tmp_path, work, most=10_000_000) == ""
    assert files_below(site.place.home / folder)


def test_a_run_on_a_full_disk_fails_with_these_words_and_the_next_is_fine(tmp_path: Path) -> None:
    site = ferry_line(tmp_path)
    land_file(site, "crossings/a.csv", csv([crossing(1)]))
    take(site)
    before = files_below(site.place.tables)
    land_file(site, "crossings/b.csv", csv(crossing(n, ship=os.urandom(20).hex()) for n in range(2, 3002)))
    assert on_a_full_disk(tmp_path, RUN).startswith(f"disk full at {site.place.tables / RAW}: '{RAW}' was not written")
    assert files_below(site.place.tables) == before
    assert len(raw_rows(site, "crossing")) == 1
    assert on_a_full_disk(tmp_path, RUN, most=10_000_000) == ""
    assert len(raw_rows(site, "crossing")) == 3001


GC = """collect(site, Keep(), datetime.now(UTC) + timedelta(days=40), remove=True)"""


def test_a_collection_on_a_full_disk_makes_room_first_and_removes_no_version_that_it_cannot_write_down(
    tmp_path: Path,
) -> None:
    site = ferry_line(tmp_path)
    for value in (1, 2):
        site.tables.replace("ferry/features/x", pa.table({"v": [value]}))
    orphan = site.place.tables / "ferry/features/x/part-00000-orphan.snappy.parquet"
    orphan.write_bytes(b"half a file")
    assert "no version was removed" in on_a_full_disk(tmp_path, GC, most=10)
    assert not orphan.exists()
    assert [site.tables.read("ferry/features/x", version=v)["v"][0].as_py() for v in (0, 1)] == [1, 2]
    assert on_a_full_disk(tmp_path, GC) == ""
    assert site.tables.removed("ferry/features/x").versions == {0}


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_small_disk_that_is_full_is_told_the_same_way(tmp_path: Path) -> None:
    small = tmp_path / ".headrace"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "none", str(small)], check=False)
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        site = Site(Identity(product="shop"), tmp_path, Place.at(tmp_path))
        site.tables.replace("shop/raw/x", pa.table({"v": [1]}))
        big = pa.table({"v": [os.urandom(20).hex() for _ in range(20_000)]})
        with pytest.raises(DiskFull, match=f"disk full at {small}/tables/shop/raw/x"):
            site.tables.replace("shop/raw/x", big)
        with pytest.raises(DiskFull, match=f"disk full at {small}/models"):
            site.models.put({"model.txt": b"tree" * 200_000})
        assert site.tables.read("shop/raw/x")["v"].to_pylist() == [1]
        assert len(list((small / "tables").rglob("*.parquet"))) == 1
        site.tables.replace("shop/raw/x", pa.table({"v": [2]}))
        assert site.tables.read("shop/raw/x")["v"].to_pylist() == [2]
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)
