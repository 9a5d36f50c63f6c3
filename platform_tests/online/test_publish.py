"""What is published: what changed and nothing else, all of it at once, whatever dies or comes between."""

import os
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from headrace.core.errors import FenceLost, Refused
from headrace.features.training import with_features
from headrace.online.keys import MANIFEST
from headrace.store.online import OnlineStore, open_online
from headrace.store.site import Site
from platform_tests.features.airline import LABEL, NOON, flight
from platform_tests.online.redis_server import PASSWORD, running_redis
from platform_tests.online.served import STORED, flights, opened, published, requests, site_of
from platform_tests.online.test_lookup import different

AT = NOON + timedelta(hours=2)
TWO_DAYS = timedelta(days=2)
PUBLISH = """
import sys
from pathlib import Path
from platform_tests.online.served import flights, opened, published, site_of
from platform_tests.online.test_publish import AT, late
folder, address = Path(sys.argv[1]), sys.argv[2] or None
site = site_of(folder, [*flights(), late()], at=AT, address=address)
with opened(site) as (store, _):
    published(site, store)
"""


def late() -> dict[str, Any]:
    """Return a flight that was not there before: it touches EWR, its gate and N1."""
    return flight(900, sched_dep=AT + timedelta(minutes=5), dep_delay=33.0, tailnum="N1")


def served_as_joined(site: Site, first: Any = AT) -> bool:
    rows = requests(60, first=first)
    with opened(site) as (_, online):
        served, _ = online.rows(rows, rows["predict_at"])
    return not different(served, with_features(site, STORED, LABEL, rows).drop_columns(rows.column_names))


def publish_and_die(site: Site, where: str, address: str | None) -> None:
    root = Path(__file__).parents[2]
    env = {**os.environ, "FAILPOINT": where, "PYTHONPATH": f"{root / 'platform'}{os.pathsep}{root}"}
    command = [sys.executable, "-c", PUBLISH, str(site.folder), address or ""]
    done = subprocess.run(command, env=env, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr


def test_only_entities_of_days_that_changed_are_written(tmp_path: Path, address: str | None) -> None:
    rows = flights()
    site = site_of(tmp_path, rows, at=AT, address=address)
    with opened(site) as (store, _):
        first = published(site, store)
        assert first.whole == set(STORED)
        site = site_of(tmp_path, [*rows, flight(900, sched_dep=AT + TWO_DAYS, tailnum="N7")], at=AT, address=address)
        second = published(site, store)
    assert second.whole == {"plane"}
    assert second.written == 2 + 7 - 1
    assert second.versions["air/features/now"] == first.versions["air/features/now"] + 1
    assert served_as_joined(site)


def test_nothing_is_written_where_nothing_changed(tmp_path: Path, address: str | None) -> None:
    site = site_of(tmp_path, flights(), at=AT, address=address)
    with opened(site) as (store, _):
        published(site, store)
        again = published(site, store)
    assert (again.written, again.removed, again.whole) == (0, 0, set())


def test_an_entity_whose_rows_are_gone_is_gone(tmp_path: Path, address: str | None) -> None:
    rows = flights()
    site = site_of(tmp_path, [*rows, flight(901, origin="SFO", sched_dep=AT, dep_delay=1.0)], at=AT, address=address)
    request, at = {"origin": "SFO", "tailnum": "N1"}, AT + timedelta(minutes=30)
    with opened(site) as (store, online):
        published(site, store)
        assert online.stored(request, at).values["now_count_2h"] == 1
        site = site_of(tmp_path, rows, at=AT, address=address)
        assert published(site, store).removed > 0
        assert online.stored(request, at).values["now_count_2h"] == 0
    assert served_as_joined(site)


def test_steps_before_the_one_that_holds_are_dropped_when_an_entity_is_written(
    tmp_path: Path, address: str | None
) -> None:
    site = site_of(tmp_path, flights(), at=AT, address=address)
    with opened(site) as (store, _):
        published(site, store)
        [early] = store.read([b"origin:text\0EWR"]).payloads
    site = site_of(tmp_path, [*flights(), late()], at=AT + TWO_DAYS, address=address)
    with opened(site) as (store, _):
        published(site, store, back="0s")
        [last] = store.read([b"origin:text\0EWR"]).payloads
    assert early
    assert last
    assert len(last) < len(early) / 4


@pytest.mark.slow
@pytest.mark.parametrize("where", ["online_written", "online_written:5", "online_uncommitted"])
def test_a_killed_publication_leaves_the_version_before_it_and_the_next_one_completes_it(
    tmp_path: Path, address: str | None, where: str
) -> None:
    site = site_of(tmp_path, flights(), at=AT, address=address)
    rows = requests(60, first=AT)
    with opened(site) as (store, online):
        first = published(site, store)
        before, _ = online.rows(rows, rows["predict_at"])
        publish_and_die(site, where, address)
        after, view = online.rows(rows, rows["predict_at"])
        assert view.version == first.version
        assert different(after, before) == []
        done = published(site, store)
        assert done.version > first.version
    assert served_as_joined(site)


@pytest.mark.slow
def test_what_a_killed_publication_wrote_is_never_served_even_if_its_rows_are_gone_again(
    tmp_path: Path, address: str | None
) -> None:
    site = site_of(tmp_path, flights(), at=AT, address=address)
    with opened(site) as (store, _):
        published(site, store)
        publish_and_die(site, "online_uncommitted", address)
        site = site_of(tmp_path, flights(), at=AT, address=address)
        published(site, store)
    assert served_as_joined(site)


def test_a_publication_that_dies_after_its_commit_is_served(tmp_path: Path, redis_address: str) -> None:
    site = site_of(tmp_path, flights(), at=AT, address=redis_address)
    with opened(site) as (store, online):
        first = published(site, store)
        publish_and_die(site, "online_unswept", redis_address)
        assert online.stored({"origin": "EWR", "tailnum": "N1"}, AT).version > first.version
    assert served_as_joined(site)
    with opened(site) as (store, _):
        published(site, store)
    assert served_as_joined(site)


def test_a_publication_ends_those_that_began_before_it(tmp_path: Path, redis_address: str) -> None:
    site = site_of(tmp_path, flights(), address=redis_address)
    store, other = open_online(site.place, "air"), open_online(site.place, "air")
    with store.publishing() as earlier:
        earlier.put({b"now\0EWR": b"early"})
        with other.publishing() as later:
            later.put({b"now\0EWR": b"later"})
            with pytest.raises(FenceLost, match="A later publication of air's features has begun"):
                earlier.put({b"now\0EWR": b"too late"})
            later.commit()
        with pytest.raises(FenceLost):
            earlier.commit()
    assert store.read([b"now\0EWR"]).payloads == [b"later"]
    store.close()
    other.close()


def test_an_embedded_publication_whose_fence_is_lost_leaves_nothing(tmp_path: Path) -> None:
    site = site_of(tmp_path, flights())
    store = open_online(site.place, "air")
    with store.publishing() as earlier:
        earlier.put({b"now\0EWR": b"early"})
        vars(store)["_fences"].claim("air")
        with pytest.raises(FenceLost, match="A later run has claimed 'air'"):
            earlier.commit()
    assert store.read([b"now\0EWR"]) == (0, [None])
    store.close()


def test_readers_see_one_version_whole_while_others_are_published(tmp_path: Path, address: str | None) -> None:
    site = site_of(tmp_path, flights(), address=address)
    store: OnlineStore = open_online(site.place, "air")
    keys = [f"t\0{number:04}".encode() for number in range(50)]
    for version in range(1, 6):
        with store.publishing() as publication:
            for half in (keys[:25], keys[25:]):
                publication.put(dict.fromkeys(half, b"%d" % version))
                seen = store.read(keys)
                assert set(seen.payloads) == ({b"%d" % (version - 1)} if version > 1 else {None})
            publication.commit()
        assert set(store.read(keys).payloads) == {b"%d" % version}
    store.close()


def test_a_whole_table_is_replaced_with_what_is_no_longer_in_it(tmp_path: Path, address: str | None) -> None:
    site = site_of(tmp_path, flights(), address=address)
    store = open_online(site.place, "air")
    with store.publishing() as publication:
        publication.put({b"t\0a": b"1", b"t\0b": b"1", b"u\0a": b"1"})
        publication.commit()
    with store.publishing() as publication:
        publication.replace(b"t\0", [{b"t\0b": b"2"}])
        assert store.read([b"t\0a", b"t\0b"]).payloads == [b"1", b"1"]
        publication.commit()
    assert store.read([b"t\0a", b"t\0b", b"u\0a"]).payloads == [None, b"2", b"1"]
    store.close()


def test_a_table_that_was_removed_and_made_again_is_written_as_a_whole(tmp_path: Path, address: str | None) -> None:
    site = site_of(tmp_path, flights(), at=AT, address=address)
    with opened(site) as (store, _):
        published(site, store)
        shutil.rmtree(site.place.tables / "air/features/now")
        site = site_of(tmp_path, flights(seed=5), at=AT, address=address)
        assert "now" in published(site, store).whole
    assert served_as_joined(site)


def test_redis_holds_nothing_of_earlier_versions_after_a_publication(tmp_path: Path, redis_address: str) -> None:
    site = site_of(tmp_path, flights(), at=AT, address=redis_address)
    with opened(site) as (store, _), Redis.from_url(redis_address) as client:
        client.flushall()
        published(site, store)
        once = sum(client.strlen(key) for key in client.keys("*origin:text*"))
        site = site_of(tmp_path, [*flights(), late()], at=AT, address=redis_address)
        published(site, store)
        twice = sum(client.strlen(key) for key in client.keys("*origin:text*"))
    assert once < twice < once * 1.2


def test_a_connection_that_was_cut_is_made_again(tmp_path: Path, redis_address: str) -> None:
    site = site_of(tmp_path, flights(), at=AT, address=redis_address)
    with opened(site) as (store, online), Redis.from_url(redis_address) as client:
        published(site, store)
        before = online.stored({"origin": "EWR", "tailnum": "N1"}, AT)
        client.client_kill_filter(_type="normal", skipme=True)
        assert online.stored({"origin": "EWR", "tailnum": "N1"}, AT) == before


def test_a_redis_that_would_drop_features_is_refused(tmp_path: Path) -> None:
    with running_redis("--maxmemory-policy", "allkeys-lru") as address:
        site = site_of(tmp_path, flights(), address=address)
        with opened(site) as (store, _), pytest.raises(Refused, match="allkeys-lru: it would drop features"):
            published(site, store)


def test_a_redis_that_is_away_is_named_without_its_password(tmp_path: Path) -> None:
    site = site_of(tmp_path, flights(), address=f"redis://:{PASSWORD}@127.0.0.1:1/0")
    with opened(site) as (store, _), pytest.raises(Exception, match=r"Redis at 127\.0\.0\.1:1/0") as caught:
        store.read([MANIFEST])
    assert PASSWORD not in str(caught.value)
    assert PASSWORD not in repr(site)
