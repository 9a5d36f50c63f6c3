"""Eight processes at the same assets at the same moment: one winner a round, and the ledger holds."""

import multiprocessing
import os
import signal
import subprocess
import sys
from multiprocessing.synchronize import Barrier
from pathlib import Path

import dagster as dg
import pytest

from headrace.core.days import Days
from headrace.core.errors import StoreError
from headrace.sources.assets import source_assets
from headrace.store.digest import contents_of
from headrace.store.site import Site
from headrace.store.tables import DAY
from platform_tests.sources.ferries import CROSSINGS, RAW, crossing, csv, ferry_line, land_file, raw_rows, take

ROOT = Path(__file__).parents[2]
PROCESSES, ROUNDS, ROWS = 8, 50, 20
GOOD = "ferry/validated/crossings"


def land_round(site: Site, number: int) -> None:
    """Land the numbered rows of one round."""
    rows = [crossing(number * ROWS + n, f"2013-03-{number % 20 + 1:02d}") for n in range(ROWS)]
    land_file(site, f"crossings/{number:03d}.csv", csv(rows))


def race(root: Path, barrier: Barrier, wins: "multiprocessing.Queue[tuple[int, int]]") -> None:
    """Take what has landed and make the table that stands on it, in each round at the same moment as the others."""
    site = ferry_line(root)
    for number in range(ROUNDS):
        if barrier.wait(120) == 0:
            land_round(site, number)
        barrier.wait(120)
        take(site)
        rows = site.tables.read(RAW, columns=["crossing", DAY])
        days = Days(min(rows[DAY].to_pylist()), max(rows[DAY].to_pylist()))
        try:
            with site.tables.claim(GOOD, days) as fence:
                made = site.tables.replace(GOOD, rows, days=days, fence=fence)
        except StoreError:
            continue
        if made.changed:
            wins.put((number, made.rows))


@pytest.mark.slow
def test_over_fifty_rounds_each_has_one_winner_and_no_row_is_lost_or_doubled(tmp_path: Path) -> None:
    site = ferry_line(tmp_path)
    spawned = multiprocessing.get_context("spawn")
    barrier, wins = spawned.Barrier(PROCESSES), spawned.Queue()
    racers = [spawned.Process(target=race, args=(tmp_path, barrier, wins)) for _ in range(PROCESSES)]
    for racer in racers:
        racer.start()
    won = sorted(wins.get(timeout=300) for _ in range(ROUNDS))
    for racer in racers:
        racer.join(300)
    assert [racer.exitcode for racer in racers] == [0] * PROCESSES
    assert wins.empty()
    assert won == [(number, (number + 1) * ROWS) for number in range(ROUNDS)]

    expected = [f"c{n:03d}" for n in range(ROUNDS * ROWS)]
    assert sorted(name for (name,) in raw_rows(site, "crossing")) == sorted(expected)
    assert sorted(site.tables.read(GOOD)["crossing"].to_pylist()) == sorted(expected)
    assert [version.rows for version in site.tables.versions(RAW)] == [(n + 1) * ROWS for n in range(ROUNDS)]
    assert [version.rows for version in site.tables.versions(GOOD)] == [(n + 1) * ROWS for n in range(ROUNDS)]


RUN = """
import sys
from pathlib import Path
from platform_tests.sources.ferries import ferry_line
from platform_tests.sources.test_races import materialize
materialize(ferry_line(Path(sys.argv[1])))
"""


def materialize(site: Site) -> None:
    """Run the source's asset over March."""
    march = {"dagster/asset_partition_range_start": "2013-03-01", "dagster/asset_partition_range_end": "2013-03-31"}
    assert dg.materialize(source_assets(site, {"crossings": CROSSINGS}), tags=march).success


@pytest.mark.slow
def test_two_runs_of_a_source_at_once_write_down_what_the_table_holds(tmp_path: Path) -> None:
    site = ferry_line(tmp_path)
    land_file(site, "crossings/a.csv", csv([crossing(1), crossing(2, "2013-03-06")]))
    path = os.pathsep.join([str(ROOT / "platform"), str(ROOT)])
    env = {**os.environ, "PYTHONPATH": path, "FAILPOINT": "unrecorded", "FAILPOINT_ACTION": "stop"}
    with subprocess.Popen([sys.executable, "-c", RUN, str(tmp_path)], env=env) as first:
        _, status = os.waitpid(first.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        land_file(site, "crossings/b.csv", csv([crossing(3), crossing(4, "2013-03-07")]))
        materialize(site)
        first.send_signal(signal.SIGCONT)
        assert first.wait(timeout=60) == 0
    assert len(raw_rows(site, "crossing")) == 4
    assert site.ledger.contents(RAW) == contents_of(site.tables.scan(RAW))
