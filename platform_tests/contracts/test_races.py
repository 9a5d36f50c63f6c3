"""Two runs that write a long range in pieces: the one that claimed last writes all of its days, and nothing is mixed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from headrace.core.days import Days
from headrace.core.errors import FenceLost
from headrace.store.digest import contents_of, rows_digest
from headrace.store.doctor import diagnose
from headrace.store.site import Site
from platform_tests.contracts.test_assets import ASIDE, VALIDATED, run
from platform_tests.sources.ferries import crossing, csv, ferry_line, land_file

ROOT = Path(__file__).parents[2]
RUN = """
import sys
from pathlib import Path
from platform_tests.contracts.test_races import in_pieces
from platform_tests.sources.ferries import ferry_line
print(in_pieces(ferry_line(Path(sys.argv[1]))))
"""
PIECE = "committed:3"
"""Raw rows, then the two tables of the first piece."""


def in_pieces(site: Site) -> str:
    """Run the source and its contract over nine days, each a piece of its own; return what the run failed with."""
    result = run(site, "2013-03-01", "2013-03-09", memory="1MiB")
    failed = [event.step_failure_data.user_failure_data for event in result.get_step_failure_events()]
    return " ".join(failure.description for failure in failed)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = ferry_line(tmp_path)
    land(site, passengers="100")
    return site


def land(site: Site, passengers: str) -> None:
    wide = {"ship": "Ada" * 300, "passengers": passengers}
    rows = [crossing(day * 100 + n, f"2013-03-{day:02d}", **wide) for day in range(1, 10) for n in range(100)]
    land_file(site, "crossings/a.csv", csv(rows))


@contextmanager
def running(site: Site, action: str) -> Iterator[subprocess.Popen[str]]:
    """Yield a run that was killed, or has stopped, behind its first piece."""
    path = os.pathsep.join([str(ROOT / "platform"), str(ROOT)])
    env = {**os.environ, "PYTHONPATH": path, "FAILPOINT": PIECE, "FAILPOINT_ACTION": action}
    command = [sys.executable, "-c", RUN, str(site.place.root)]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
            yield process
        finally:
            process.kill()


@pytest.mark.slow
def test_a_run_that_was_outdated_between_two_pieces_writes_no_more_and_the_later_one_is_whole(
    site: Site, tmp_path: Path
) -> None:
    with running(site, "stop") as older:
        assert len(site.tables.versions(VALIDATED)) == 1
        land(site, passengers="200")
        assert in_pieces(site) == ""
        written = site.tables.version(VALIDATED)
        older.send_signal(signal.SIGCONT)
        assert "A later run has claimed" in older.communicate(timeout=60)[0]
    assert site.tables.version(VALIDATED) == written
    clean = ferry_line(tmp_path / "clean")
    land(clean, passengers="200")
    in_pieces(clean)
    for table in (VALIDATED, ASIDE):
        assert rows_digest(site.tables.read(table)) == rows_digest(clean.tables.read(table))
        assert site.ledger.contents(table) == contents_of(site.tables.scan(table))
    assert in_pieces(site) == ""
    assert site.tables.version(VALIDATED) == written


@pytest.mark.slow
def test_an_older_run_writes_nothing_between_two_pieces_of_a_later_one(site: Site) -> None:
    ninth = Days(date(2013, 3, 9), date(2013, 3, 9))
    assert in_pieces(site) == ""
    rows = site.tables.read(VALIDATED, days=ninth)
    land(site, passengers="200")
    with site.tables.claim(VALIDATED, ninth) as older, running(site, "stop") as later:
        with pytest.raises(FenceLost):
            site.tables.replace(VALIDATED, rows.slice(0, 1), days=ninth, fence=older)
        later.send_signal(signal.SIGCONT)
        assert later.communicate(timeout=60)[0].strip() == ""
    assert set(site.tables.read(VALIDATED)["passengers"].to_pylist()) == {200}


@pytest.mark.slow
def test_a_run_that_was_killed_between_two_pieces_has_left_its_claim_and_the_next_writes_all(site: Site) -> None:
    with running(site, "kill"):
        pass
    found = [finding.where for finding in diagnose(site.place, datetime.now(UTC), 0)]
    assert f"fence '{VALIDATED}'" in found
    assert in_pieces(site) == ""
    assert site.tables.count(VALIDATED) == 900
    assert list(diagnose(site.place, datetime.now(UTC), 0)) == []
