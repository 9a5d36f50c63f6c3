"""A process that gathers for a server in what time the processors have left, and is replaced now and then.

Beside two busy processors a nice process still holds up those that answer, by 30 to 90 ms each few seconds, as a processor on
which it runs counts as busy. Under Linux's SCHED_IDLE it does not; but where there is never time left, it would come to no end.
So predictions that have waited too long are gathered by a process that is only nice.

deltalake 1.6 keeps some memory of each commit: in a supervisor that commits every few seconds that was 250 MB an hour.
"""

import multiprocessing
import signal
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from headrace.core.declaration import Identity
from headrace.core.errors import StoreError
from headrace.core.place import Place
from headrace.serving.gather import Gathered, gather_predictions
from headrace.serving.journal import journal_folder, segments
from headrace.serving.spare import spare_time
from headrace.store.site import Site

ROUNDS = 60
"""After how many gatherings the process is replaced."""
PATIENCE_S = 60.0
"""How long predictions may wait for time that nobody else wants."""


class Gatherer:
    """Gathers what servers of a product have written, in a process that lasts for so many rounds."""

    def __init__(self, site: Site) -> None:
        self._product, self._folder, self._place = site.product.product, site.folder, site.place
        self._pool: ProcessPoolExecutor | None = None
        self._rounds = 0
        self._patience = 0.0

    def __call__(self) -> Gathered:
        """Take in all segments that nobody writes to any more, as `gather_predictions` does, and raise what it raises.

        A process that was ended meanwhile is replaced at once. Raises StoreError where the next one is ended, too.
        """
        if not any(segments(self._waiting)):
            return Gathered(0, 0)
        try:
            return self._gathered()
        except BrokenProcessPool:
            # The one before ends with the thread that began it, as it does at the end of a server.
            self.close()
        try:
            return self._gathered()
        except BrokenProcessPool as error:
            self.close()
            raise StoreError(
                "The process that takes in predictions was ended twice: is there memory for it? They wait on the disk."
            ) from error

    def close(self) -> None:
        """End the process, once it has done what it does."""
        if self._pool:
            self._pool.shutdown()
        self._pool, self._rounds = None, 0

    @property
    def _waiting(self) -> Path:
        return journal_folder(self._place, self._product)

    def _gathered(self) -> Gathered:
        if self._rounds >= ROUNDS:
            self.close()
        if self._pool is None:
            self._patience = 0.0 if self._is_late() else PATIENCE_S
            spawning = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(1, spawning, initializer=spare_time, initargs=(self._patience,))
        self._rounds += 1
        return self._pool.submit(_gather, self._product, self._folder, self._place, self._patience).result()

    def _is_late(self) -> bool:
        now = time.time()
        return any(now - path.stat().st_mtime > PATIENCE_S for path in segments(self._waiting))


def _gather(product: str, folder: Path, place: Place, patience: float) -> Gathered:
    # The signal ends this process, wherever it is: the next one goes on, and waits for nobody.
    signal.setitimer(signal.ITIMER_REAL, patience)
    try:
        return gather_predictions(Site(Identity(product=product), folder, place))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
