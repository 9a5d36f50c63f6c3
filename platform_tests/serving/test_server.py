"""A real server: releases, rollbacks, deaths and ends of its processes cost no request."""

import http.client
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from headrace.core.ports import free_port
from headrace.serving.gather import gather_predictions
from headrace.store.rollback import Return, roll_back
from headrace.store.site import Site
from platform_tests.serving.bar import (
    DEADLINE,
    ROW,
    Running,
    bar,
    published,
    released,
    running,
    served,
    until,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = bar(tmp_path)
    released(site)
    return site


@dataclass
class Load:
    """What clients that never rest were answered."""

    releases: list[int] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    cut: int = 0
    """Requests whose connection ended before an answer."""


@contextmanager
def loaded(server: Running, clients: int = 4, *, again: bool = False, **changed: Any) -> Iterator[Load]:
    """Let clients ask all the time on connections that stay; with `again` they connect anew where one is cut."""
    load, over, numbers = Load(), threading.Event(), itertools.count()

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE)
        while not over.is_set():
            try:
                body = json.dumps(ROW | {"order_id": f"o{next(numbers)}"} | changed)
                connection.request("POST", "/v1/predict", body)
                answer = connection.getresponse()
                told = answer.read()
                if answer.status == 200:
                    load.releases.append(json.loads(told)["release"])
                else:
                    load.failed.append(f"{answer.status}: {told!r}")
            except (http.client.HTTPException, OSError):
                load.cut += 1
                connection.close()
                if not again:
                    return
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        over.set()
        for thread in threads:
            thread.join()


def workers_of(server: Running) -> list[int]:
    """Return the processes that answer."""
    found = subprocess.run(
        ["pgrep", "-P", str(server.process.pid), "-f", "spawn_main"], capture_output=True, text=True, check=False
    )
    return sorted(int(pid) for pid in found.stdout.split())


def test_a_release_and_a_rollback_reach_every_worker_and_no_request_fails(site: Site) -> None:
    with running(site, port=free_port(), workers=2) as server, loaded(server) as load:
        until(lambda: len(load.releases) > 100)
        released(site, 5)
        until(lambda: set(load.releases[-200:]) == {2} and len(load.releases) > 300, 30)
        roll_back(site.releases, site.models, "shop", Return(who="a test", why="to see", at=site.clock.now()))
        until(lambda: set(load.releases[-200:]) == {3}, 30)
    assert not load.failed
    assert load.cut == 0
    assert set(load.releases) == {1, 2, 3}


def test_a_damaged_release_changes_nothing_and_is_said(site: Site) -> None:
    with running(site, port=free_port()) as server:
        digest = released(site, 5)
        site.releases.decide(
            "shop",
            {
                "outcome": "rolled back",
                "model": site.releases.all("shop")[0].model,
                "at": site.clock.now(),
                "who": "a test",
                "why": "",
                "evidence": {},
            },
            after=2,
        )
        until(lambda: server.ask("/v1/model").told["release"] == 3)
        file = site.place.models / digest / "model.txt"
        file.write_bytes(file.read_bytes()[:-100])
        site.releases.decide(
            "shop",
            {
                "outcome": "rolled back",
                "model": digest,
                "at": site.clock.now(),
                "who": "a test",
                "why": "",
                "evidence": {},
            },
            after=3,
        )
        until(lambda: server.ask("/v1/model").told["refused"] is not None)
        told = server.ask("/v1/model").told
        assert told["release"] == 3
        assert "Release 4" in told["refused"]
        assert server.ask("/v1/predict", ROW).status == 200
    assert "Release 4" in server.log.read_text()


def test_a_worker_that_is_killed_under_load_comes_back_and_costs_what_was_under_way(site: Site) -> None:
    with running(site, port=free_port()) as server, loaded(server, again=True) as load:
        until(lambda: len(load.releases) > 200)
        [worker] = workers_of(server)
        before = len(load.releases)
        os.kill(worker, signal.SIGKILL)
        until(lambda: len(load.releases) > before + 200)
        assert workers_of(server) != [worker]
    assert not load.failed
    rows = gather_predictions(site).rows + (
        site.tables.count("shop/predictions/online") if site.tables.exists("shop/predictions/online") else 0
    )
    assert rows > 0


def test_an_end_by_sigterm_answers_what_is_under_way_and_keeps_every_prediction(site: Site) -> None:
    with running(site, port=free_port()) as server:
        with loaded(server) as load:
            until(lambda: len(load.releases) > 500)
            assert server.stop() == 0
        assert not load.failed
        assert load.cut <= 4  # a connection that waits for its client is closed
    assert site.tables.count("shop/predictions/online") == len(load.releases)
    assert not list((site.place.online / "predictions" / "shop").iterdir())


def test_a_port_that_is_taken_is_said(site: Site) -> None:
    port = free_port()
    with running(site, port=port):
        command = [
            sys.executable,
            "-m",
            "platform_tests.serving.bar",
            str(site.place.root),
            str(port),
            "1",
            "open",
            served(site).model_dump_json(),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEADLINE)
    assert done.returncode
    assert "address already in use" in done.stderr.lower()
    assert "Traceback" not in done.stderr


def test_published_features_are_followed(site: Site) -> None:
    with running(site, port=free_port()) as server:
        assert server.ask("/v1/predict", ROW).told["features"] == 1
        published(site)
        until(lambda: server.ask("/v1/predict", ROW).told["features"] == 2)


def test_an_id_of_a_request_comes_back(site: Site) -> None:
    with running(site, port=free_port()) as server:
        assert server.ask("/v1/predict", ROW, {"x-request-id": "abc-1"}).told["request"] == "abc-1"
        assert re.fullmatch(
            r"[0-9a-f]+-[0-9a-f]+", server.ask("/v1/predict", ROW, {"x-request-id": "a b;c"}).told["request"]
        )
