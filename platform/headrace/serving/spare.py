"""The program of a process that gathers in spare time: it answers each line that it reads with what a round took in.

Nothing large is loaded before it has stepped behind all others, so that all of its work comes behind that. A process of
multiprocessing would first load again whatever began its parent.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any


def main(product: str, root: str, home: str, patience: str, nice: str) -> None:
    """Gather for a product at each line of the input, and end with it.

    A round or a start that takes longer than `patience` (seconds; 0: for ever) ends this process wherever it is: the next one goes on.
    `nice` is how far behind all others it steps, where there is no patience.
    """
    # Libraries may print: what is said to the parent goes another way.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    _step_back(float(patience), int(nice))
    gather = _gathering(product, root, home)
    while sys.stdin.readline():
        signal.setitimer(signal.ITIMER_REAL, float(patience))
        answer = gather()
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        print(json.dumps(answer), file=answers)


def _step_back(patience: float, nice: int) -> None:
    """Take what time others leave, all of it if there is patience, and let the supervisor alone end this process.

    What ends all of a server's processes at once would cut short its last round.
    """
    os.nice(nice)
    if patience and sys.platform == "linux":
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    signal.setitimer(signal.ITIMER_REAL, patience)
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.SIG_IGN)


def _gathering(product: str, root: str, home: str) -> Any:
    from headrace.core.declaration import Identity
    from headrace.core.errors import HeadraceError
    from headrace.core.place import Place
    from headrace.serving.gather import gather_predictions
    from headrace.store.site import Site

    site = Site(Identity(product=product), Path(root), Place.at(Path(root), home))

    def gather() -> dict[str, object]:
        try:
            taken = gather_predictions(site)
        except HeadraceError as error:
            return {"error": str(error)}
        return {"rows": taken.rows, "dropped": taken.dropped}

    return gather


if __name__ == "__main__":
    main(*sys.argv[1:])
