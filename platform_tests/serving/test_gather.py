"""Predictions are taken in once, whoever gathers at the same moment; days that are over lie in few files, with the same rows."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest

from headrace.core.days import Days
from headrace.core.declaration import Identity
from headrace.core.errors import StoreError
from headrace.core.hashed import hidden
from headrace.core.place import Place
from headrace.online import log as requests_log
from headrace.serving import journal
from headrace.serving.assets import NOT_LOST, served_assets
from headrace.serving.compact import compact_days
from headrace.serving.declaration import Serve
from headrace.serving.gather import Gathered, gather_predictions
from headrace.serving.journal import Entry, Journal, journal_folder
from headrace.serving.lately import served_lately
from headrace.store.digest import rows_digest
from headrace.store.site import Site
from platform_tests.serving.test_journal import ENTRY

TABLE = "shop/predictions/online"
DAY, NOON = date(2024, 5, 1), datetime(2024, 5, 1, 12, tzinfo=UTC)
GATHERS = """
import sys, time
from datetime import UTC, date, datetime
from pathlib import Path
from headrace.core.declaration import Identity
from headrace.core.place import Place
from headrace.serving.compact import compact_days
from headrace.serving.gather import gather_predictions
from headrace.store.site import Site
site = Site(Identity(product="shop"), Path(sys.argv[1]), Place.at(Path(sys.argv[1])))
rows, end = 0, time.monotonic() + 120
print("ready", flush=True)
while time.monotonic() < end:
    over = (site.place.root / "over").exists()
    rows += gather_predictions(site).rows
    if sys.argv[2] == "compacts":
        compact_days(site, date(2024, 5, 2))
    if over:
        break
print(rows)
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(Identity(product="shop"), tmp_path, Place.at(tmp_path))


def at(moment: datetime, request: str = "r", **changes: object) -> Entry:
    return ENTRY._replace(request=request, received=moment.timestamp(), **changes)


def serve(site: Site, entries: Sequence[Entry]) -> None:
    """Write predictions into a segment of their own."""
    written = Journal(journal_folder(site.place, "shop"))
    for entry in entries:
        written.take(entry)
    written.close()


def requests(site: Site) -> Counter[str]:
    return Counter(site.tables.read(TABLE, columns=["request"])["request"].to_pylist())


def run(site: Site, serve: Serve | None = None) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        assets = served_assets(site, serve or Serve.model_validate({"online": {}}))
        return dg.materialize(assets, instance=instance, raise_on_error=False)


def test_two_gatherers_and_one_who_compacts_lose_nothing_and_take_nothing_twice(site: Site) -> None:
    command = [sys.executable, "-c", GATHERS, str(site.place.root)]
    with (
        subprocess.Popen([*command, "gathers"], stdout=subprocess.PIPE, text=True) as one,
        subprocess.Popen([*command, "compacts"], stdout=subprocess.PIPE, text=True) as other,
    ):
        for process in (one, other):
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for number in range(40):
            serve(site, [at(NOON, f"{number}-{row}") for row in range(25)])
        (site.place.root / "over").touch()
        told = [int(process.communicate(timeout=60)[0]) for process in (one, other)]
    assert requests(site) == Counter({f"{number}-{row}": 1 for number in range(40) for row in range(25)})
    assert sum(told) == 1000
    assert not list(journal_folder(site.place, "shop").iterdir())


@pytest.mark.parametrize(("room", "closed"), [(journal, ".arrows"), (requests_log, ".jsonl")])
def test_a_segment_that_is_closed_while_others_are_taken_in_waits_for_the_next_time(
    tmp_path: Path, room: object, closed: str
) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left = tmp_path / f"{gone.pid}-2.open"
    (tmp_path / f"1-1{closed}").touch()
    left.touch()
    found: Iterator[Path] = room.segments(tmp_path)  # type: ignore[attr-defined]
    assert next(found).name == f"1-1{closed}"
    left.rename(left.with_suffix(closed))
    assert not list(found)


def test_a_day_that_is_over_lies_in_one_file_in_order_with_the_same_rows(site: Site) -> None:
    for number in range(5):
        serve(site, [at(NOON + timedelta(hours=h, minutes=-number), f"{number}-{h}") for h in (0, 10, 13)])
        gather_predictions(site)
    before = site.tables.read(TABLE)
    assert len(site.tables.files(TABLE)) >= 5
    assert compact_days(site, date(2024, 5, 2)) == [DAY]
    after = site.tables.read(TABLE)
    assert rows_digest(after) == rows_digest(before)
    snapshot = site.tables.snapshot(TABLE)
    assert snapshot
    assert sum(days.first == DAY for days in snapshot.files.values() if days) == 1
    received = [row["received"] for row in after.to_pylist() if row["_day"] == DAY]
    assert received == sorted(received)
    assert compact_days(site, date(2024, 5, 2)) == []


def test_a_day_that_is_not_over_stays_as_it_is(site: Site) -> None:
    for _ in range(3):
        serve(site, [at(NOON)])
        gather_predictions(site)
    version = site.tables.version(TABLE)
    assert compact_days(site, DAY) == []
    assert site.tables.version(TABLE) == version


def test_a_large_day_may_lie_in_several_files_and_is_not_written_again_each_time(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.serving.compact.ROWS_A_FILE", 10)
    for _ in range(3):
        serve(site, [at(NOON)] * 10)
        gather_predictions(site)
    assert compact_days(site, date(2024, 5, 2)) == []


def test_what_comes_for_a_compacted_day_is_taken_in_and_nothing_that_was_there(site: Site) -> None:
    for number in range(3):
        serve(site, [at(NOON, f"r{number}")])
        gather_predictions(site)
    compact_days(site, date(2024, 5, 2))
    serve(site, [at(NOON, "late")])
    assert gather_predictions(site).rows == 1
    assert requests(site) == Counter(["r0", "r1", "r2", "late"])


def test_other_rows_than_those_that_are_there_are_not_written_in_their_place(site: Site) -> None:
    serve(site, [at(NOON, "r0"), at(NOON, "r1")])
    gather_predictions(site)
    rows = site.tables.read(TABLE)
    with pytest.raises(StoreError, match=r"has other rows by now"):
        site.tables.rewrite(TABLE, rows.slice(1), days=Days(DAY, DAY), why="a test")
    assert rows_digest(site.tables.read(TABLE)) == rows_digest(rows)


def test_figures_are_those_of_the_rows_of_seven_days(site: Site) -> None:
    chance = np.random.default_rng(3)
    took = chance.lognormal(1, 1, 500)
    serve(site, [at(NOON, f"r{n}", milliseconds=ms, degraded=n % 5 == 0) for n, ms in enumerate(took)])
    serve(site, [at(NOON, "bad", status=503, score=None, milliseconds=9999.0)])
    serve(site, [at(NOON, "beside", role="shadow", release=2, milliseconds=9999.0)])
    serve(site, [at(NOON - timedelta(days=8), "old", milliseconds=9999.0)])
    gather_predictions(site)
    found = served_lately(site, NOON + timedelta(hours=1))
    assert (found.rows, found.failed, found.lost, found.newest) == (502, 1, 0, NOON)
    assert (found.p50_ms, found.p99_ms) == pytest.approx(tuple(np.quantile(took, [0.5, 0.99])))
    assert found.degraded == pytest.approx(0.2)
    assert [(r["release"], r["role"], r["rows"]) for r in found.releases] == [(1, "live", 501), (2, "shadow", 1)]
    assert served_lately(site, NOON + timedelta(days=8)).rows == 0


def test_the_asset_gathers_and_says_what_was_served(site: Site) -> None:
    now = datetime.now(UTC)
    for day in (3, 2, 2, 0):
        serve(site, [at(now - timedelta(days=day), f"{day}-{row}") for row in range(4)])
        if day:
            gather_predictions(site)
    result = run(site)
    assert result.success
    [made] = result.asset_materializations_for_node("shop__predictions__online")
    facts = {name: value.value for name, value in made.metadata.items()}
    assert (facts["dagster/row_count"], facts["new rows"], facts["rows of 7 days"]) == (16, 4, 16)
    assert (facts["p50 of 7 days, ms"], facts["p99 of 7 days, ms"]) == (1.5, 1.5)
    assert (facts["degraded share of 7 days"], facts["lost of 7 days"], facts["failed of 7 days"]) == (0.0, 0, 0)
    [released] = facts["by release of 7 days"].records
    assert released.data == {"release": 1, "model": "m", "role": "live", "rows": 16, "features": 2}
    assert (now - timedelta(days=2)).date().isoformat() in facts["compacted days"]
    [check] = result.get_asset_check_evaluations()
    assert check.passed
    assert check.description == "None of the 16 predictions of the last 7d was lost."


def test_the_check_fails_where_predictions_were_answered_and_not_kept(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.serving.journal.ROOM", 10)
    monkeypatch.setattr("headrace.serving.journal.WAIT_SECONDS", 60.0)
    serve(site, [at(datetime.now(UTC))] * 25)
    [check] = run(site).get_asset_check_evaluations()
    assert (check.check_name, check.passed, check.severity) == (NOT_LOST, False, dg.AssetCheckSeverity.ERROR)
    assert check.metadata["value"].value == 15
    assert str(check.description).startswith("15 predictions of the last 7d were answered and not kept, beside 10 that")


def test_before_anything_is_served_the_asset_is_empty_and_its_check_passes(site: Site) -> None:
    result = run(site)
    assert result.success
    [check] = result.get_asset_check_evaluations()
    assert (check.passed, check.description) == (True, "Nothing was served in the last 7d.")
    assert not site.tables.exists(TABLE)


def test_nothing_new_keeps_the_data_version_also_where_files_were_compacted(site: Site) -> None:
    def version() -> str:
        [made] = run(site).asset_materializations_for_node("shop__predictions__online")
        return str((made.tags or {})["dagster/data_version"])

    now = datetime.now(UTC)
    for number in range(2):
        serve(site, [at(now - timedelta(days=2), f"r{number}")])
        gather_predictions(site)
    first = version()
    assert len(site.tables.files(TABLE)) == 1
    assert version() == first
    serve(site, [at(now, "new")])
    assert version() != first


@pytest.mark.parametrize("serve", [{}, {"online": {}, "predictions": {"share": 0}}])
def test_a_product_that_keeps_no_predictions_has_no_such_asset(site: Site, serve: dict[str, object]) -> None:
    assert served_assets(site, Serve.model_validate(serve)) == []


def test_a_column_that_comes_in_another_type_stands_beside_the_one_that_it_was(site: Site) -> None:
    serve(site, [at(NOON, "number")])
    hiding = Journal(journal_folder(site.place, "shop"), hashed=["price"], secret=b"s")
    hiding.take(at(NOON, "hidden"))
    hiding.close()
    assert gather_predictions(site) == Gathered(2, 0)
    whole = pa.schema([pa.field(c.name, pa.int64() if c.name == "price" else c.type) for c in ENTRY.types])
    serve(site, [at(NOON, "whole", types=whole, values={**ENTRY.values, "price": 3})])
    hiding = Journal(journal_folder(site.place, "shop"), hashed=["price"], secret=b"s")
    hiding.take(at(NOON, "hidden again"))
    hiding.close()
    assert gather_predictions(site) == Gathered(2, 0)
    rows = site.tables.read(TABLE, columns=["request", "price", "price_string"]).to_pylist()
    of_two = hidden(2.0, b"s")
    assert {row["request"]: (row["price"], row["price_string"]) for row in rows} == {
        "number": (2.0, None), "hidden": (None, of_two), "whole": (3.0, None), "hidden again": (None, of_two),
    }  # fmt: skip
