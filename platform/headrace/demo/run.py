"""The main job: land half a year, let the daemon's sensors do the rest, land two more months, and look what happened."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from headrace.core.errors import Refused
from headrace.definitions import Watch

FIRST_HALF, SUMMER = date(2013, 6, 30), date(2013, 8, 31)
PATIENCE_S, LOOK_EVERY_S = 1200.0, 1.0
Say = Callable[[str], None]


@contextmanager
def daemon(root: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run Dagster's own daemon on the project for a while; its words go to a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "dagster._daemon", "run", "-w", "workspace.yaml"]
    with log.open("ab") as words:
        process = subprocess.Popen(command, cwd=root, stdout=words, stderr=words, env=dict(os.environ))
        try:
            yield process
        finally:
            process.terminate()
            process.wait(timeout=60)


def follow(watch: Watch, process: subprocess.Popen[bytes], say: Say, log: Path) -> None:
    """Tell what happens until nothing is left to do; raises Refused if a run fails or the daemon dies."""
    deadline = time.monotonic() + PATIENCE_S
    while not watch.settled():
        for line in watch.news():
            say(line)
        if process.poll() is not None:
            raise Refused(f"The Dagster daemon stopped with code {process.returncode}. Its last words are in {log}")
        if failure := watch.failed():
            raise Refused(f"A run failed: {failure}")
        if time.monotonic() > deadline:
            raise Refused(f"Nothing has settled for {PATIENCE_S / 60:.0f} minutes. Look at {log}, or into the UI: make ui")
        time.sleep(LOOK_EVERY_S)
    for line in watch.news():
        say(line)
