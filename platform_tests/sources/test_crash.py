"""Whatever dies or races while files are taken, the ledger holds: count = distinct = expected."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from headrace.core.errors import StoreError
from headrace.store.digest import rows_digest
from headrace.store.site import Site
from headrace.store.tables import Addition
from platform_tests.sources.ferries import RAW, crossing, csv, ferry_line, land_file, raw_rows, take

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
WORK = """
import sys
from pathlib import Path
from platform_tests.sources.ferries import ferry_line, take
site = ferry_line(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
take(site)
"""


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def worker() -> Iterator[Start]:
    """Return what starts a process that ingests once it is told to go; it ends with the test."""
    with ExitStack() as open_processes:

        def start(site: Site, **env: str) -> subprocess.Popen[str]:
            path = os.pathsep.join([str(ROOT / "platform"), str(ROOT)])
            process = open_processes.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", WORK, str(site.place.root)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    env={**os.environ, "PYTHONPATH": path, **env},
                )
            )
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
            return process

        yield start


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    process.stdin.write("go\n")
    process.stdin.flush()


def land_ledger(site: Site, files: int = 20, rows: int = 50) -> int:
    """Land numbered rows and return how many there are."""
    for f in range(files):
        land_file(
            site,
            f"crossings/{f:03d}.csv",
            csv(crossing(f * rows + n, f"2013-03-{f % 20 + 1:02d}") for n in range(rows)),
        )
    return files * rows


def assert_ledger(site: Site, expected: int) -> None:
    crossings = [name for (name,) in raw_rows(site, "crossing")]
    assert len(crossings) == len(set(crossings)) == expected


@pytest.mark.parametrize("first", [True, False], ids=["first ingestion", "later ingestion"])
@pytest.mark.parametrize("point", ["before_staging", "committed"])
def test_a_kill_at_a_named_place_loses_and_doubles_nothing(
    tmp_path: Path, point: str, first: bool, worker: Start
) -> None:
    site, clean = ferry_line(tmp_path / "killed"), ferry_line(tmp_path / "clean")
    if not first:
        land_file(site, "crossings/000.csv", csv([crossing(9999)]))
        take(site)
    expected = land_ledger(site)
    process = worker(site, FAILPOINT=point)
    go(process)
    assert process.wait(timeout=60) == -signal.SIGKILL
    take(site)
    assert_ledger(site, expected)
    land_ledger(clean)
    take(clean)
    assert rows_digest(site.tables.read(RAW)) == rows_digest(clean.tables.read(RAW))


@pytest.mark.slow
def test_kills_at_any_moment_lose_and_double_nothing(tmp_path: Path, worker: Start) -> None:
    site, chance = ferry_line(tmp_path), random.Random(7)
    expected = land_ledger(site, files=60)
    for _ in range(8):
        process = worker(site)
        go(process)
        time.sleep(chance.uniform(0.0, 0.25))
        process.kill()
        process.wait()
    take(site)
    assert_ledger(site, expected)


@pytest.mark.slow
def test_eight_processes_at_once_take_each_file_once(tmp_path: Path, worker: Start) -> None:
    site = ferry_line(tmp_path)
    expected = land_ledger(site)
    processes = [worker(site) for _ in range(8)]
    for process in processes:
        go(process)
    assert [process.wait(timeout=120) for process in processes] == [0] * 8
    assert_ledger(site, expected)


def test_without_the_lock_the_table_itself_refuses_a_file_that_another_process_has_added(tmp_path: Path) -> None:
    site = ferry_line(tmp_path)
    land_file(site, "crossings/a.csv", csv([crossing(1)]))
    take(site)
    rows = site.tables.read(RAW)
    added, looked_at = Addition(rows, {"landing/crossings/b.csv": "digest"}), site.tables.version(RAW)
    site.tables.add_files(RAW, added, after=looked_at)
    with pytest.raises(StoreError, match=r"Another run wrote .* run this again"):
        site.tables.add_files(RAW, added, after=looked_at)
    assert site.tables.read(RAW).num_rows == 2


def test_without_the_lock_two_first_ingestions_make_one_table(tmp_path: Path) -> None:
    site = ferry_line(tmp_path)
    land_file(site, "crossings/a.csv", csv([crossing(1)]))
    take(site)
    rows = site.tables.read(RAW)
    added = Addition(rows, {"landing/crossings/a.csv": "digest"})
    site.tables.add_files("ferry/raw/other", added, after=None)
    with pytest.raises(StoreError, match=r"Another run created .* run this again"):
        site.tables.add_files("ferry/raw/other", added, after=None)


def test_a_process_that_has_read_a_table_ends_with_code_0(tmp_path: Path, worker: Start) -> None:
    site = ferry_line(tmp_path)
    land_ledger(site, files=2)
    take(site)
    for _ in range(3):
        process = worker(site)
        go(process)
        assert process.wait(timeout=60) == 0
