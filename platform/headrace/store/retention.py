"""Retention by reachability: what a kept model needs stays for ever, what nobody needs goes after a while.

A version's age counts from when a newer one took its place. Times are those of the wall, also where a product replays.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from headrace.core.columns import in_columns
from headrace.core.failpoints import failpoint
from headrace.core.names import duration_text
from headrace.store.commits import Version, parquet_files, versions_of
from headrace.store.declaration import Keep
from headrace.store.leftovers import staged_leftovers
from headrace.store.needed import Pins, kept_models, needed_versions
from headrace.store.removed import remove_versions, removed_of
from headrace.store.site import Site
from headrace.store.studies import old_studies

WHY = "headrace gc"


@dataclass(frozen=True)
class Fate:
    """What becomes of a version, a model or a file, and why."""

    what: str
    name: str
    goes: bool
    why: str
    size: int = 0
    """Bytes that are freed."""


@dataclass(frozen=True)
class Collection:
    """What a collection removes, or would remove, of one product."""

    fates: Sequence[Fate]
    busy: Sequence[str]
    """What was being written, so that nobody looked at it."""

    @property
    def going(self) -> list[Fate]:
        """What goes."""
        return [fate for fate in self.fates if fate.goes]

    def text(self, done: bool) -> str:
        """Return it in words: what went if it is done, else also what would stay."""
        shown = self.going if done else self.fates
        rows = [["goes" if f.goes else "stays", f.what, f.name, f.why] for f in shown]
        freed = sum(fate.size for fate in self.going)
        lines = [in_columns(["", "what", "name", "why"], rows)] if rows else []
        lines += [f"{name} is being written at this moment: looked at next time" for name in self.busy]
        word = "removed" if done else "would go"
        return "\n".join([*lines, f"{len(self.going)} {word}, {freed / 1e6:,.1f} MB"])


def collect(site: Site, keep: Keep, now: datetime, *, remove: bool) -> Collection:
    """Return what of a product goes and what stays, each with its reason; with `remove`, remove it.

    Each table is looked at while no process writes to it, so that a file without a version is nobody's. Versions that
    go are written down before their files do: killed at any moment, a second call finishes the work.
    """
    kept = kept_models(site, keep, now)
    pins = needed_versions(site, kept)
    fates: list[Fate] = [Fate("model", digest[:12], False, why) for digest, why in kept.stay.items()]
    busy: list[str] = []
    for table in site.tables.names():
        if table.startswith(f"{site.product.product}/"):
            with site.tables.quiet(table) as folder:
                if folder is None:
                    busy.append(table)
                else:
                    fates += _of_table(folder, table, (keep, pins, now), remove=remove)
    with site.models.quiet() as is_quiet:
        if is_quiet:
            fates += _of_models(site, kept.go, now - keep.versions, remove=remove)
        else:
            busy.append("models")
    fates += _of_studies(site, now - keep.versions, remove=remove)
    return Collection([*fates, *_of_staged(site, now, remove=remove)], busy)


def _of_table(folder: Path, table: str, rule: tuple[Keep, Pins, datetime], *, remove: bool) -> Iterator[Fate]:
    keep, pins, now = rule
    versions = versions_of(folder)
    before = removed_of(folder).versions
    reasons = {v.number: _why_it_stays(versions, v, pins.get((table, v.number)), now - keep.versions) for v in versions}
    stay = {path for v in versions if reasons[v.number] and v.number not in before for path in v.files}
    lost = [v for v in versions if not reasons[v.number] and v.number not in before and set(v.files) - stay]
    known = {path for v in versions for path in v.files}
    files = [path for path in parquet_files(folder) if str(path.relative_to(folder)) not in stay]
    yield from (Fate("version", f"{table}@{n}", False, why) for n, why in reasons.items() if why and n not in before)
    # What no version needs goes first: on a full disk it makes room for writing down which versions go.
    last = {path for v in lost for path in v.files}
    files.sort(key=lambda path: str(path.relative_to(folder)) in last)
    for path in files:
        name = str(path.relative_to(folder))
        yield Fate("file", f"{table}/{name}", True, _why_it_goes(name, known), path.stat().st_size)
        if remove and name in last:
            _write_down(folder, lost, now)
            last.clear()
        if remove:
            path.unlink()
            failpoint("file_removed")
    if remove and last:
        _write_down(folder, lost, now)
    for version in lost:
        why = f"superseded more than {duration_text(keep.versions)} ago"
        yield Fate("version", f"{table}@{version.number}", True, why)


def _write_down(folder: Path, lost: Sequence[Version], now: datetime) -> None:
    remove_versions(folder, [version.number for version in lost], WHY, now)
    failpoint("versions_removed")


def _why_it_goes(file: str, known: set[str]) -> str:
    return "of versions that are gone" if file in known else "of a write that was killed"


def _why_it_stays(versions: Sequence[Version], version: Version, pin: str | None, since: datetime) -> str:
    if version is versions[-1]:
        return "the newest"
    if pin:
        return pin
    superseded = versions[version.number + 1].at
    return f"the newest until {superseded:%Y-%m-%d %H:%M}" if superseded > since else ""


def _of_models(site: Site, go: dict[str, str], since: datetime, *, remove: bool) -> Iterator[Fate]:
    for digest, why in go.items():
        if site.models.stored_at(digest) > since:
            yield Fate("model", digest[:12], False, "stored again a short while ago")
            continue
        yield Fate("model", digest[:12], True, why, site.models.size(digest))
        if remove:
            site.models.remove(digest)


def _of_studies(site: Site, since: datetime, *, remove: bool) -> Iterator[Fate]:
    for path, written in old_studies(site.place.studies / site.product.product, since):
        why = f"no trial was added since {written:%Y-%m-%d %H:%M}"
        yield Fate("study", path.stem, True, why, path.stat().st_size)
        if remove:
            path.unlink()


def _of_staged(site: Site, now: datetime, *, remove: bool) -> Iterator[Fate]:
    for leftover in staged_leftovers(site.place.home, now, timedelta(days=1)):
        yield Fate("staged", str(leftover.path.relative_to(site.place.home)), True, leftover.why, leftover.size)
        if remove:
            leftover.remove()
