"""What checks found last, for gates to read: a chained log of counts for each check, without values of rows."""

from pathlib import Path

from headrace.core.errors import Refused
from headrace.store.log import Log

TRIES = 20


class Findings:
    """How many faults each check of one product found, in which version of what it looks at."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def note(self, check: str, found: int, at: str, version: int | None = None) -> None:
        """Write down how many faults a check found, where that is not what is known already.

        Of several writers at once each is heard; raises Refused if twenty others come between.
        """
        log = self._log(check)
        for last in range(TRIES - 1, -1, -1):
            if self.found(check, version) == found:
                return
            entries = log.entries()
            try:
                log.append({"found": found, "version": version, "at": at}, after=len(entries))
            except Refused:
                if not last:
                    raise

    def found(self, check: str, version: int | None = None) -> int | None:
        """Return how many faults a check found in a version when it looked last; None where it never did."""
        entries = reversed(self._log(check).entries())
        return next((int(entry["found"]) for entry in entries if entry["version"] == version), None)

    def _log(self, check: str) -> Log:
        return Log(self._folder / f"found_{check}")
