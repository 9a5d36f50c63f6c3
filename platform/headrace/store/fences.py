"""Fencing tokens: whoever claimed days of a table last may commit them, an orphan of an older run may not.

After M. Kleppmann, "How to do distributed locking" (2016): the store itself refuses an old token.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from pathlib import Path

from filelock import FileLock

from headrace.core.days import Days
from headrace.core.errors import FenceLost

EVER = Days(date.min, date.max)


@dataclass(frozen=True)
class Fence:
    """The right to commit some days of a table (None: all), until somebody claims one of them anew."""

    scope: str
    token: int
    days: Days | None = None


class Fences:
    """A folder of claims, one file a table; the file lock of a dead process frees itself."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def claim(self, scope: str, days: Days | None = None) -> Fence:
        """Return a fence that outdates all earlier ones that share a day with it."""
        with self._locked(scope) as path:
            claims = _read(path)
            fence = Fence(scope, max((claim.token for claim in claims), default=0) + 1, days)
            _write(path, [*(claim for claim in claims if not _covers(fence, claim)), fence])
        return fence

    @contextmanager
    def holding(self, fence: Fence) -> Iterator[None]:
        """Keep others out while committing; raises FenceLost if the fence is outdated."""
        with self._locked(fence.scope) as path:
            later = [claim for claim in _read(path) if claim.token > fence.token and _overlap(claim, fence)]
            if later:
                raise FenceLost(
                    f"A later run has claimed '{fence.scope}' (token {later[-1].token}, this run holds {fence.token}): "
                    "this run's result was not written. Nothing is lost: the later run writes the days that it has "
                    "claimed. Run this again if it had others."
                )
            yield

    @contextmanager
    def alone(self, scope: str) -> Iterator[None]:
        """Keep all others out of a scope while working on it."""
        with self._locked(scope):
            yield

    @contextmanager
    def _locked(self, scope: str) -> Iterator[Path]:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / sha256(scope.encode()).hexdigest()[:32]
        with FileLock(path.with_suffix(".lock")):
            yield path


def _covers(fence: Fence, other: Fence) -> bool:
    mine, theirs = fence.days or EVER, other.days or EVER
    return mine.first <= theirs.first and theirs.last <= mine.last


def _overlap(one: Fence, other: Fence) -> bool:
    mine, theirs = one.days or EVER, other.days or EVER
    return mine.first <= theirs.last and theirs.first <= mine.last


def _read(path: Path) -> list[Fence]:
    claims = json.loads(path.read_text()) if path.exists() else []
    return [
        Fence(c["scope"], c["token"], Days(*map(date.fromisoformat, c["days"])) if c["days"] else None) for c in claims
    ]


def _write(path: Path, claims: list[Fence]) -> None:
    facts = [
        {"scope": c.scope, "token": c.token, "days": [str(c.days.first), str(c.days.last)] if c.days else None}
        for c in claims
    ]
    staged = path.with_suffix(".new")
    staged.write_text(json.dumps(facts))
    staged.replace(path)
