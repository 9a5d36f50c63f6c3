"""The journal: every prediction is kept once, with what was served; a killed process loses one batch at most."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from headrace.core.declaration import Identity
from headrace.core.hashed import hidden
from headrace.core.place import Place
from headrace.serving.gather import gather_predictions
from headrace.serving.journal import BATCH, ROOM, Entry, Journal, journal_folder, rows_of, segments
from headrace.store.site import Site
from platform_tests.serving.bar import until

TYPES = pa.schema([("customer", pa.string()), ("price", pa.float64()), ("status", pa.string())])
WIDER = pa.schema([*TYPES, ("visits", pa.int64())])
AT = datetime(2024, 5, 1, 12, tzinfo=UTC)
ENTRY = Entry(
    request="r1", row=0, at=AT, received=AT.timestamp(), entity="o1", release=1, model="m", role="live", features_version=2,
    status=200, degraded=False, score=0.5, milliseconds=1.5, key="k", values={"customer": "c1", "price": 2.0, "status": "new"},
    types=TYPES,
)  # fmt: skip
WRITES = """
import sys, time
from pathlib import Path
from headrace.serving.journal import Journal
from platform_tests.serving.test_journal import ENTRY
journal = Journal(Path(sys.argv[1]))
for number in range(int(sys.argv[2])):
    journal.take(ENTRY._replace(request=f"r{number}"))
print("taken", flush=True)
time.sleep(600)
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(Identity(product="shop"), tmp_path, Place.at(tmp_path))


def folder(site: Site) -> Path:
    return journal_folder(site.place, "shop")


def kept(site: Site) -> list[Mapping[str, Any]]:
    rows: list[Mapping[str, Any]] = site.tables.read("shop/predictions/online").to_pylist()
    return rows


def test_a_prediction_is_kept_with_what_was_served(site: Site) -> None:
    journal = Journal(folder(site))
    journal.take(ENTRY)
    journal.close()
    assert gather_predictions(site).rows == 1
    [row] = kept(site)
    assert (row["request"], row["score"], row["customer"], row["price"]) == ("r1", 0.5, "c1", 2.0)
    assert (row["at"], row["received"], row["_day"]) == (AT, AT, AT.date())
    assert not list(folder(site).iterdir())


def test_a_column_that_every_prediction_has_stands_beside_the_requests_own(site: Site) -> None:
    journal = Journal(folder(site))
    journal.take(ENTRY)
    journal.close()
    gather_predictions(site)
    [row] = kept(site)
    assert (row["status"], row["status_"]) == (200, "new")


def test_many_are_kept_in_batches_each_once(site: Site) -> None:
    journal = Journal(folder(site))
    for number in range(3 * BATCH + 7):
        journal.take(ENTRY._replace(request=f"r{number}"))
    journal.close()
    assert gather_predictions(site).rows == 3 * BATCH + 7
    assert gather_predictions(site).rows == 0
    assert sorted(row["request"] for row in kept(site)) == sorted(f"r{n}" for n in range(3 * BATCH + 7))


def test_other_columns_begin_another_segment_and_the_table_widens(site: Site) -> None:
    journal = Journal(folder(site))
    journal.take(ENTRY)
    journal.take(ENTRY._replace(request="r2", types=WIDER, values={**ENTRY.values, "visits": 7}))
    journal.close()
    assert len(list(segments(folder(site)))) == 2
    gather_predictions(site)
    assert {row["request"]: row["visits"] for row in kept(site)} == {"r1": None, "r2": 7}


def test_declared_columns_are_kept_as_keyed_hashes_alone(site: Site) -> None:
    journal = Journal(folder(site), hashed=["customer", "order_id"], entity="order_id", secret=b"s")
    journal.take(ENTRY._replace(values={**ENTRY.values, "customer": "customer one"}))
    journal.take(ENTRY._replace(request="r2", values={**ENTRY.values, "customer": None}))
    journal.close()
    gather_predictions(site)
    rows = {row["request"]: row for row in kept(site)}
    assert rows["r1"]["customer"] == hidden("customer one", b"s") != hidden("customer one", b"t")
    assert rows["r1"]["entity"] == hidden("o1", b"s")
    assert rows["r2"]["customer"] is None
    data = b"".join(path.read_bytes() for path in site.place.tables.rglob("*.parquet"))
    assert b"customer one" not in data


def test_what_finds_no_room_is_counted(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.serving.journal.ROOM", 10)
    monkeypatch.setattr("headrace.serving.journal.WAIT_SECONDS", 60.0)
    journal = Journal(folder(site))
    for _ in range(25):
        journal.take(ENTRY)
    journal.close()
    assert gather_predictions(site).dropped == 15
    assert ROOM > 10


def test_a_killed_process_loses_no_batch_that_was_written(site: Site) -> None:
    command = [sys.executable, "-c", WRITES, str(folder(site)), str(4 * BATCH)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "taken"
        until(lambda: _written(site) >= 4 * BATCH)
        assert not list(segments(folder(site)))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert gather_predictions(site).rows == 4 * BATCH


def _written(site: Site) -> int:
    paths = list(folder(site).glob("*.open"))
    return sum(found.num_rows for path in paths if (found := rows_of(path)))


@pytest.mark.parametrize("cut", [1, 100, 1000])
def test_a_torn_segment_gives_its_whole_batches(site: Site, cut: int) -> None:
    journal = Journal(folder(site))
    for number in range(2 * BATCH):
        journal.take(ENTRY._replace(request=f"r{number}"))
    journal.close()
    [path] = segments(folder(site))
    path.write_bytes(path.read_bytes()[:-cut])
    rows = gather_predictions(site).rows
    assert BATCH <= rows <= 2 * BATCH


def test_a_segment_of_nothing_is_cleared_away(site: Site) -> None:
    folder(site).mkdir(parents=True)
    (folder(site) / "1-1.arrows").write_bytes(b"\0\1")
    assert gather_predictions(site).rows == 0
    assert not list(folder(site).iterdir())


def test_a_gathering_that_was_killed_takes_nothing_in_twice(site: Site) -> None:
    journal = Journal(folder(site))
    journal.take(ENTRY)
    journal.close()
    code = (
        "import sys; from pathlib import Path; from headrace.core.declaration import Identity; "
        "from headrace.core.place import Place; from headrace.store.site import Site; "
        "from headrace.serving.gather import gather_predictions; root = Path(sys.argv[1]); "
        "gather_predictions(Site(Identity(product='shop'), root, Place.at(root)))"
    )
    environment = dict(os.environ) | {"FAILPOINT": "predictions_gathered"}
    done = subprocess.run([sys.executable, "-c", code, str(site.place.root)], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    assert list(segments(folder(site)))
    assert gather_predictions(site).rows == 0
    assert len(kept(site)) == 1
    assert not list(folder(site).iterdir())


def test_a_disk_that_takes_nothing_costs_what_came_meanwhile_and_that_is_counted(site: Site) -> None:
    folder(site).parent.mkdir(parents=True)
    folder(site).write_text("in the way")
    journal = Journal(folder(site))
    journal.take(ENTRY)
    until(lambda: journal.lost == 1)
    folder(site).unlink()
    journal.take(ENTRY._replace(request="r2"))
    journal.close()
    assert gather_predictions(site).dropped == 1
    assert [row["request"] for row in kept(site)] == ["r2"]
