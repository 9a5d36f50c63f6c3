"""A real Redis for tests: started in a folder of its own, on a free port, with a password."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from headrace.core.ports import free_port, listens
from platform_tests.waiting import eventually

PASSWORD = "not-to-be-shown"


@contextmanager
def running_redis(*options: str) -> Iterator[str]:
    """Yield the address of an empty database; skip, loudly, where Redis is not installed."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip(
            "NOTICE: Redis is not installed: the tests of online features in it are SKIPPED (.ci/system-packages)"
        )
    home, port = Path(tempfile.mkdtemp(prefix="headrace-redis-")), free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(home), "--save", "", *options]
    with (home / "log").open("wb") as log:
        server = subprocess.Popen([*command, "--requirepass", PASSWORD], stdout=log, stderr=log)
    try:
        _wait_for(port, home / "log")
        yield f"redis://:{PASSWORD}@127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(timeout=30)
        shutil.rmtree(home)


def _wait_for(port: int, log: Path) -> None:
    assert eventually(lambda: listens(port)), log.read_text()
