"""What is looked up is what the point-in-time join says, to the digit and to the type."""

from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from headrace.core.errors import DataError, Refused
from headrace.features.training import with_features
from platform_tests.features.airline import LABEL, NOON
from platform_tests.online.served import STORED, flights, opened, published, requests, site_of


def different(served: pa.Table, offline: pa.Table) -> list[tuple[str, int, object, object]]:
    """Return the cells that differ: column, row, what is served and what the join gives."""
    return [
        (name, row, one, other)
        for name in offline.column_names
        for row, (one, other) in enumerate(zip(served[name].to_pylist(), offline[name].to_pylist(), strict=True))
        if one != other
    ]


AT = NOON + timedelta(hours=2)


@pytest.mark.parametrize("seed", range(8))
def test_many_requests_get_what_the_join_gives_them(tmp_path: Path, address: str | None, seed: int) -> None:
    site = site_of(tmp_path, flights(seed=seed), at=AT, address=address)
    rows = requests(60, seed, first=AT)
    offline = with_features(site, STORED, LABEL, rows).drop_columns(rows.column_names)
    with opened(site) as (store, online):
        published(site, store)
        served, _ = online.rows(rows, rows["predict_at"])
    assert served.schema == offline.schema
    assert different(served, offline) == []


def test_one_request_gets_what_many_get(tmp_path: Path, address: str | None) -> None:
    site = site_of(tmp_path, flights(), at=AT, address=address)
    rows = requests(60, first=AT)
    with opened(site) as (store, online):
        published(site, store)
        many, _ = online.rows(rows, rows["predict_at"])
        one = [online.stored(row, row["predict_at"]).values for row in rows.to_pylist()]
    assert one == many.to_pylist()
    assert [list(values) for values in one] == [many.column_names] * len(one)


def test_a_window_is_exact_at_both_ends(tmp_path: Path, address: str | None) -> None:
    [only] = flights(1)
    only |= {"origin": "EWR", "dep_delay": 5.0, "dep_at": NOON + timedelta(minutes=30)}
    site = site_of(tmp_path, [only], at=NOON, address=address)
    left = NOON + timedelta(minutes=150)
    with opened(site) as (store, online):
        published(site, store)
        counts = [
            online.stored({"origin": "EWR", "tailnum": None}, at).values["now_count_2h"]
            for edge in (only["dep_at"], left)
            for at in (edge - timedelta(microseconds=1), edge)
        ]
    assert counts == [0, 1, 1, 0]


def test_an_instant_before_what_is_published_is_refused_where_something_else_may_have_held(
    tmp_path: Path, address: str | None
) -> None:
    site = site_of(tmp_path, flights(), at=NOON + timedelta(hours=28), address=address)
    request = {"origin": "EWR", "tailnum": None}
    with opened(site) as (store, online):
        published(site, store, back="0s")
        with pytest.raises(
            DataError, match=r"Feature table '(now|gate)': what held at 2013-01-01T13:00:00Z is no longer published"
        ):
            online.stored(request, NOON + timedelta(hours=1))
        assert online.stored({**request, "origin": "LGA"}, NOON + timedelta(hours=1)).values["now_count_2h"] == 0
        published(site, store, back="3d")


def test_a_request_that_lacks_an_entity_or_has_another_type_of_it_is_refused(tmp_path: Path) -> None:
    site = site_of(tmp_path, flights())
    with opened(site) as (store, online):
        published(site, store)
        with pytest.raises(
            DataError, match="looked up by 'origin', which the request does not have; it has orign, tailnum"
        ):
            online.stored({"orign": "EWR", "tailnum": "N1"}, NOON)
        with pytest.raises(DataError, match="looked up by 'origin', a str; the request has a int"):
            online.stored({"origin": 7, "tailnum": "N1"}, NOON)
        with pytest.raises(DataError, match="has no time zone"):
            online.stored({"origin": "EWR", "tailnum": "N1"}, datetime(2013, 1, 1))


def test_nothing_published_is_said(tmp_path: Path, address: str | None) -> None:
    site = site_of(tmp_path, flights(), address=address)
    with opened(site) as (_, online), pytest.raises(Refused, match="No features of air are published yet"):
        online.stored({"origin": "EWR", "tailnum": "N1"}, NOON)


def test_new_versions_are_followed_without_opening_anew(tmp_path: Path, address: str | None) -> None:
    rows = flights()
    site = site_of(tmp_path, rows, at=AT, address=address)
    request = {"origin": "EWR", "tailnum": "N1"}
    with opened(site) as (store, online):
        first = published(site, store).version
        assert online.stored(request, AT).version == first
        rest = [row for row in rows if row["origin"] != "EWR"]
        changed = site_of(tmp_path, rest, at=AT, address=address)
        second = published(changed, store).version
        served = online.stored(request, AT)
    assert served.version == second > first
    assert served.values["now_count_6h"] == 0
    assert pc.sum(pa.array([served.values["now_delay_sum_6h"]])).as_py() == 0.0
