"""The ledger: what each day of a table holds, and what it was made of. It is written behind each commit.

Its contents are those of exactly one version of a table. At another one, written by a run that died before its entry or
by somebody else, the days whose files differ are counted anew, and those that hold other rows count as not made.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headrace.core.days import Days, unbroken
from headrace.core.failpoints import failpoint
from headrace.core.recipe import ALL, Made, Recipe, Work, digest_within, why_again
from headrace.store.addition import Commit
from headrace.store.digest import contents_of
from headrace.store.entries import Entries, Entry
from headrace.store.snapshot import Snapshot
from headrace.store.tables import Tables

Contents = Mapping[str, str]
"""Day → digest of its rows, without days that have none; `ALL` where rows do not lie in days."""


class Ledger:
    """A folder of entries, one a table."""

    def __init__(self, folder: Path, tables: Tables) -> None:
        self._entries = Entries(folder)
        self._tables = tables

    def contents(self, table: str) -> Contents:
        """Return what a table holds; of what is no table (a model, say) what was noted."""
        return self._entry(table).contents

    def parts(self, table: str) -> dict[str, str]:
        """Return the code, declarations and libraries that a table is made by: what is not the same for all days, of each."""
        found: dict[str, set[str]] = {}
        for parts in self._entry(table).parts.values():
            for name, version in parts.items():
                found.setdefault(name, set()).add(version)
        return {name: ", ".join(sorted(versions)) for name, versions in sorted(found.items())}

    def work(self, recipe: Recipe, days: Days | None = None, *, forced: bool = False) -> Work:
        """Return which of the days have to be made, and why; with `forced` all of them."""
        entry = self._entry(recipe.table)
        wanted = self._wanted(recipe, [str(day) for day in days] if days else [ALL])
        reasons = {}
        for day, now in wanted.items():
            before = entry.made.get(day)
            why = why_again(recipe, now, before, entry.parts.get(before.code, {}) if before else {})
            if why or forced:
                reasons[day] = why or ("asked for",)
        return Work(reasons, wanted)

    def record(self, recipe: Recipe, work: Work, commits: Sequence[Commit]) -> None:
        """Write down that the days of a run's commits are made, as far as they still hold what the commits left there.

        The commits are all that the run has written to the table: pieces of it, with days apart from each other.
        """
        table = recipe.table
        failpoint("unrecorded")
        with self._entries.changing(table) as entry:
            there = [commit for commit in commits if self._is_there(commit)]
            newest = self._count(table, entry, there)
            for commit in there:
                undisturbed = newest and _are_all_of_since(there, commit.version, newest.version)
                held = entry.contents if undisturbed else self._counted(table, [commit.days], commit.version)
                _mark(entry, recipe, work, held, commit.days)

    def note(self, recipe: Recipe, work: Work, contents: Contents, span: Days | None = None) -> None:
        """Write down that a span is made, as far as it still holds what the run has seen there.

        Of what is no table, `contents` are all that is known of it.
        """
        failpoint("unrecorded")
        with self._entries.changing(recipe.table) as entry:
            if not self._count(recipe.table, entry):
                done = {day: contents[day] for day in _days_of(span) if day in contents} if span else dict(contents)
                entry.contents = {day: digest for day, digest in entry.contents.items() if span} | done
            _mark(entry, recipe, work, contents, span)

    @contextmanager
    def erasing(self, table: str) -> Iterator[None]:
        """Let rows of a table be erased meanwhile: its days are as made as before, and what is made of them is not.

        What was remembered of its rows is forgotten.
        """
        made = self._entry(table).made
        yield
        self._entries.forget_facts(table)
        with self._entries.changing(table) as entry:
            self._count(table, entry)
            entry.made = made

    def remembered(self, table: str, what: str, find: Callable[[], Any]) -> Any:
        """Return something that a table's rows say, found once for each of its versions; it must go into JSON."""
        snapshot = self._tables.snapshot(table)
        now = snapshot.digest if snapshot else ""
        with self._entries.remembering(table) as known:
            if known.snapshot != now:
                known.snapshot, known.facts = now, {}
            if what not in known.facts:
                known.facts[what] = find()
            return known.facts[what]

    def _wanted(self, recipe: Recipe, days: Sequence[str]) -> dict[str, Made]:
        code, facts = recipe.code, dict(recipe.facts)
        inputs = {name: self.contents(name) for name in recipe.inputs}
        whole = {name: digest_within(inputs[name], ALL, None) for name, reach in recipe.inputs.items() if reach is None}
        near = {name: reach for name, reach in recipe.inputs.items() if reach is not None}
        return {
            day: Made(
                code,
                facts
                | whole
                | {name: digest_within(inputs[name], day, near[name]) for name in near}
                | {what: of[day] for what, of in recipe.days.items() if day in of},
            )
            for day in days
        }

    def _entry(self, table: str) -> Entry:
        entry, now = self._entries.read(table), self._tables.snapshot(table)
        if now is None:
            return Entry() if entry.version is not None else entry  # it was removed: nothing of it is made
        if entry.snapshot == now.digest:
            return entry
        with self._entries.changing(table) as entry:
            self._count(table, entry)
        return entry

    def _count(self, table: str, entry: Entry, commits: Sequence[Commit] = ()) -> Snapshot | None:
        """Let an entry be about the newest version, and return that; None where there is no table.

        Where nobody but `commits` has written since the entry's version, no other days than theirs have changed.
        """
        now = self._tables.snapshot(table)
        if now is None:
            if entry.version is not None:
                vars(entry).update(vars(Entry()))
            return None
        if entry.snapshot == now.digest:
            return now
        spans = self._changed(table, entry, now, commits)
        found = self._counted(table, spans, now.version)
        if None not in spans:
            stay = set(entry.contents).difference(*map(_days_of, spans))
            found |= {day: entry.contents[day] for day in stay}
        entry.made = {day: made for day, made in entry.made.items() if _part(entry.contents, day) == _part(found, day)}
        entry.version, entry.snapshot, entry.contents = now.version, now.digest, found
        return now

    def _changed(self, table: str, entry: Entry, now: Snapshot, commits: Sequence[Commit]) -> Sequence[Days | None]:
        """Return the days that may hold other rows than an entry says; [None] where all may."""
        if entry.version is None or entry.version >= now.version:
            return [None]
        before = self._tables.snapshot(table, version=entry.version)
        days = now.days_since(before) if before and before.digest == entry.snapshot else None
        if days is None:
            return [None]
        if _are_all_of_since(commits, entry.version, now.version):
            return [commit.days for commit in commits if commit.version > entry.version]
        return unbroken(day for span in days for day in span)

    def _is_there(self, commit: Commit) -> bool:
        """Return whether what a commit left can still be read: its table was not removed, nor its version."""
        newest = self._tables.snapshot(commit.table)
        if newest is None or newest.version < commit.version:
            return False
        if newest.version == commit.version:
            return newest.digest == commit.snapshot
        if commit.version in self._tables.removed(commit.table).versions:
            return False
        there = self._tables.snapshot(commit.table, version=commit.version)
        return there is not None and there.digest == commit.snapshot

    def _counted(self, table: str, spans: Sequence[Days | None], version: int) -> dict[str, str]:
        found: dict[str, str] = {}
        for span in spans:
            found |= contents_of(self._tables.scan(table, days=span, version=version))
        return found


def _mark(entry: Entry, recipe: Recipe, work: Work, held: Contents, span: Days | None) -> None:
    """Let the days of a span that hold what they should be made of the work."""
    same = [day for day in _days_of(span) if _part(entry.contents, day) == _part(held, day)]
    entry.made |= {day: work.wanted[day] for day in same}
    entry.parts[recipe.code] = dict(recipe.parts)
    used = {made.code for made in entry.made.values()}
    entry.parts = {code: parts for code, parts in entry.parts.items() if code in used}


def _days_of(span: Days | None) -> list[str]:
    return [str(day) for day in span] if span else [ALL]


def _part(contents: Contents, day: str) -> str | None:
    """Return the digest of a day, or of all that there is."""
    return digest_within(contents, ALL, None) if day == ALL else contents.get(day)


def _are_all_of_since(commits: Sequence[Commit], before: int, now: int) -> bool:
    """Return whether all versions after `before`, up to `now`, are of these commits."""
    return {commit.version for commit in commits if commit.changed} >= set(range(before + 1, now + 1))
