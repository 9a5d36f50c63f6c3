"""The process that gathers for a server: it lasts for some rounds, steps behind all others, and behind nobody while a release takes over."""

import os
import signal
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from headrace.core.errors import StoreError
from headrace.rollout.state import current, rollouts_log
from headrace.serving.gather import Gathered
from headrace.serving.gatherer import Gatherer
from headrace.store.site import Site
from platform_tests.rollout.served import make_shop, release
from platform_tests.serving.test_gather import NOON, TABLE, at, requests, serve
from platform_tests.waiting import eventually

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="no other system has this order of processes")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A shop with a first release, whose next one takes over in steps."""
    site = make_shop(tmp_path, steps=["50%"])[0]
    release(site, "one")
    return site


def test_a_server_gathers_in_a_process_of_its_own_that_is_replaced_and_ends_when_it_is_told(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.serving.gatherer.ROUNDS", 2)
    gatherer = Gatherer(site)
    assert gatherer() == Gathered(0, 0)
    seen = []
    for number in range(3):
        serve(site, [at(NOON, f"r{number}")])
        assert gatherer() == Gathered(1, 0)
        seen.append(gatherer.pid or 0)
    assert (len(seen), len(set(seen))) == (3, 2)
    assert seen[0] == seen[1]
    serve(site, [at(NOON, "r3")])
    os.kill(seen[-1], signal.SIGKILL)
    assert gatherer() == Gathered(1, 0)
    gatherer.close()
    assert not any(Path(f"/proc/{pid}").exists() for pid in seen)
    assert requests(site) == Counter(["r0", "r1", "r2", "r3"])


@LINUX
def test_who_gathers_takes_time_that_nobody_wants_until_predictions_have_waited_too_long(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    gatherer = Gatherer(site)
    serve(site, [at(NOON, "r0")])
    assert gatherer() == Gathered(1, 0)
    assert os.sched_getscheduler(gatherer.pid or 0) == os.SCHED_IDLE
    gatherer.close()
    # A round that does not end in time is ended: nothing is lost, and another process goes on.
    serve(site, [at(NOON, "r1")])
    monkeypatch.setattr("headrace.serving.gatherer.PATIENCE_S", 0.02)
    monkeypatch.setattr(gatherer, "_is_late", iter([False, True]).__next__)
    assert gatherer() == Gathered(1, 0)
    assert os.sched_getscheduler(gatherer.pid or 0) == os.SCHED_OTHER
    gatherer.close()
    assert requests(site) == Counter(["r0", "r1"])


@LINUX
def test_who_gathers_steps_behind_nobody_while_a_release_takes_over(site: Site) -> None:
    gatherer = Gatherer(site)
    orders = []
    for name in ("one", "two", "over"):
        if name == "two":
            release(site, "two")
        if name == "over":
            rollouts_log(site).add({"what": "promoted", "release": 2, "against": 1, "step": 0, "at": NOON.isoformat()})
        serve(site, [at(NOON, name)])
        assert gatherer() == Gathered(1, 0)
        pid = gatherer.pid or 0
        orders.append((os.sched_getscheduler(pid), os.getpriority(os.PRIO_PROCESS, pid) - os.nice(0)))
    gatherer.close()
    assert orders == [(os.SCHED_IDLE, 10), (os.SCHED_OTHER, 0), (os.SCHED_IDLE, 10)]


@LINUX
@pytest.mark.parametrize("why", ["a release takes over", "the server ends"])
def test_a_round_in_spare_time_begins_anew_behind_nobody_once_it_is_urgent(site: Site, why: str) -> None:
    gatherer, over = Gatherer(site), threading.Event()
    taken: list[Gathered] = []
    round_ = threading.Thread(target=lambda: taken.append(gatherer(over)))
    serve(site, [at(NOON, "r0")])
    with site.tables.alone(TABLE):
        round_.start()
        first = eventually(lambda: gatherer.pid)
        assert first
        if why == "the server ends":
            over.set()
        else:
            release(site, "two")
        assert eventually(lambda: gatherer.pid not in {None, first})
        assert os.sched_getscheduler(gatherer.pid or 0) == os.SCHED_OTHER
    round_.join()
    gatherer.close()
    assert taken == [Gathered(1, 0)]
    assert requests(site) == Counter(["r0"])


def test_a_log_of_rollouts_that_is_damaged_keeps_nobody_from_gathering(site: Site) -> None:
    rollouts_log(site).add({"what": "begun", "release": 1, "against": 0, "step": 0, "at": NOON.isoformat()})
    (site.place.logs / "shop/rollouts/000001.json").write_text("{}")
    with pytest.raises(StoreError):
        current(site)
    gatherer = Gatherer(site)
    serve(site, [at(NOON, "r0")])
    assert gatherer() == Gathered(1, 0)
    gatherer.close()
