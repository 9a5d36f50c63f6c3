"""Flower for tests: the environment that it is in, sites of a shop, and a relay that keeps what goes over the wire."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from headrace.models.declaration import Model
from headrace.models.trainer import Beside
from headrace.store.site import Site
from platform_tests.models.shop import shop

ROOT = Path(__file__).parents[3]


def flower_python() -> Path:
    """Return the interpreter of Flower's environment; skip, loudly, where there is none."""
    python = Path(os.environ.get("HEADRACE_FLOWER_PYTHON") or ROOT / ".venv-flower" / "bin" / "python").absolute()
    if not python.is_file():
        pytest.skip("NOTICE: Flower is not installed: its tests are SKIPPED (make flower)")
    return python


def beside() -> Beside:
    return Beside(Path(), "", flower_python=flower_python())


def federated(rounds: int = 2, **changes: Any) -> Model:
    """Return a small model of the sites of a country each."""
    declared = {
        "trainer": "federated",
        "federated": {"by": "country", "rounds": rounds, "wait": "2m"},
        "split": {"test": "10d"},
        "trees": 20,
        "params": {"max_depth": 3, "learning_rate": 0.2},
    }
    return Model.model_validate(declared | changes)


def site_with_flower(folder: Path, rows: Any = None) -> Site:
    site = shop(folder, rows)
    return replace(site, place=replace(site.place, flower_python=flower_python()))


@dataclass
class Relay:
    """What stands between the sites and the server: it passes on all that is said, and keeps it."""

    port: int
    said: list[bytes] = field(default_factory=list)


@contextmanager
def relaying(port: int) -> Iterator[Relay]:
    """Yield a relay to a port of 127.0.0.1."""
    with closing(socket.create_server(("127.0.0.1", 0))) as door:
        relay = Relay(door.getsockname()[1])
        threading.Thread(target=_accept, args=(door, port, relay), daemon=True).start()
        yield relay
        door.shutdown(socket.SHUT_RDWR)


def _accept(door: socket.socket, port: int, relay: Relay) -> None:
    while True:
        try:
            caller, _ = door.accept()
        except OSError:
            return
        callee = socket.create_connection(("127.0.0.1", port))
        for one, other, kept in ((caller, callee, relay.said), (callee, caller, [])):
            threading.Thread(target=_pass, args=(one, other, kept), daemon=True).start()


def _pass(one: socket.socket, other: socket.socket, kept: list[bytes]) -> None:
    with one:
        while True:
            try:
                data = one.recv(65536)
                kept.append(data)
                other.sendall(data)
            except OSError:
                return
            if not data:
                other.close()
                return
