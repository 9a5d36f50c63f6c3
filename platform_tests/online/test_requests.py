"""Features of whole requests are those of the training set: cell by cell, type by type."""

from datetime import timedelta
from pathlib import Path
from threading import Thread

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.core.errors import DataError, Refused
from headrace.features.training import label_rows, with_features
from headrace.online.declaration import Online
from headrace.online.lookup import OnlineFeatures
from headrace.online.publish import publish
from headrace.store.online import open_online
from headrace.store.site import Site
from platform_tests.features.airline import LABEL, NOON
from platform_tests.online.served import FEATURES, STORED, flights, opened, published, requests, site_of
from platform_tests.online.test_lookup import different

AT = NOON + timedelta(hours=2)


def offline(site: Site, rows: pa.Table) -> pa.Table:
    return with_features(site, FEATURES, LABEL, rows).drop_columns(rows.column_names)


@pytest.mark.slow
@given(sizes=st.tuples(st.integers(1, 50), st.integers(1, 60), st.integers(0, 30)), seed=st.integers(0, 2**32))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_served_at_an_instant_is_what_training_would_have_at_it(
    tmp_path_factory: pytest.TempPathFactory, address: str | None, sizes: tuple[int, int, int], seed: int
) -> None:
    count, flown, late = sizes
    at = NOON + timedelta(hours=late)
    site = site_of(tmp_path_factory.mktemp("air"), flights(flown, seed), at=at, address=address)
    rows = requests(count, seed, first=at)
    with opened(site) as (store, online):
        published(site, store)
        served, _ = online.features(rows)
        one = [online.one(row, row["predict_at"]).values for row in rows.to_pylist()[:3]]
    trained = offline(site, rows)
    assert served.schema == trained.schema
    assert different(served, trained) == []
    assert one == trained.to_pylist()[:3]


def test_the_columns_are_those_of_the_training_set_in_its_order(tmp_path: Path) -> None:
    site = site_of(tmp_path, flights(), at=AT)
    rows = label_rows(site, LABEL)
    with opened(site) as (store, online):
        published(site, store, back="30d")
        served, _ = online.features(rows)
    trained = with_features(site, FEATURES, LABEL, rows)
    assert served.column_names == trained.column_names[rows.num_columns :]
    assert served.schema.field("calendar_hour").type == trained.schema.field("calendar_hour").type


def test_a_request_that_lacks_a_column_or_has_another_type_in_it_is_refused(tmp_path: Path) -> None:
    site = site_of(tmp_path, flights(), at=AT)
    rows = requests(3, first=AT)
    with opened(site) as (store, online):
        published(site, store)
        with pytest.raises(
            DataError, match=r"The request lacks 'sched_dep', which the label's SQL gives; it has .*shed_dep"
        ):
            online.features(rows.rename_columns(["flight_id", "predict_at", "shed_dep", "origin", "tailnum"]))
        with pytest.raises(DataError, match=r"The request lacks 'sched_dep'.*Did you mean 'sched_de'"):
            online.one({"origin": "EWR", "tailnum": "N1", "sched_de": AT}, AT)
        with pytest.raises(
            DataError, match=r"The request's 'sched_dep' is no timestamp\[us, tz=UTC\], as it is in training"
        ):
            online.one({"origin": "EWR", "tailnum": "N1", "sched_dep": "noon"}, AT)
        assert online.one({"origin": "EWR", "tailnum": "N1", "sched_dep": AT}, AT).values["calendar_ahead"] == 0


def test_sql_on_the_request_is_that_of_the_published_version(tmp_path: Path) -> None:
    site = site_of(tmp_path, flights(), at=AT)
    request = {"origin": "EWR", "tailnum": "N1", "sched_dep": AT}
    with opened(site) as (store, online):
        published(site, store)
        (site.folder / "calendar.sql").write_text("select hour(sched_dep) + 100 as hour from request")
        assert online.one(request, AT).values["calendar_hour"] == AT.hour
        published(site, store)
        assert online.one(request, AT).values["calendar_hour"] == AT.hour + 100


def test_threads_share_one_object(tmp_path: Path, address: str | None) -> None:
    site = site_of(tmp_path, flights(), at=AT, address=address)
    rows = requests(20, first=AT)
    store = open_online(site.place, "air")
    published(site, store)
    online, seen = OnlineFeatures(store, "air"), []
    expected = offline(site, rows)

    def ask() -> None:
        seen.extend(different(online.features(rows)[0], expected) for _ in range(5))

    threads = [Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [[]] * 20
    store.close()


def test_a_product_without_a_label_serves_its_tables(tmp_path: Path, address: str | None) -> None:
    site = site_of(tmp_path, flights(), at=AT, address=address)
    with opened(site) as (store, online):
        publish(site, STORED, None, Online(), store)
        served = online.one({"origin": "EWR", "tailnum": "N1"}, AT)
        assert next(iter(served.values)) == "now_count_2h"
        with pytest.raises(Refused, match="air has no label: nobody knows what a request has"):
            online.features(requests(1, first=AT))
