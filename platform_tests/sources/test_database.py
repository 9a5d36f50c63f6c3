"""Rows of a real PostgreSQL: each window exactly once, late commits and changed rows too, whatever dies meanwhile."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from pydantic import ValidationError

from headrace.core.days import Days, local_day
from headrace.core.errors import DataError, DeclarationError, StoreError
from headrace.sources.assets import source_assets
from headrace.sources.declaration import Database, Source
from headrace.sources.ingest import ingest
from headrace.sources.ingested import Ingested
from headrace.sources.pending import LOOK_ROWS, pending_files
from headrace.store.site import Site
from platform_tests.sources.ferries import ferry_line
from platform_tests.sources.postgres import running_postgres

ROOT = Path(__file__).parents[2]
RAW = "ferry/raw/orders"
NOON = datetime(2013, 3, 5, 12, tzinfo=UTC)
TABLE = """drop table if exists orders; create table orders (
  id bigint, ship text, price numeric(10, 2), sold_at timestamptz, local_at timestamp, about jsonb, updated_at timestamptz)"""
WORK = """
import os, sys
from pathlib import Path
from platform_tests.sources.test_database import orders, source_of, take_orders
take_orders(orders(Path(sys.argv[1]), os.environ["SHOP_DB"]), source_of(lag="10m", key="id"))
"""


def source_of(**changes: Any) -> Source:
    declared = {"url": "env:SHOP_DB", "table": "orders", "cursor": "updated_at", **changes}
    return Source.model_validate({"database": declared, "time": "sold_at", "partition": "day"})


def orders(root: Path, address: str) -> Site:
    site = ferry_line(root)
    return Site(site.product, site.folder, site.place, {"SHOP_DB": address})


def take_orders(site: Site, source: Source) -> Ingested:
    return ingest(site, "orders", source)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with running_postgres() as address:
        yield address


@pytest.fixture
def shop(address: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(address, autocommit=True) as shop:
        shop.execute(TABLE)
        yield shop


@pytest.fixture
def site(tmp_path: Path, address: str) -> Site:
    return orders(tmp_path, address)


def sell(shop: psycopg.Connection[Any], *ids: int, minutes: int = 0, ship: str = "Ada") -> None:
    """Insert orders, sold and updated some minutes after noon of 5 March 2013."""
    at = NOON + timedelta(minutes=minutes)
    for number in ids:
        values = (number, ship, "1.10", at, at.replace(tzinfo=None), '{"k": [1.10]}', at)
        shop.execute("insert into orders values (%s, %s, %s, %s, %s, %s, %s)", values)


def held(site: Site, *columns: str) -> list[tuple[Any, ...]]:
    rows = site.tables.read(RAW, columns=list(columns))
    return sorted(zip(*(rows[column].to_pylist() for column in columns), strict=True))


def test_each_window_is_taken_once_and_the_next_begins_where_it_ended(site: Site, shop: Any) -> None:
    sell(shop, 1, 2)
    first = take_orders(site, source_of())
    assert (first.files, first.rows, first.days) == (["orders#000001"], 2, (date(2013, 3, 5),))
    version = site.tables.version(RAW)
    assert take_orders(site, source_of()).rows == 0
    assert site.tables.version(RAW) == version
    sell(shop, 3, minutes=1)
    assert take_orders(site, source_of()).files == ["orders#000002"]
    assert held(site, "id", "_file", "_row") == [
        (1, "orders#000001", 1),
        (2, "orders#000001", 2),
        (3, "orders#000002", 1),
    ]


def test_the_record_of_a_window_stands_in_the_commit_of_its_rows(site: Site, shop: Any) -> None:
    sell(shop, 1)
    take_orders(site, source_of())
    newest = site.tables.history(RAW)[0]
    assert newest["headrace.window"] == '{"number": 1, "high": "2013-03-05T12:00:00+00:00", "rows": 1}'


def test_columns_keep_their_types_and_what_other_engines_do_not_know_becomes_text(site: Site, shop: Any) -> None:
    sell(shop, 1)
    take_orders(site, source_of())
    (row,) = site.tables.read(RAW, columns=["id", "price", "sold_at", "local_at", "about"]).to_pylist()
    assert (row["id"], str(row["price"]), row["sold_at"]) == (1, "1.10", NOON)
    assert (row["local_at"], row["about"]) == ("2013-03-05 12:00:00", '{"k": [1.1]}')


def test_a_row_with_the_same_cursor_value_that_comes_later_is_not_missed(site: Site, shop: Any) -> None:
    sell(shop, 1)
    take_orders(site, source_of())
    sell(shop, 2)
    take_orders(site, source_of())
    assert held(site, "id") == [(1,), (2,)]


@pytest.mark.parametrize(("lag", "caught"), [("10m", True), ("1m", False), (None, False)])
def test_a_commit_that_becomes_visible_late_is_caught_by_the_lag(
    site: Site, shop: Any, address: str, lag: str | None, caught: bool
) -> None:
    with psycopg.connect(address) as slow:
        sell(slow, 1, minutes=-5)
        sell(shop, 2)
        take_orders(site, source_of(lag=lag))
        assert held(site, "id") == [(2,)]
        slow.commit()
    take_orders(site, source_of(lag=lag))
    assert held(site, "id") == ([(1,), (2,)] if caught else [(2,)])


def test_two_equal_rows_are_two_rows_however_often_they_are_looked_at(site: Site, shop: Any) -> None:
    sell(shop, 1, 1)
    for _ in range(3):
        take_orders(site, source_of(lag="1d"))
    sell(shop, 1)
    take_orders(site, source_of(lag="1d"))
    assert held(site, "id") == [(1,), (1,), (1,)]


def test_a_changed_row_takes_the_place_of_its_earlier_version_which_stays_readable(site: Site, shop: Any) -> None:
    sell(shop, 1, 2)
    take_orders(site, source_of(key="id"))
    before = site.tables.version(RAW)
    later = NOON + timedelta(days=1)
    shop.execute("update orders set ship = 'Bea', sold_at = %s, updated_at = %s where id = 1", (later, later))
    found = take_orders(site, source_of(key="id"))
    assert (found.rows, found.days) == (1, (date(2013, 3, 5), date(2013, 3, 6)))
    assert held(site, "id", "ship", "_file") == [(1, "Bea", "orders#000002"), (2, "Ada", "orders#000001")]
    assert site.tables.read(RAW, version=before).num_rows == 2


def test_without_a_key_a_changed_row_stands_beside_its_earlier_version(site: Site, shop: Any) -> None:
    sell(shop, 1)
    take_orders(site, source_of())
    shop.execute("update orders set ship = 'Bea', updated_at = updated_at + interval '1 hour'")
    take_orders(site, source_of())
    assert held(site, "id", "ship") == [(1, "Ada"), (1, "Bea")]


def test_a_key_that_is_none_is_refused(site: Site, shop: Any) -> None:
    sell(shop, 1, 1)
    with pytest.raises(DataError, match="'orders' has 1 rows whose id another row has: that is no key"):
        take_orders(site, source_of(key="id"))


def sell_many(shop: psycopg.Connection[Any], rows: int, a_minute: int) -> None:
    """Insert orders, so many each minute from noon of 5 March 2013 on, all of a minute at the same moment."""
    shop.execute(
        """insert into orders select i, 'Ada', 1.10, at, at at time zone 'utc', '{}', at
        from (select i, %s::timestamptz + i / %s::int * interval '1 minute' as at from generate_series(0, %s::int - 1) i) sold""",
        (NOON, a_minute, rows),
    )


def test_a_large_table_is_many_windows_and_rows_of_one_moment_are_never_torn(site: Site, shop: Any) -> None:
    for minute in range(5):
        sell(shop, *range(minute * 10, minute * 10 + 4), minutes=minute)
    found = ingest(site, "orders", source_of(lag="2m", key="id"), most=3)
    assert len(found.files) == 5
    assert len(held(site, "id")) == len(set(held(site, "id"))) == 20


def test_rows_without_a_cursor_value_are_counted_and_named(site: Site, shop: Any) -> None:
    sell(shop, 1, 2)
    shop.execute("update orders set updated_at = null where id = 2")
    assert take_orders(site, source_of()).notes == ["1 rows of orders have no updated_at: they are not taken"]


def test_a_number_is_a_cursor_too(site: Site, shop: Any) -> None:
    sell(shop, 1, 2, 3)
    take_orders(site, source_of(cursor="id", lag=2))
    sell(shop, 4)
    assert take_orders(site, source_of(cursor="id", lag=2)).rows == 1
    assert held(site, "id") == [(1,), (2,), (3,), (4,)]


def test_a_table_without_days_holds_all_windows(site: Site, shop: Any) -> None:
    source = source_of(key="id").model_copy(update={"partition": None})
    sell(shop, 1, 2)
    take_orders(site, source)
    sell(shop, 3, minutes=1)
    take_orders(site, source)
    assert held(site, "id") == [(1,), (2,), (3,)]


def test_changed_sql_converts_all_windows_again(tmp_path: Path, address: str, shop: Any) -> None:
    site = orders(tmp_path, address)
    (site.folder / "crossings.sql").write_text("select *, upper(ship) as loud from landed")
    source = source_of(key="id").model_copy(update={"sql": "crossings.sql"})
    sell(shop, 1)
    take_orders(site, source)
    (site.folder / "crossings.sql").write_text("select *, ship || '!' as loud from landed")
    shop.execute("delete from orders")
    take_orders(site, source)
    assert held(site, "loud") == [("Ada!",)]
    sell(shop, 2)
    take_orders(site, source)
    assert held(site, "id", "loud") == [(1, "Ada!"), (2, "Ada!")]


def test_the_sensor_asks_for_a_window_once_and_not_before_it_is_due(site: Site, shop: Any) -> None:
    sources = {"orders": source_of(lag="10m").model_copy(update={"every": timedelta(minutes=1)})}
    sell(shop, 1)
    first = pending_files(site, sources, {}, 0.0, {})
    assert (first.files, first.touched) == ({"orders": ["orders#000001"]}, {date(2013, 3, 5)})
    assert pending_files(site, sources, {}, 59.0, first.looked).files == {}
    assert pending_files(site, sources, first.seen, 60.0, first.looked).files == {}
    sell(shop, 2, minutes=60 * 24)
    grown = pending_files(site, sources, first.seen, 60.0, first.looked)
    assert grown.touched == {date(2013, 3, 5), date(2013, 3, 6)}
    take_orders(site, sources["orders"])
    assert pending_files(site, sources, grown.seen, 120.0, grown.looked).files == {}


def test_a_database_without_every_is_never_asked_by_the_sensor(site: Site, shop: Any) -> None:
    sell(shop, 1)
    assert pending_files(site, {"orders": source_of()}, {}).files == {}


@pytest.mark.slow
def test_where_more_is_new_than_a_look_can_see_all_days_are_made(site: Site, shop: Any) -> None:
    sources = {"orders": source_of().model_copy(update={"every": timedelta(minutes=1)})}
    sell_many(shop, LOOK_ROWS - 1, a_minute=1000)
    assert pending_files(site, sources, {}).days == Days(date(2013, 3, 5), date(2013, 3, 5))
    sell(shop, LOOK_ROWS, minutes=60 * 24)
    assert pending_files(site, sources, {}).days == Days(
        date(2013, 3, 1), local_day(site.clock.now(), "America/New_York")
    )


def test_a_changed_row_touches_the_day_that_it_leaves(site: Site, shop: Any) -> None:
    source = source_of(key="id").model_copy(update={"every": timedelta(minutes=1)})
    sell(shop, 1)
    take_orders(site, source)
    later = NOON + timedelta(days=3)
    shop.execute("update orders set sold_at = %s, updated_at = %s", (later, later))
    assert pending_files(site, {"orders": source}, {}).touched == {date(2013, 3, 5), date(2013, 3, 8)}


@pytest.mark.slow
@pytest.mark.parametrize("later", [False, True], ids=["first window", "later window"])
@pytest.mark.parametrize("point", ["before_staging", "committed"])
def test_a_kill_at_each_failpoint_loses_and_doubles_nothing(
    tmp_path: Path, address: str, shop: Any, point: str, later: bool
) -> None:
    site = orders(tmp_path, address)
    sell(shop, *range(50))
    if later:
        take_orders(site, source_of(lag="10m", key="id"))
        sell(shop, *range(50, 80), minutes=5)
        shop.execute("update orders set updated_at = updated_at + interval '6 minutes' where id < 10")
    path = os.pathsep.join([str(ROOT / "platform"), str(ROOT)])
    env = {**os.environ, "PYTHONPATH": path, "FAILPOINT": point, "SHOP_DB": address}
    done = subprocess.run([sys.executable, "-c", WORK, str(tmp_path)], env=env, check=False)
    assert done.returncode == -signal.SIGKILL
    for _ in range(2):
        take_orders(site, source_of(lag="10m", key="id"))
    ids = [number for (number,) in held(site, "id")]
    assert len(ids) == len(set(ids)) == (80 if later else 50)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"table": "order"}, "has no table 'order'. Did you mean 'orders'?"),
        ({"cursor": "update_at"}, "'orders' has no column 'update_at'.*Did you mean 'updated_at'?"),
        ({"key": "idd"}, "has no column 'idd'"),
        ({"cursor": "id", "lag": "5m"}, "does not fit the cursor 'id', which is BIGINT"),
        ({"table": 'orders"; drop table orders; --'}, "has no table"),
    ],
)
def test_what_the_database_does_not_have_is_named(site: Site, shop: Any, changes: dict[str, Any], words: str) -> None:
    sell(shop, 1)
    if "lag" in changes:
        take_orders(site, source_of(cursor="id"))
    with pytest.raises(DeclarationError, match=words):
        take_orders(site, source_of(**changes))
    assert shop.execute("select count(*) from orders").fetchone() == (1,)


def test_a_column_that_was_renamed_is_refused_and_an_added_one_left_out(site: Site, shop: Any) -> None:
    sell(shop, 1)
    take_orders(site, source_of())
    shop.execute("alter table orders add column extra text; update orders set updated_at = now()")
    assert "extra; they are left out" in take_orders(site, source_of()).notes[0]
    shop.execute("alter table orders rename column ship to shipp; update orders set updated_at = now()")
    assert "lacks column 'ship'" in next(iter(take_orders(site, source_of()).refused.values()))


@pytest.mark.parametrize("secret", ["hunter2-canary"])
def test_a_database_that_is_away_says_so_without_its_password(tmp_path: Path, secret: str) -> None:
    site = orders(tmp_path, f"postgresql://shop:{secret}@127.0.0.1:1/postgres")
    with pytest.raises(StoreError, match=r"database of source 'orders' \(env:SHOP_DB\) cannot be asked") as away:
        take_orders(site, source_of())
    assert secret not in str(away.value)


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ({"database": {"url": "postgresql://u:p@h/d", "table": "t", "cursor": "c"}}, "should match pattern"),
        ({}, "has `files`, a `database` or a `dlt` function"),
        ({"files": "x.csv", "database": {"url": "env:X", "table": "t", "cursor": "c"}}, "say one of them"),
    ],
)
def test_a_source_says_one_place_and_no_secret(declared: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Source.model_validate(declared)


def test_the_asset_takes_a_table_and_writes_no_address_down(tmp_path: Path, address: str, shop: Any) -> None:
    site = orders(tmp_path / "site", address + "?application_name=canary7f3a")
    sell(shop, 1)
    home = tmp_path / "instance"
    home.mkdir()
    tags = {f"dagster/asset_partition_range_{end}": "2013-03-05" for end in ("start", "end")}
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        assert dg.materialize(source_assets(site, {"orders": source_of()}), instance=instance, tags=tags).success
    written = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert not [file for file in written if b"canary7f3a" in file.read_bytes()]
    assert isinstance(source_of().database, Database)
