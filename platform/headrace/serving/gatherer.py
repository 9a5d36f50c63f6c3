"""A process that gathers for a server in what time the processors have left, and is replaced now and then.

Beside two busy processors a nice process still holds up those that answer, by 30 to 90 ms each few seconds, as a processor on
which it runs counts as busy. Under Linux's SCHED_IDLE it does not; but where there is never time left, it would come to no end.
So predictions that have waited too long are gathered by a process that is only nice. While a release takes over, harm is seen in
what was gathered and in nothing else; and when a server ends, somebody waits for that. It steps behind nobody then.

deltalake 1.6 keeps some memory of each commit: in a supervisor that commits every few seconds that was 250 MB an hour.
"""

import json
import select
import subprocess
import sys
import time
from pathlib import Path
from threading import Event

from headrace.core.errors import StoreError
from headrace.rollout.state import current
from headrace.serving.gather import Gathered
from headrace.serving.journal import journal_folder, segments
from headrace.store.site import Site

PROGRAM = "headrace.serving.spare"
ROUNDS = 60
"""After how many gatherings the process is replaced."""
PATIENCE_S = 60.0
"""How long predictions may wait for time that nobody else wants."""
NICE = 10
LOOK_S = 1.0
"""How often is looked, while a round lasts, whether it has become urgent."""
NEVER = Event()


class Gatherer:
    """Gathers what servers of a product have written, in a process that lasts for so many rounds."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._process: subprocess.Popen[str] | None = None
        self._rounds = 0
        self._steps_back = True

    def __call__(self, over: Event = NEVER) -> Gathered:
        """Take in all segments that nobody writes to any more, as `gather_predictions` does, and raise what it raises.

        `over` says that the server ends. A process that was ended meanwhile is replaced at once. Raises StoreError where the next one is ended, too.
        """
        if not any(segments(self._waiting)):
            return Gathered(0, 0)
        gathered = self._gathered(over) or self._gathered(over)
        if not gathered:
            raise StoreError(
                "The process that takes in predictions was ended twice: is there memory for it? They wait on the disk."
            )
        return gathered

    def close(self) -> None:
        """End the process, which does nothing between two rounds."""
        if self._process:
            self._process.kill()
            self._process.communicate()
        self._process, self._rounds = None, 0

    @property
    def pid(self) -> int | None:
        """The process that gathers, while there is one."""
        return self._process.pid if self._process else None

    @property
    def _waiting(self) -> Path:
        return journal_folder(self._site.place, self._site.product.product)

    def _gathered(self, over: Event) -> Gathered | None:
        """Return what a round of the process took in; None if it has ended, whatever ended it."""
        steps_back = not self._is_urgent(over)
        if self._rounds >= ROUNDS or self._steps_back != steps_back:
            self.close()
        self._steps_back = steps_back
        self._process = process = self._process or self._begun()
        self._rounds += 1
        answer = self._asked(process, over)
        if not answer.endswith("\n"):
            self.close()
            return None
        said = json.loads(answer)
        if "error" in said:
            raise StoreError(said["error"])
        return Gathered(**said)

    def _begun(self) -> "subprocess.Popen[str]":
        patience = PATIENCE_S if self._steps_back and not self._is_late() else 0.0
        place, nice = self._site.place, NICE if self._steps_back else 0
        told = [self._site.product.product, place.root, place.home, patience, nice]
        command = [sys.executable, "-m", PROGRAM, *map(str, told)]
        return subprocess.Popen(  # noqa: S603  our own program, by our own interpreter
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def _asked(self, process: "subprocess.Popen[str]", over: Event) -> str:
        """Return what a process says to a line; nothing, or half of it, if it ends before, as one in spare time does once it is urgent."""
        assert process.stdout
        try:
            print(file=process.stdin, flush=True)
        except BrokenPipeError:
            return ""
        while not select.select([process.stdout], [], [], LOOK_S)[0]:
            if self._steps_back and self._is_urgent(over):
                process.kill()
        return process.stdout.readline()

    def _is_urgent(self, over: Event) -> bool:
        try:
            return over.is_set() or current(self._site) is not None
        except StoreError:
            # Who judges the release says what is wrong with the log.
            return False

    def _is_late(self) -> bool:
        now = time.time()
        return any(now - path.stat().st_mtime > PATIENCE_S for path in segments(self._waiting))
