"""Back-fills: the same rows however often and however late they are asked for, from one version of each table, in any memory."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from benchmarks.batch import memory
from headrace.core.days import Days
from headrace.features.declaration import Feature
from headrace.models.predict import load_predictor, score_rows
from headrace.releases.release import Request, release_model
from headrace.serving.score import Scored, score_days
from headrace.store.engine import TableView
from headrace.store.site import Site
from platform_tests.models.shop import LABEL, SPRING, gates, judged, model, orders, shop, trained
from platform_tests.monitoring.watched import at

APRIL = Days(date(2024, 4, 1), date(2024, 4, 9))
TABLE, HABIT = "shop/predictions/batch", "shop/features/habit"
FEATURES = {"habit": Feature(sql="habit.sql", entity="country", time="time")}


def habits(level: float = 1.0, *, late: bool = False) -> pa.Table:
    """Return what is known of each country from the first day on, and of Portugal another thing from April 5th on if asked."""
    rows: list[dict[str, Any]] = [
        {"country": country, "time": SPRING, "habit_level": level, "_day": SPRING.date()}
        for country in ("DE", "FR", "PT")
    ]
    moment = datetime(2024, 4, 5, tzinfo=UTC)
    more = [{"country": "PT", "time": moment, "habit_level": 9.0, "_day": moment.date()}] if late else []
    kinds = {
        "country": pa.string(),
        "time": pa.timestamp("us", "UTC"),
        "habit_level": pa.float64(),
        "_day": pa.date32(),
    }
    return pa.Table.from_pylist([*rows, *more], pa.schema(kinds))


def open_site(folder: Path, **identity: Any) -> Site:
    """Return a shop with a feature table, the clock at the end of March."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "label.sql").write_text("select * from orders")
    taught = orders().append_column("habit_level", pa.array([1.0] * 2000))
    site = shop(folder, taught, **{"start": SPRING.date(), "clock": "replay", **identity})
    site.tables.replace("shop/validated/orders", orders())
    site.tables.replace(HABIT, habits())
    at(site, datetime(2024, 3, 31, tzinfo=UTC))
    return site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return open_site(tmp_path)


def release(site: Site, test: str = "10d", trees: int = 5) -> str:
    declared = model(trees=trees, split={"test": test})
    digest = trained(site, declared)
    judged(site, digest, "auc >= 0.5", declared=declared)
    release_model(site, Request(digest, "a test", "to see"), gates("auc >= 0.5"))
    return digest


def kept(site: Site, days: Days = APRIL) -> Scored:
    scored = score_days(site, FEATURES, LABEL, days)
    site.tables.replace(TABLE, site.tables.widen(TABLE, scored.rows), days=days)
    return scored


def by_release(rows: pa.Table, number: int) -> pa.Table:
    return rows.filter(pc.equal(rows["release"], number))


def without_versions(rows: pa.Table) -> pa.Table:
    return rows.drop_columns(["feature_versions"])


def test_each_row_says_which_version_of_each_table_it_was_read_from(site: Site) -> None:
    release(site)
    at(site, datetime(2024, 4, 12, tzinfo=UTC))
    rows = kept(site).rows
    assert rows.num_rows == 450
    [said] = set(rows["feature_versions"].to_pylist())
    assert json.loads(said) == {"shop/validated/orders": 0, HABIT: 0}
    asked = f"""select feature_versions->>'$."{HABIT}"' as version, count(*) as rows from scores group by 1"""
    assert site.engine.query(asked, {"scores": TableView(TABLE)}).to_pylist() == [{"version": "0", "rows": 450}]


def test_a_backfill_that_is_asked_for_twice_leaves_the_same_files(site: Site) -> None:
    release(site)
    at(site, datetime(2024, 4, 12, tzinfo=UTC))
    kept(site)
    first = site.tables.snapshot(TABLE)
    kept(site)
    assert site.tables.snapshot(TABLE) == first


def test_a_feature_row_that_comes_late_changes_no_row_that_was_scored_and_is_seen_by_those_after_it(site: Site) -> None:
    release(site)
    at(site, datetime(2024, 4, 12, tzinfo=UTC))
    is_late = pc.equal(orders()["order_id"], "o01990")
    site.tables.replace("shop/validated/orders", orders().filter(pc.invert(is_late)))
    before = kept(site).rows
    site.tables.replace("shop/validated/orders", orders())
    site.tables.replace(HABIT, habits(late=True))
    after = kept(site)
    assert after.new == 1
    old = after.rows.filter(pc.not_equal(after.rows["order_id"], "o01990"))
    assert old.equals(before)
    [row] = after.rows.filter(pc.equal(after.rows["order_id"], "o01990")).to_pylist()
    assert json.loads(row["feature_versions"]) == {"shop/validated/orders": 2, HABIT: 1}


def test_days_that_were_scored_by_one_release_stay_so_when_another_is_live(site: Site) -> None:
    first = release(site)
    at(site, datetime(2024, 4, 4, tzinfo=UTC))
    early = Days(date(2024, 4, 1), date(2024, 4, 3))
    before = kept(site, early).rows
    at(site, datetime(2024, 4, 12, tzinfo=UTC))
    second = release(site, trees=7)
    rows = kept(site).rows
    assert rows.slice(0, before.num_rows).equals(before)
    assert set(rows.slice(before.num_rows)["model"].to_pylist()) == {second}
    assert first != second


def test_a_row_that_the_live_model_learned_from_is_scored_by_the_release_that_was_live_then(site: Site) -> None:
    first = release(site)
    at(site, datetime(2024, 4, 10, tzinfo=UTC))
    second = release(site, test="3d", trees=7)
    at(site, datetime(2024, 4, 12, tzinfo=UTC))
    scored = kept(site, Days(date(2024, 3, 29), date(2024, 4, 9)))
    learned = load_predictor(site.models, second).meta.train_to
    assert {share.release.model for share in scored.shares} == {first, second}
    theirs, own = by_release(scored.rows, 1), by_release(scored.rows, 2)
    assert pc.min(theirs["at"]).as_py() == datetime(2024, 3, 31, tzinfo=UTC), "nothing was live before"
    assert pc.max(theirs["at"]).as_py() <= learned < pc.min(own["at"]).as_py()
    assert theirs.num_rows + own.num_rows == 10 * 50
    for rows, digest in ((theirs, first), (own, second)):
        assert np.abs(rows["score"].to_numpy() - score_rows(rows, load_predictor(site.models, digest))).max() < 1e-12


def test_days_that_were_lost_come_back_as_they_were_scored_in_time(tmp_path: Path) -> None:
    in_time, lost = open_site(tmp_path / "one"), open_site(tmp_path / "other")
    lived = [day for day in APRIL if day <= date(2024, 4, 4)]
    for site in (in_time, lost):
        release(site)
        for day in lived:
            at(site, datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1))
            if site is in_time:
                kept(site, Days(day, day))
        at(site, datetime(2024, 4, 10, tzinfo=UTC))
        release(site, test="3d", trees=7)
        at(site, datetime(2024, 4, 12, tzinfo=UTC))
    back = kept(lost, Days(lived[0], lived[-1])).rows
    there = in_time.tables.read(TABLE).sort_by([("at", "ascending")])
    assert set(there["release"].to_pylist()) == {1}
    assert without_versions(back.select(there.column_names)).equals(without_versions(there))


def test_a_release_whose_model_is_gone_scores_nothing(site: Site) -> None:
    first = release(site)
    at(site, datetime(2024, 4, 10, tzinfo=UTC))
    release(site, test="3d", trees=7)
    at(site, datetime(2024, 4, 12, tzinfo=UTC))
    site.models.remove(first)
    assert set(kept(site).rows["release"].to_pylist()) == {2}


def test_what_is_scored_is_the_same_however_small_the_memory_is(tmp_path: Path) -> None:
    made = {}
    for size in ("2GiB", "1MiB"):
        site = open_site(tmp_path / size, memory=size)
        site.tables.replace("shop/validated/orders", many := orders(20_000))
        release(site)
        at(site, datetime(2024, 4, 12, tzinfo=UTC))
        even = many.take(pa.array(range(0, 20_000, 2)))
        site.tables.replace("shop/validated/orders", even)
        kept(site)
        site.tables.replace("shop/validated/orders", many)
        made[size] = kept(site)
    small, large = made["1MiB"], made["2GiB"]
    assert small.new == large.new == 2250
    assert small.rows.equals(large.rows)


@pytest.mark.slow
def test_a_backfill_that_is_larger_than_the_memory_stays_within_it() -> None:
    assert memory(1_500_000, "512MiB")
