"""A real PostgreSQL for tests: started in a folder of its own, on a free port, as a user that it accepts."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from headrace.core.ports import free_port


def programs() -> Path | None:
    """Return the folder of `initdb` and `pg_ctl`, if PostgreSQL is installed."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "pg_ctl").exists()), None)


@contextmanager
def running_postgres() -> Iterator[str]:
    """Yield the address of an empty database; skip, loudly, where PostgreSQL is not installed."""
    folder = programs()
    if folder is None:
        pytest.skip("NOTICE: PostgreSQL is not installed: the tests that need it are SKIPPED (.ci/system-packages)")
    user = {"user": "postgres", "group": "postgres"} if os.getuid() == 0 else {}
    home = Path(tempfile.mkdtemp(prefix="headrace-pg-"))
    if user:
        shutil.chown(home, **user)
    data, port = home / "data", free_port()

    def run(program: str, *arguments: str) -> None:
        command = [str(folder / program), "-D", str(data), *arguments]
        done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False, **user)
        assert done.returncode == 0, done.stdout + done.stderr

    try:
        run("initdb", "-U", "shop", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
        options = f"-h 127.0.0.1 -p {port} -k {home} -F"
        run("pg_ctl", "-w", "-t", "60", "-l", str(home / "log"), "-o", options, "start")
        try:
            yield f"postgresql://shop@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(home)
