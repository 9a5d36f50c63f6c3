"""Tables that are looked up by the same columns lie under one key, whatever changes in any of them."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.core.errors import DataError, StoreError
from headrace.features.declaration import Feature
from headrace.features.training import with_features
from headrace.online.declaration import Online
from headrace.online.keys import MANIFEST
from headrace.online.manifest import Manifest
from headrace.online.many import ManySteps
from headrace.online.packed import Alone, packed, spots_in, starts_in
from headrace.online.payload import Layout, microseconds
from headrace.online.publish import Published, publish
from headrace.store.online import OnlineStore
from headrace.store.site import Site
from platform_tests.features.airline import LABEL, NOON, flight, windows
from platform_tests.online.served import STORED, flights, make_features, opened, requests, site_of
from platform_tests.online.test_lookup import different

AT = NOON + timedelta(hours=2)
EWR = b"origin:text\0EWR"
Features = Mapping[str, Feature]


def published(site: Site, store: OnlineStore, features: Features = STORED) -> Published:
    return publish(site, features, LABEL, Online(), store)


def starts(store: OnlineStore, key: bytes, count: int) -> list[int]:
    [value] = store.read([key]).payloads
    assert value
    return list(starts_in(value, count))


def served_as_joined(site: Site, features: Features = STORED, asked: pa.Table | None = None) -> bool:
    rows = requests(60, first=AT) if asked is None else asked
    with opened(site) as (_, online):
        served, _ = online.rows(rows, rows["predict_at"])
        one = [online.stored(row, row["predict_at"]).values for row in rows.to_pylist()]
    trained = with_features(site, features, LABEL, rows).drop_columns(rows.column_names)
    return not different(served, trained) and one == trained.to_pylist()


def keys(store: OnlineStore) -> list[bytes]:
    """Return the keys that hold anything, by their beginnings: the store is asked as erasure asks it."""
    seen = []
    store.count(lambda key, _: not seen.append(key.partition(b"\0")[0]))  # type: ignore[func-returns-value]
    return sorted(set(seen) - {b""})


@given(st.lists(st.none() | st.lists(st.binary(max_size=40), min_size=3, max_size=3), max_size=8))
def test_every_payload_is_found_where_it_lies(entities: list[list[bytes] | None]) -> None:
    values = [None if payloads is None else packed(payloads) for payloads in entities]
    for slot, spots in enumerate(spots_in(values, 3, room=50)):
        for payloads, value, start in zip(entities, values, np.asarray(spots.starts).tolist(), strict=True):
            if payloads is None or value is None or not payloads[slot]:
                assert start == -1
            else:
                alone = list(starts_in(value, 3))[slot]
                assert value[alone:].startswith(payloads[slot])
                assert spots.data[start:].startswith(payloads[slot])
        assert spots.data.endswith(bytes(50))


@given(
    st.lists(
        st.tuples(st.none() | st.floats(allow_nan=False), st.floats(allow_nan=False), st.integers(0, 9)), min_size=1
    ),
    st.booleans(),
)
@settings(deadline=None)
def test_values_that_lie_evenly_are_read_as_those_that_do_not(cells: list[tuple[object, ...]], full: bool) -> None:
    names, kinds = ["a", "b", "c"], [pa.float64(), pa.float64(), pa.int32()]
    schema = pa.schema(zip(names, kinds, strict=True))
    written = [dict(zip(names, (1.5 if full and row[0] is None else row[0], *row[1:]), strict=True)) for row in cells]
    rows, count = pa.Table.from_pylist(written, schema=schema), len(written)
    times = pa.chunked_array([pa.array([AT] * count, pa.timestamp("us", "UTC"))])
    layout = Layout(schema, timed=True)
    values = [packed([p, p]) for p in layout.pack(rows, times, range(count + 1), [False] * count)]
    instants = np.full(count, microseconds(AT))
    evenly, unevenly = spots_in(values, 2, layout.longest)[1], spots_in([*values, None], 2, layout.longest)[1]
    assert (evenly.stride, unevenly.stride) == (len(values[0]), 0)
    many = ManySteps(layout)
    for found, last in (
        (many.columns(many.find_all(evenly, instants)), []),
        (many.columns(many.find_all(unevenly, np.append(instants, 0))), [None]),
    ):
        assert [column.to_pylist() for column in found] == [[*rows[name].to_pylist(), *last] for name in names]
        assert [column.type for column in found] == kinds
        assert all(column.buffers()[1].address % 8 == 0 for column in found), "Arrow's own engine warns of each"
    assert many.find_all(evenly, instants - 1).at.tolist() == [-1] * count


def test_a_value_of_one_step_a_table_is_read_at_once_if_its_steps_hold_and_none_is_null() -> None:
    rows = pa.table({"a": [1.5, None, 2.5, 3.5], "b": pa.array([1, 2, 3, 4], pa.int8())})
    times = pa.chunked_array([pa.array([AT] * 4, pa.timestamp("us", "UTC"))])
    layout, now = Layout(rows.schema, timed=True), microseconds(AT)
    plain, null, twice = layout.pack(rows, times, [0, 1, 2, 4], [True, False, False])
    alone = Alone([layout, layout])
    assert alone.values(packed([plain, plain]), now) == [(1.5, 1), (1.5, 1)]
    for value, at in (([plain, plain], now - 1), ([plain, null], now), ([twice, plain], now), ([plain, b""], now)):
        assert alone.values(packed(value), at) is None


def test_one_request_gets_what_many_get_in_tables_of_plain_numbers(site: Site) -> None:
    hour = "select origin, dep_at as at, hour(dep_at)::double as hour, dep_delay as delay from flights where dep_at is not null"
    (site.folder / "gate.sql").write_text(hour)
    gate = Feature.model_validate({"sql": "gate.sql", "entity": "origin", "time": "at"})
    features = {"now": windows(agg=["count", "mean"]), "gate": gate}
    make_features(site, features)
    with opened(site) as (store, _):
        published(site, store, features)
    assert served_as_joined(site, features)


def test_one_value_holds_what_all_tables_of_an_entity_say(tmp_path: Path, address: str | None) -> None:
    site = site_of(tmp_path, [*flights(), flight(1, origin="SFO", dep_at=None)], at=AT, address=address)
    with opened(site) as (store, _):
        done = published(site, store)
        assert keys(store) == [b"11:origin:text12:tailnum:text", b"origin:text", b"tailnum:text"]
        assert min(starts(store, EWR, 2)) > 0
        assert done.written == store.count(lambda key, _: not key.startswith(b"\0"))
    assert served_as_joined(site)


def test_an_entity_that_changes_in_one_table_keeps_what_the_others_say(tmp_path: Path, address: str | None) -> None:
    site = site_of(tmp_path, flights(), at=AT, address=address)
    with opened(site) as (store, _):
        published(site, store)
        rows = site.tables.read("air/features/gate")
        day = rows["_day"][0].as_py()
        first = [row for row in rows.to_pylist() if row["_day"] == day and row["origin"] == "EWR"][:1]
        kept = [row for row in rows.to_pylist() if row not in first]
        site.tables.replace("air/features/gate", pa.Table.from_pylist(kept, schema=rows.schema))
        done = published(site, store)
        assert done.whole == set()
        assert done.written > 0
        assert min(starts(store, EWR, 2)) > 0
    assert served_as_joined(site)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return site_of(tmp_path, flights(), at=AT)


def test_another_layout_of_one_table_writes_all_entities_of_its_key_and_no_others(site: Site) -> None:
    with opened(site) as (store, _):
        published(site, store)
        (site.folder / "gate.sql").write_text(
            "select origin, dep_at as at, hour(dep_at) as hour from flights where dep_at is not null"
        )
        make_features(site, {"gate": STORED["gate"]})
        assert published(site, store).whole == {"gate", "late", "now"}
    assert served_as_joined(site)


def test_a_table_more_or_less_writes_all_entities_of_its_key(site: Site) -> None:
    fewer = {name: feature for name, feature in STORED.items() if name != "gate"}
    with opened(site) as (store, _):
        published(site, store, fewer)
        assert len(starts(store, EWR, 1)) == 1
        assert published(site, store).whole == {"gate", "late", "now"}
        assert served_as_joined(site)
        assert published(site, store, fewer).whole == {"late", "now"}
    assert served_as_joined(site, fewer)


def test_the_order_of_the_declaration_writes_nothing(site: Site) -> None:
    turned = dict(reversed(STORED.items()))
    with opened(site) as (store, _):
        published(site, store)
        assert published(site, store, turned).written == 0
    assert served_as_joined(site, turned)


def test_a_key_that_no_table_has_any_more_is_emptied(tmp_path: Path, address: str | None) -> None:
    site = site_of(tmp_path, flights(), at=AT, address=address)
    fewer = {name: feature for name, feature in STORED.items() if name != "leg"}
    with opened(site) as (store, _):
        published(site, store)
        published(site, store, fewer)
        assert keys(store) == [b"origin:text", b"tailnum:text"]
    assert served_as_joined(site, fewer)


def test_what_another_release_has_published_is_refused_until_it_is_published_anew(
    tmp_path: Path, address: str | None
) -> None:
    site = site_of(tmp_path, flights(), at=AT, address=address)
    with opened(site) as (store, online):
        published(site, store)
        [told] = store.read([MANIFEST]).payloads
        before = Manifest.model_validate_json(told or b"").model_copy(update={"form": 1})
        with store.publishing() as publication:
            publication.replace(b"origin:text\0", [])
            publication.put({MANIFEST: before.model_dump_json().encode(), b"now\0EWR": b"as it was"})
            publication.commit()
        with pytest.raises(
            StoreError, match="published by another release of headrace: materialize air/online/features"
        ):
            online.stored({"origin": "EWR", "tailnum": "N1"}, AT)
        assert published(site, store).whole == set(STORED)
        assert store.read([b"now\0EWR"]).payloads == [None]
    assert served_as_joined(site)


def test_an_entity_that_one_table_has_as_a_number_and_another_as_a_text_is_one(tmp_path: Path) -> None:
    tail = "select tailnum::bigint as tailnum, dep_at as at, hour(dep_at) as hour from flights where dep_at is not null"
    number = Feature.model_validate({"sql": "number.sql", "entity": "tailnum", "time": "at"})
    features = {"number": number, "plane": STORED["plane"], "text": windows(entity="tailnum", agg=["count"])}
    rows = [row | {"tailnum": f"{n % 5}"} for n, row in enumerate(flights())]
    for more in ([], [flight(900, sched_dep=AT, tailnum="3", dep_delay=1.0)]):
        site = site_of(tmp_path, [*rows, *more], at=AT, number=tail)
        make_features(site, features)
        with opened(site) as (store, _):
            done = published(site, store, features)
            assert keys(store) == [b"tailnum:text"]
            assert min(starts(store, b"tailnum:text\x003", 3)) > 0
        asked = requests(60, first=AT)
        tails = pa.array([f"{n % 6}" for n in range(60)])
        asked = asked.set_column(asked.column_names.index("tailnum"), "tailnum", tails)
        assert served_as_joined(site, features, asked)
    assert done.written > 0


def test_a_column_that_has_no_place_is_refused_in_words(site: Site) -> None:
    (site.folder / "gate.sql").write_text(
        "select origin, dep_at as at, [1, 2] as both from flights where dep_at is not null"
    )
    make_features(site, {"gate": STORED["gate"]})
    with (
        opened(site) as (store, _),
        pytest.raises(DataError, match=r"Column 'gate_both' is .*, which cannot be served online"),
    ):
        published(site, store)
