"""Named places where a test may kill the process, as `kill -9` would, or stop it to kill somebody else meanwhile."""

import os
import signal
from collections import Counter

_passed: Counter[str] = Counter()


def failpoint(name: str) -> None:
    """Die here if FAILPOINT is "<name>" or "<name>:<n>" and this is the n-th time; stop if FAILPOINT_ACTION is "stop"."""
    wanted = os.environ.get("FAILPOINT")
    if not wanted:
        return
    target, _, count = wanted.partition(":")
    _passed[name] += 1
    if target == name and _passed[name] == int(count or 1):
        os.kill(os.getpid(), signal.SIGSTOP if os.environ.get("FAILPOINT_ACTION") == "stop" else signal.SIGKILL)
