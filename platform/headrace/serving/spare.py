"""How a process begins that works in spare time: nothing large is loaded here, so that all of its work comes behind that."""

import os
import signal
import sys

from headrace.core.orphans import die_with_parent

NICE = 10


def spare_time(patience: float) -> None:
    """Take what time others leave, all of it if there is `patience`, and let the supervisor alone end this process.

    What ends all of a server's processes at once would cut short its last round.
    """
    die_with_parent()
    os.nice(NICE)
    if patience and sys.platform == "linux":
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    # The signal ends this process: where there is no time to spare, not even what its work needs is loaded.
    signal.setitimer(signal.ITIMER_REAL, patience)
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.SIG_IGN)
