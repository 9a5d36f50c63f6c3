"""A real Ray cluster for tests: a head and a second node on 127.0.0.1, as long as it is used."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import pytest

from headrace.core.ports import free_port
from platform_tests.store.cluster import _BORN_TO_DIE, SOURCE
from platform_tests.waiting import eventually

PATIENCE_S = 120.0
SMALL = ["--num-cpus=1", "--object-store-memory=100000000", "--memory=500000000", "--block"]


@contextmanager
def running_cluster() -> Iterator[str]:
    """Yield the address of a cluster of two nodes as soon as both are there; skip, loudly, where Ray is not installed."""
    if find_spec("ray") is None:
        pytest.skip("NOTICE: Ray is not installed: its tests are SKIPPED (pip install 'headrace[ray]')")
    home = Path(tempfile.mkdtemp(prefix="hr-ray-"))  # a short path: Ray's sockets lie in it
    address = f"127.0.0.2:{free_port()}"
    programs: list[subprocess.Popen[bytes]] = []
    try:
        head = [
            "--head",
            f"--port={address.rpartition(':')[2]}",
            "--include-dashboard=false",
            "--disable-usage-stats",
            f"--temp-dir={home}/ray",
        ]
        programs.append(_start(head, home / "head.log"))
        _wait_for(address, 1, programs, home / "head.log")
        programs.append(_start([f"--address={address}"], home / "node.log"))
        _wait_for(address, 2, programs, home / "node.log")
        yield address
    finally:
        for program in reversed(programs):
            for process in _of_session(program.pid):
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            program.wait()
        shutil.rmtree(home, ignore_errors=True)


def _start(arguments: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a node in a process group of its own, which ends with this process."""
    ray = str(Path(sys.executable).parent / "ray")
    command = [sys.executable, "-c", _BORN_TO_DIE, ray, "start", "--node-ip-address=127.0.0.2", *SMALL, *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SOURCE), str(SOURCE.parent)])}
    with log.open("wb") as words:
        return subprocess.Popen(command, stdout=words, stderr=words, start_new_session=True, env=environment)


def _of_session(leader: int) -> list[int]:
    """Return the processes of a node: its workers have process groups of their own, and share its session."""
    found = []
    for place in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            if int(place.read_text().rpartition(")")[2].split()[3]) == leader:
                found.append(int(place.parent.name))
    return found


def _wait_for(address: str, nodes: int, programs: list[subprocess.Popen[bytes]], log: Path) -> None:
    """Wait until so many nodes are alive."""

    def alive() -> bool:
        assert all(program.poll() is None for program in programs), log.read_text()[-3000:]
        return _nodes(address) >= nodes

    assert eventually(alive, PATIENCE_S), log.read_text()[-3000:]


def _nodes(address: str) -> int:
    """Return how many nodes a cluster has that are alive; 0 as long as nobody answers."""
    from ray._raylet import GcsClient  # noqa: PLC0415  Ray is an extra
    from ray.exceptions import RpcError  # noqa: PLC0415

    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.2", int(address.rpartition(":")[2]))):
            return 0
    with suppress(RpcError):
        return sum(node.state == 0 for node in GcsClient(address=address).get_all_node_info().values())
    return 0
