"""The live model's scored days against its training set: real tables, real models."""

import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from headrace.core.days import DAY
from headrace.core.errors import StoreError
from headrace.models.predict import SCORE
from headrace.monitoring.drift import MISSING, PSI, Moved
from headrace.monitoring.watch import live_drift, newest_scored_day, tell_servers, with_history
from headrace.store.measured import read_drift
from headrace.store.releases import Release
from headrace.store.site import Site
from platform_tests.models.shop import orders
from platform_tests.monitoring.watched import (
    FIRST,
    LAST,
    at,
    monitors,
    open_shop,
    release,
    score,
    shifted,
    watched_shop,
    without_price,
)

POLICY = monitors().drift


def live(site: Site) -> Release:
    found = site.releases.live("shop")
    assert found is not None
    return found


def drift(site: Site) -> list[Moved]:
    return live_drift(site, live(site), POLICY)


def alarms(moved: list[Moved], day: date = LAST) -> set[tuple[str, str]]:
    return {(m.column, m.measure) for m in moved if m.alarms and m.day == day}


def test_nothing_is_scored_yet(tmp_path: Path) -> None:
    site = open_shop(tmp_path)
    release(site)
    assert newest_scored_day(site) is None
    assert drift(site) == []


def test_orders_like_those_before_have_not_moved(tmp_path: Path) -> None:
    moved = drift(watched_shop(tmp_path))
    assert alarms(moved) == set()
    assert {m.column for m in moved} == {"price", "country", "gift", "noise", SCORE}


def test_every_scored_day_with_a_whole_window_is_measured_once(tmp_path: Path) -> None:
    moved = drift(watched_shop(tmp_path))
    assert newest_scored_day(watched_shop(tmp_path / "again")) == LAST
    assert sorted({m.day for m in moved}) == [FIRST + DAY * i for i in range(2, 10)]
    assert len({(m.day, m.column, m.measure) for m in moved}) == len(moved)


def test_a_planted_shift_is_found_in_its_column_and_in_the_scores(tmp_path: Path) -> None:
    assert alarms(drift(watched_shop(tmp_path, shifted))) == {("price", PSI), (SCORE, PSI)}


def test_missing_values_are_found(tmp_path: Path) -> None:
    assert ("price", MISSING) in alarms(drift(watched_shop(tmp_path, without_price)))


def test_a_new_model_is_held_against_its_own_training_set_over_whole_windows(tmp_path: Path) -> None:
    site = watched_shop(tmp_path)
    first = live(site)
    second = release(site, trees=10)
    assert second.model != first.model
    moved = drift(site)
    assert {m.day for m in moved} == {LAST}
    assert SCORE not in {m.column for m in moved}
    assert {m.rows for m in moved} == {150}


def test_the_scores_of_a_new_model_do_not_shorten_the_window_of_its_features(tmp_path: Path) -> None:
    site = open_shop(tmp_path)
    release(site)
    score(site, FIRST, LAST - DAY)
    at(site, datetime(2024, 4, 9, tzinfo=UTC))
    release(site, trees=10)
    score(site, LAST, LAST)
    moved = [m for m in drift(site) if m.day == LAST]
    assert {m.rows for m in moved} == {150}
    assert SCORE not in {m.column for m in moved}


def test_a_feature_that_an_earlier_model_did_not_have_is_not_missing_in_its_rows(tmp_path: Path) -> None:
    site = watched_shop(tmp_path)
    richer = orders().append_column("weight", pa.array([float(i % 7) for i in range(2000)]))
    site.tables.replace("shop/training/set", richer)
    site.tables.replace("shop/validated/orders", richer)
    release(site, "it knows the weight", trees=10)
    assert "weight" not in {m.column for m in drift(site)}
    score(site, LAST + DAY, LAST + DAY)
    assert alarms(drift(site)) == set()


def test_what_was_measured_stays_where_nothing_can_be_measured_now(tmp_path: Path) -> None:
    site = watched_shop(tmp_path)
    model, moved = live(site).model, drift(site)
    site.tables.replace("shop/monitoring/drift", with_history(site, moved, model))
    assert with_history(site, [], model).num_rows == len(moved)
    newest = [m for m in moved if m.day == LAST]
    assert with_history(site, newest, model).num_rows == len(moved)


def test_a_profile_that_is_gone_is_said_and_not_taken_for_no_drift(tmp_path: Path) -> None:
    site = watched_shop(tmp_path)
    shutil.rmtree(site.place.models / "records")
    with pytest.raises(StoreError, match=r"The profile of the live model .* is gone"):
        drift(site)


def test_days_are_the_shops_local_days(tmp_path: Path) -> None:
    site = watched_shop(tmp_path, timezone="America/New_York")
    at(site, datetime(2024, 4, 10, tzinfo=UTC) + timedelta(hours=2))
    assert {m.day for m in drift(site)} <= {FIRST + DAY * i for i in range(10)}


def test_servers_are_told_how_far_each_column_has_moved_by_the_newest_day(tmp_path: Path) -> None:
    site = watched_shop(tmp_path, shifted)
    live = site.releases.live("shop")
    assert live
    moved = live_drift(site, live, monitors().drift)
    newest = [m for m in moved if m.day == LAST]
    tell_servers(site, live.model, newest)
    told = read_drift(site.place, "shop")
    assert told
    assert (told.model, told.day) == (live.model, LAST)
    [price] = [column for column in told.columns if (column.column, column.measure) == ("price", "psi")]
    assert price.value > price.limit
    tell_servers(site, live.model, [])
    assert read_drift(site.place, "shop") == told
