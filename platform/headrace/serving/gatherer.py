"""A process that gathers for a server in what time the processors have left, and is replaced now and then.

Beside two busy processors a nice process still holds up those that answer, by 30 to 90 ms each few seconds, as a processor on
which it runs counts as busy. Under Linux's SCHED_IDLE it does not; but where there is never time left, it would come to no end.
So predictions that have waited too long are gathered by a process that is only nice.

deltalake 1.6 keeps some memory of each commit: in a supervisor that commits every few seconds that was 250 MB an hour.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

from headrace.core.errors import StoreError
from headrace.serving.gather import Gathered
from headrace.serving.journal import journal_folder, segments
from headrace.store.site import Site

PROGRAM = "headrace.serving.spare"
ROUNDS = 60
"""After how many gatherings the process is replaced."""
PATIENCE_S = 60.0
"""How long predictions may wait for time that nobody else wants."""


class Gatherer:
    """Gathers what servers of a product have written, in a process that lasts for so many rounds."""

    def __init__(self, site: Site) -> None:
        self._product, self._place = site.product.product, site.place
        self._process: subprocess.Popen[str] | None = None
        self._rounds = 0

    def __call__(self) -> Gathered:
        """Take in all segments that nobody writes to any more, as `gather_predictions` does, and raise what it raises.

        A process that was ended meanwhile is replaced at once. Raises StoreError where the next one is ended, too.
        """
        if not any(segments(self._waiting)):
            return Gathered(0, 0)
        gathered = self._gathered() or self._gathered()
        if not gathered:
            raise StoreError(
                "The process that takes in predictions was ended twice: is there memory for it? They wait on the disk."
            )
        return gathered

    def close(self) -> None:
        """End the process, once it has done what it does."""
        if self._process:
            self._process.communicate()
        self._process, self._rounds = None, 0

    @property
    def pid(self) -> int | None:
        """The process that gathers, while there is one."""
        return self._process.pid if self._process else None

    @property
    def _waiting(self) -> Path:
        return journal_folder(self._place, self._product)

    def _gathered(self) -> Gathered | None:
        """Return what a round of the process took in; None if it has ended, whatever ended it."""
        if self._rounds >= ROUNDS:
            self.close()
        self._process = process = self._process or self._begun()
        self._rounds += 1
        answer = _asked(process)
        if not answer.endswith("\n"):
            self.close()
            return None
        said = json.loads(answer)
        if "error" in said:
            raise StoreError(said["error"])
        return Gathered(**said)

    def _begun(self) -> "subprocess.Popen[str]":
        patience = 0.0 if self._is_late() else PATIENCE_S
        told = [self._product, self._place.root, self._place.home, patience]
        command = [sys.executable, "-m", PROGRAM, *map(str, told)]
        return subprocess.Popen(  # noqa: S603  our own program, by our own interpreter
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def _is_late(self) -> bool:
        now = time.time()
        return any(now - path.stat().st_mtime > PATIENCE_S for path in segments(self._waiting))


def _asked(process: "subprocess.Popen[str]") -> str:
    """Return what a process says to a line; nothing, or half of it, if it ends before."""
    try:
        print(file=process.stdin, flush=True)
    except BrokenPipeError:
        return ""
    return process.stdout.readline() if process.stdout else ""
