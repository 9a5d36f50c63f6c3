"""Skew: found where it was planted, with its cause, and nowhere else."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from headrace.features.declaration import Feature
from headrace.online.declaration import Online
from headrace.online.gather import Gathered, gather, log_folder, requests_table
from headrace.online.log import Line, RequestLog
from headrace.online.lookup import OnlineFeatures
from headrace.online.publish import publish
from headrace.online.skew import Checked, check_skew
from headrace.store.online import open_online
from headrace.store.site import Site
from platform_tests.features.airline import LABEL, NOON, flight
from platform_tests.online.served import FEATURES, flights, requests, site_of

AT = NOON + timedelta(hours=2)
Table = pl.DataFrame


def serve(
    site: Site,
    *,
    by: Site | None = None,
    features: Mapping[str, Feature] = FEATURES,
    late: timedelta = timedelta(),
    share: str = "100%",
) -> int:
    """Publish what a site has (its own, or a wrong one), and serve requests from it one by one and many at once; log them."""
    by = by or site
    store, log = open_online(by.place, "air"), RequestLog(log_folder(site))
    publish(by, features, LABEL, Online.model_validate({"log": share, "back": "1d"}), store)
    online, rows = OnlineFeatures(store, "air", log), requests(60, first=AT)
    for request in rows.slice(0, 10).to_pylist():
        online.one(request, request["predict_at"] + late)
    if not late:
        online.features(rows.slice(10))
    log.close()
    store.close()
    return rows.num_rows


def wrong(site: Site, folder: Path, table: str, change: Callable[[Table], Table]) -> Site:
    """Return a site that has one feature table otherwise."""
    other = site_of(folder, site.tables.read("air/validated/flights").to_pylist(), at=AT)
    rows = change(pl.DataFrame(site.tables.read(f"air/features/{table}")))
    other.tables.replace(f"air/features/{table}", rows.to_arrow(compat_level=pl.CompatLevel.oldest()))
    return other


def found(checked: Checked) -> dict[str, str]:
    return {skew.feature: skew.cause for skew in checked.skews}


def checked(site: Site, features: Mapping[str, Feature] = FEATURES) -> Checked:
    return check_skew(site, features, LABEL)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return site_of(tmp_path / "air", flights(), at=AT)


def test_the_honest_product_has_none(site: Site) -> None:
    count = serve(site)
    told = checked(site)
    assert str(told) == f"{count} requests, {told.cells:,} values: nothing differs."
    assert told.cells > 1000


def test_what_comes_later_and_was_not_known_then_is_no_skew(tmp_path: Path, site: Site) -> None:
    serve(site)
    site_of(tmp_path / "air", [*flights(), flight(900, sched_dep=AT + timedelta(days=3))], at=AT)
    told = found(checked(site))
    assert set(told) == {"plane_flights"}, "only a table without time changes what held before"
    assert told["plane_flights"].startswith("stale store or late data: air/features/plane@0 as published")


def test_an_instant_of_another_zone(site: Site) -> None:
    serve(site, late=timedelta(hours=5))
    told = found(checked(site))
    assert "now_count_2h" in told
    assert set(told.values()) == {"time zone: the instant was read as one of another zone, 5 h later"}


def test_a_null_that_is_served_as_a_default(tmp_path: Path, site: Site) -> None:
    serve(
        site,
        by=wrong(
            site, tmp_path / "wrong", "now", lambda rows: rows.with_columns(pl.col("now_delay_std_2h").fill_null(-1.0))
        ),
    )
    assert found(checked(site)) == {"now_delay_std_2h": "default: null is served as -1.0"}


def test_the_step_beside_the_one_that_held(tmp_path: Path, site: Site) -> None:
    def one_step_off(rows: Table) -> Table:
        moved = pl.col("time").shift(-1).over("origin")
        return rows.with_columns(moved).filter(pl.col("time").is_not_null()).sort("time")

    serve(site, by=wrong(site, tmp_path / "wrong", "now", one_step_off))
    told = found(checked(site))
    assert told["now_count_2h"] == "window edge: the step before the one that held was served"
    assert told["calendar_twice"] == "it follows from other features that differ: " + ", ".join(list(told)[:3])
    assert all(name.startswith("now_") for name in told if name != "calendar_twice")


def test_a_stale_store(tmp_path: Path, site: Site) -> None:
    serve(site)
    site_of(
        tmp_path / "air",
        [
            *flights(),
            *(flight(n, sched_dep=AT + timedelta(minutes=60 * (n - 900)), dep_delay=30.0) for n in range(900, 950)),
        ],
        at=AT,
    )
    told = found(checked(site))
    assert "now_count_2h" in told
    assert all(cause.startswith("stale store or late data: air/features/") for cause in told.values()), told
    assert "air/features/now@0" in told["now_count_2h"]


def test_a_float_of_half_the_width(tmp_path: Path, site: Site) -> None:
    serve(
        site,
        by=wrong(
            site,
            tmp_path / "wrong",
            "now",
            lambda rows: rows.with_columns(pl.col("now_delay_mean_6h").cast(pl.Float32)),
        ),
    )
    assert found(checked(site)) == {"now_delay_mean_6h": "width: served as float32, trained on as float64"}


def test_texts_in_another_case(tmp_path: Path, site: Site) -> None:
    serve(
        site,
        by=wrong(
            site, tmp_path / "wrong", "plane", lambda rows: rows.with_columns(pl.col("plane_home").str.to_lowercase())
        ),
    )
    assert found(checked(site)) == {"plane_home": "letter case: the texts differ in case or blanks alone"}


def test_categories_in_another_order(tmp_path: Path, site: Site) -> None:
    swap = {"EWR": "JFK", "JFK": "EWR"}
    flown = [*flights(), flight(950, origin="JFK", tailnum="N3"), flight(951, origin="EWR", tailnum="N1")]
    flown = [row for row in flown if row["tailnum"] != "N3" or row["origin"] == "JFK"]
    site = site_of(tmp_path / "two", flown, at=AT)
    serve(
        site,
        by=wrong(site, tmp_path / "wrong", "plane", lambda rows: rows.with_columns(pl.col("plane_home").replace(swap))),
    )
    [(feature, cause)] = [item for item in found(checked(site)).items() if item[0].startswith("plane")]
    assert feature == "plane_home"
    assert cause.startswith("categories: they are mixed up")


def test_a_ttl_that_is_ignored(site: Site) -> None:
    gate = FEATURES["gate"].model_copy(update={"ttl": None})
    serve(site, features={**FEATURES, "gate": gate})
    told = found(checked(site))
    assert {"gate_slow", "gate_flight", "gate_age_minutes"} <= set(told)
    assert set(told.values()) == {"ttl: a row was served that is older than its table's ttl"}


def test_the_columns_of_an_entity_in_another_order(tmp_path: Path, site: Site) -> None:
    def turned(rows: Table) -> Table:
        return rows.rename({"origin": "tailnum", "tailnum": "origin"}).select(rows.columns)

    legs = [("EWR", "N1"), ("N1", "EWR"), ("JFK", "N2"), ("EWR", "N3"), ("JFK", "N1")] * 40
    flown = [
        flight(n, origin=origin, tailnum=tailnum, sched_dep=AT + timedelta(minutes=15 * n))
        for n, (origin, tailnum) in enumerate(legs)
    ]
    site = site_of(tmp_path / "legs", flown, at=AT)
    serve(site, by=wrong(site, tmp_path / "wrong", "leg", turned))
    told = found(checked(site))
    assert set(told) == {"leg_count_2h", "leg_plane_last_2h", "leg_plane_distinct_2h"}
    assert set(told.values()) == {"entity: looked up by tailnum, origin in the places of origin, tailnum"}


def test_a_request_column_that_is_renamed(site: Site) -> None:
    serve(site)
    text = (site.folder / "label.sql").read_text()
    (site.folder / "label.sql").write_text(text.replace("sched_dep, origin", "sched_dep as due, origin"))
    (site.folder / "calendar.sql").write_text((site.folder / "calendar.sql").read_text().replace("sched_dep", "due"))
    told = found(checked(site))
    assert set(told) == {"calendar_hour", "calendar_ahead"}
    assert set(told.values()) == {
        "request column: requests have no 'due'. The label's SQL has changed since it was published"
    }


def test_a_request_column_of_another_type(site: Site) -> None:
    (site.folder / "calendar.sql").write_text("select flight_id || '!' as mark, sched_dep::varchar as due from request")
    serve(site)
    text = (site.folder / "label.sql").read_text()
    (site.folder / "label.sql").write_text(
        text.replace("sched_dep, origin", "cast(sched_dep as date) as sched_dep, origin")
    )
    told = found(checked(site))
    assert told == {
        "calendar_due": "request column: 'sched_dep' is timestamp[us, tz=UTC] in requests, date32[day] in training. The label's SQL has changed since it was published"
    }


def test_sql_on_the_request_that_was_edited_since(site: Site) -> None:
    serve(site)
    file = site.folder / "calendar.sql"
    file.write_text(file.read_text().replace("now_delay_mean_2h * 2", "now_delay_mean_2h * 3"))
    assert found(checked(site)) == {
        "calendar_twice": "SQL: calendar.sql was edited since it was published. Materialize online/features"
    }


def test_a_feature_that_is_not_served(site: Site) -> None:
    serve(site, features={name: feature for name, feature in FEATURES.items() if name != "plane"})
    told = found(checked(site))
    assert set(told) == {"plane_home", "plane_flights"}
    assert all(cause.startswith("it is not served") for cause in told.values())


def test_only_the_declared_share_is_logged(site: Site) -> None:
    serve(site, share="0%")
    assert checked(site) == Checked(0, 0, 0, [])
    serve(site, share="50%")
    assert 10 < checked(site).requests < 50


def test_a_full_buffer_counts_what_it_drops_and_the_log_says_it(site: Site) -> None:
    log = RequestLog(log_folder(site), room=1)
    line = Line(AT, {}, {}, {}, {}, 1, {}, {})
    for _ in range(5000):
        log.offer(line)
    log.close()
    gathered = gather(site)
    assert log.dropped > 0
    assert gathered.dropped == log.dropped
    assert gathered.rows + gathered.dropped == 5000


def test_each_segment_goes_in_once_even_if_it_is_still_there(site: Site) -> None:
    serve(site)
    segment = next(log_folder(site).glob("*.jsonl"))
    kept = segment.read_bytes()
    assert gather(site).rows == 60
    segment.write_bytes(kept)
    assert gather(site).rows == 0
    assert not segment.exists()
    assert site.tables.count(requests_table(site)) == 60


def test_a_process_that_was_killed_loses_its_torn_line_and_says_so(site: Site) -> None:
    serve(site)
    segment = next(log_folder(site).glob("*.jsonl"))
    data = segment.read_bytes()
    segment.unlink()
    gone = log_folder(site) / "999999999-1000000000000000000.open"
    gone.write_bytes(data[:-20])
    assert gather(site) == Gathered(59, 1)
