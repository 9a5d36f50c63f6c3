"""A step in a process of its own dies with the run that started it."""

import ctypes
import multiprocessing
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask Linux to kill this process when its parent dies; leave at once if it is dead already."""
    if not sys.platform.startswith("linux"):
        return
    spawner = multiprocessing.parent_process()
    parent = spawner.pid if spawner else os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
