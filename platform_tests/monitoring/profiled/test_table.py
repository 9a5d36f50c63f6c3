"""Profiles that are kept: equal to those of the rows, made again only for days that were written since, summed to windows."""

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.days import DAY, Days
from headrace.models.meta import load_meta
from headrace.models.predict import MODEL, SCORE
from headrace.models.profile import merged_profiles, profile_of
from headrace.monitoring.drift import DayProfile
from headrace.monitoring.profiled.measured import measured_rows
from headrace.monitoring.profiled.table import batch_profiles, kept_profiles, write_profiles
from headrace.monitoring.watch import SCORE_INPUT, live_drift, reference_of, stale_profiles, watched_days
from headrace.store.releases import Release
from headrace.store.site import Site
from headrace.store.tables import DAY as TABLE_DAY
from platform_tests.models.shop import orders
from platform_tests.monitoring.watched import FIRST, LAST, monitors, release, shifted, watched_shop

POLICY = monitors().drift


def live(site: Site) -> Release:
    found = site.releases.live("shop")
    assert found
    return found


def keep(site: Site) -> list[Days]:
    """Bring the table up to date, and return the days that were made."""
    days = watched_days(site, live(site), POLICY)
    assert days
    made = stale_profiles(site, live(site), days)
    write_profiles(site, reference_of(site, live(site)), [made], "a test")
    return list(made.days)


def kept(site: Site) -> list[DayProfile]:
    return kept_profiles(site, reference_of(site, live(site)), "scored")


def test_what_is_kept_of_a_window_is_the_profile_of_its_rows(tmp_path: Path) -> None:
    site = watched_shop(tmp_path)
    assert keep(site) == [Days(FIRST - DAY * 2, LAST)] or keep(site) == []
    inputs = [*load_meta(site.models, live(site).model).inputs, SCORE_INPUT]
    rows = site.tables.read("shop/predictions/batch")
    whole = profile_of(rows, inputs, reference_of(site, live(site)).profile)
    assert merged_profiles([part.profile for part in kept(site)]) == whole
    assert len(kept(site)) == 10


def test_drift_is_the_same_whether_profiles_are_kept_or_made(tmp_path: Path) -> None:
    site = watched_shop(tmp_path, shifted)
    before = live_drift(site, live(site), POLICY)
    keep(site)
    assert live_drift(site, live(site), POLICY) == before
    assert any(moved.alarms for moved in before)


def test_drift_reads_kept_profiles_and_no_rows_of_those_days(tmp_path: Path) -> None:
    site = watched_shop(tmp_path)
    keep(site)
    before = live_drift(site, live(site), POLICY)
    table = site.tables.read("shop/monitoring/profiles")
    twice = pa.array([[2 * n for n in row] for row in table["counts"].to_pylist()], pa.list_(pa.int64()))
    place = table.schema.get_field_index("counts")
    site.tables.replace("shop/monitoring/profiles", table.set_column(place, "counts", twice))
    after = live_drift(site, live(site), POLICY)
    assert [2 * m.rows for m in before if m.column == "noise"] == [m.rows for m in after if m.column == "noise"]


def test_only_days_that_were_written_since_are_made_again(tmp_path: Path) -> None:
    site = watched_shop(tmp_path)
    assert keep(site)
    assert keep(site) == []
    before = kept(site)
    day = LAST - DAY
    rows = site.tables.read("shop/predictions/batch", days=Days(day, day))
    site.tables.replace("shop/predictions/batch", rows.slice(0, 7), days=Days(day, day))
    assert keep(site) == [Days(day, day)]
    changed = [one.day for one, other in zip(before, kept(site), strict=True) if one != other]
    assert changed == [day]
    assert keep(site) == []


def test_a_new_day_is_added_to_those_that_are_kept(tmp_path: Path) -> None:
    site = watched_shop(tmp_path)
    keep(site)
    rows = site.tables.read("shop/predictions/batch", days=Days(LAST, LAST))
    place = rows.schema.get_field_index(TABLE_DAY)
    next_day = rows.set_column(place, TABLE_DAY, pa.repeat(pa.scalar(LAST + DAY, pa.date32()), rows.num_rows))
    site.tables.replace("shop/predictions/batch", next_day, days=Days(LAST + DAY, LAST + DAY))
    assert keep(site) == [Days(LAST + DAY, LAST + DAY)]
    assert len(kept(site)) == 11


def test_a_new_model_has_profiles_of_its_own_bins_beside_those_of_the_one_before(tmp_path: Path) -> None:
    site = watched_shop(tmp_path)
    keep(site)
    first = live(site)
    release(site, trees=10)
    assert keep(site)
    told = site.tables.read("shop/monitoring/profiles")
    assert set(told["reference"].to_pylist()) == {first.model, live(site).model}
    assert SCORE not in {name for part in kept(site) for name in part.profile}


def test_bins_that_were_made_anew_for_the_same_model_are_other_bins(tmp_path: Path) -> None:
    site = watched_shop(tmp_path)
    keep(site)
    columns = load_meta(site.models, live(site).model).inputs
    other = profile_of(orders(500, seed=4), columns)
    score_of = reference_of(site, live(site)).profile[SCORE]
    site.models.record(live(site).model, "profile", other | {SCORE: score_of})
    assert kept(site) == []
    assert keep(site)


def test_one_pass_over_batches_of_any_size_finds_the_same_profiles(tmp_path: Path) -> None:
    site = watched_shop(tmp_path)
    rows = site.tables.read("shop/predictions/batch")
    inputs = {live(site).model: load_meta(site.models, live(site).model).inputs}
    reference = reference_of(site, live(site)).profile
    by = (TABLE_DAY, MODEL)
    ways = [
        sorted(
            ((p.day, p.profile) for p in batch_profiles(rows.to_batches(size), by, inputs, reference)),
            key=lambda p: p[0],
        )
        for size in (7, 100, None)
    ]
    assert ways[0] == ways[1] == ways[2]


def test_every_measure_of_the_newest_window_is_told_with_the_new_categories(tmp_path: Path) -> None:
    site = watched_shop(tmp_path)
    rows = site.tables.read("shop/predictions/batch")
    country = pc.if_else(pc.equal(rows[TABLE_DAY], pa.scalar(LAST)), "XX", rows["country"])
    place = rows.schema.get_field_index("country")
    site.tables.replace("shop/predictions/batch", rows.set_column(place, "country", country))
    keep(site)
    told = measured_rows(site, live(site), POLICY).to_pylist()
    assert {row["day"] for row in told} == {date(2024, 4, 9)}
    assert {row["measure"] for row in told if row["column"] == "price"} == {
        "missing", "psi", "jensen_shannon", "ks", "wasserstein",
    }  # fmt: skip
    [new] = [row for row in told if row["measure"] == "new_categories"]
    assert (new["column"], new["new"]) == ("country", ["XX"])
    assert new["p"] < 1e-9
    assert {row["rows"] for row in told} == {150}
