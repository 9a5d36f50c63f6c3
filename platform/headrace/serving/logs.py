"""Logs: a JSON object a line on stderr. No line holds what a request asks, what it was answered, or what an error says of values."""

import json
import logging
import sys
import time
import traceback
from datetime import UTC, datetime
from typing import Any, NamedTuple

FAILED = 500
MOST_A_SECOND = 50
"""How many lines of failed and slow requests a worker writes a second: what comes above is counted."""
OURS = "headrace"
log = logging.getLogger("headrace.requests")


class Line(NamedTuple):
    """What is said of a request."""

    route: str
    status: int
    seconds: float
    request: str = ""
    """Its id."""
    trace: str = ""
    """The id of its trace, if there is one."""
    why: str = ""
    """Why the server could not answer, in its own words."""


class RequestLines:
    """Says which requests failed or took long; all of them where that is asked for."""

    def __init__(self, slow_seconds: float, *, every: bool = False) -> None:
        self.from_seconds = -1.0 if every else slow_seconds
        """A request that took longer is said."""
        self._slow, self._every = slow_seconds, every
        self._second, self._said, self._unsaid = 0.0, 0, 0

    def add(self, line: Line) -> None:
        """Say a request."""
        if not self._every and not self._has_room():
            self._unsaid += 1
            return
        failed, slow = line.status >= FAILED, line.seconds > self._slow
        event = "failed" if failed else "slow" if slow else "answered"
        facts: dict[str, Any] = {
            "route": line.route,
            "status": line.status,
            "ms": round(line.seconds * 1000, 3),
            "request": line.request,
            "trace": line.trace,
            "why": line.why if failed else "",
            "unsaid": self._unsaid,
        }
        self._unsaid = 0
        told = {name: fact for name, fact in facts.items() if fact != "" and (name, fact) != ("unsaid", 0)}
        level = logging.ERROR if failed else logging.WARNING if slow else logging.INFO
        log.log(level, event, extra={"event": event, "facts": told})

    def _has_room(self) -> bool:
        now = time.monotonic()
        if now - self._second >= 1.0:
            self._second, self._said = now, 0
        self._said += 1
        return self._said <= MOST_A_SECOND


class JsonLines(logging.Formatter):
    """One JSON object a record: time, level, product, worker, event, and what the event has to say."""

    def __init__(self, product: str) -> None:
        super().__init__()
        self._product = product

    def format(self, record: logging.LogRecord) -> str:
        """Return the line. Of an exception it holds type and place: what it says may hold what somebody has sent."""
        facts: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "product": self._product,
            "worker": record.process,
            "event": getattr(record, "event", "alarm" if record.name.startswith(OURS) else record.name),
        }
        if record.exc_info and record.exc_info[0]:
            error, _, frames = record.exc_info
            places = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(frames)]
            facts |= {"error": error.__name__, "at": places}
        elif not hasattr(record, "facts"):
            facts["message"] = record.getMessage()
        return json.dumps(facts | getattr(record, "facts", {}), ensure_ascii=False, default=str)


def log_to_stderr(product: str) -> None:
    """Let all that this process logs be lines of JSON on stderr: warnings of libraries, and all of ours."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(product))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(OURS).setLevel(logging.INFO)
    logging.captureWarnings(True)
