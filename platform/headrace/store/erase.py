"""Erasure of a person: out of every version of every table, models, reports, logs; and never in again."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from headrace.core.errors import Refused
from headrace.core.failpoints import failpoint
from headrace.store.evaluations import fault_of, kind_of, seal
from headrace.store.leftovers import staged_leftovers
from headrace.store.person import Person
from headrace.store.releases import Release
from headrace.store.rewrite import Rewritten, held_in, rewrite_without
from headrace.store.site import Site
from headrace.store.traces import holds, mask, masking, traces


@dataclass(frozen=True)
class Erasure:
    """What an erasure takes out of a product, or would take."""

    tables: Sequence[Rewritten]
    models: Sequence[str]
    """Digests of models whose own files hold the value: they go."""
    live: Release | None
    """The live release, if its model is among them."""
    trained_on: Sequence[str]
    """Digests of models that stay and were trained on rows of the person, without holding the value."""
    files: Sequence[Path]
    """Reports and copies that go, and logs in which the value is masked."""

    @property
    def facts(self) -> dict[str, Any]:
        """What the certificate says: no value."""
        return {
            "tables": [asdict(table) for table in self.tables],
            "models": list(self.models),
            "trained_on": list(self.trained_on),
            "files": len(self.files),
        }


def look(site: Site, person: Person, others: Sequence[Path] = ()) -> Erasure:
    """Return what of a product is of a person; `others` are folders beside the home that hold logs."""
    tables = [found for name in own_tables(site) if (found := held_in(site.place.tables / name, name, person))]
    own = [digest for digest in site.models.digests() if _is_own(site, digest)]
    models = [digest for digest in own if _model_holds(site, digest, person)]
    live = site.releases.live(site.product.product)
    touched = {table.table for table in tables}
    return Erasure(
        tables=tables,
        models=models,
        live=live if live and live.model in models else None,
        trained_on=[d for d in own if d not in models and _trained_on(site, d, touched)],
        files=[*_going(site, person), *(path for home in (site.place.home, *others) for path in masking(home, person))],
    )


def erase(site: Site, person: Person, now: datetime, others: Sequence[Path] = (), *, live_too: bool) -> Erasure:
    """Take a person out of a product, and keep them out; return what was taken.

    The caller certifies it when all is done: see `Erasures.certify`. Killed at any moment, a second call finishes the work. Raises Refused, and changes nothing, where a table is being
    written, or where the live model holds the person and `live_too` is not said.
    """
    with ExitStack() as held:
        for name in own_tables(site):
            if held.enter_context(site.tables.quiet(name)) is None:
                raise Refused(
                    f"'{name}' is being written at this moment. Nothing was erased: wait for the run, and try again."
                )
        if not held.enter_context(site.models.quiet()):
            raise Refused(
                "A model is being stored at this moment. Nothing was erased: wait for the run, and try again."
            )
        found = look(site, person, others)
        refuse_live(found, live_too=live_too)
        site.erasures.begin(person, now, found.facts)
        failpoint("erasure_begun")
        for table in found.tables:
            with site.ledger.erasing(table.table):
                rewrite_without(site.place.tables / table.table, person, now)
            failpoint("table_erased")
        _end_live(site, found)
        for digest in found.models:
            site.models.remove(digest)
        for leftover in staged_leftovers(site.place.home, now, timedelta(days=1)):
            leftover.remove()
        for path in found.files:
            _clean(site, path, person)
            failpoint("trace_masked")
    return found


def left(site: Site, person: Person, others: Sequence[Path] = ()) -> list[Path]:
    """Return the files of the home, and of folders beside it, that hold a person all the same."""
    return [path for home in (site.place.home, *others) for path in traces(home, person)]


def own_tables(site: Site) -> list[str]:
    """Return the names of the product's tables."""
    return [name for name in site.tables.names() if name.startswith(f"{site.product.product}/")]


def refuse_live(found: Erasure, *, live_too: bool) -> None:
    """Raise Refused where the live model would go and nobody has said so."""
    if found.live and not live_too:
        raise Refused(
            f"The files of the live model {found.live.model[:12]} (release {found.live.number}) hold the value. Nothing was "
            "erased. Say --live-too: the model goes, nothing is live until the next training is released, and that learns "
            "from rows without the person."
        )


def _is_own(site: Site, digest: str) -> bool:
    """Return whether a model is of this product and of no other one."""
    trained = {training["product"] for training in site.models.trainings(digest)}
    released = {release.model for release in site.releases.all(site.product.product)}
    return trained == {site.product.product} or (not trained and digest in released)


def _model_holds(site: Site, digest: str, person: Person) -> bool:
    folder = site.place.models / digest
    return any(holds(path, person) or _names(path, person) for path in sorted(folder.iterdir()))


def _names(path: Path, person: Person) -> bool:
    """Return whether a JSON file of a model lists the value among the categories of an input."""
    if path.suffix != ".json":
        return False
    facts = json.loads(path.read_bytes())
    inputs = facts.get("inputs", []) if isinstance(facts, dict) else []
    return any(person.value in (i.get("categories") or []) for i in inputs if isinstance(i, dict))


def _trained_on(site: Site, digest: str, tables: set[str]) -> bool:
    """Return whether a model was trained on a table that held the person."""
    own = [t for t in site.models.trainings(digest) if t["product"] == site.product.product]
    return any(tables & {training["table"], *training["inputs"]} for training in own)


def _end_live(site: Site, found: Erasure) -> None:
    if found.live:
        decision = {
            "outcome": "erased",
            "model": found.live.model,
            "at": site.clock.now(),
            "who": "headrace erase",
            "why": "its files held a person who was erased",
            "evidence": {},
        }
        site.releases.decide(site.product.product, decision, after=len(site.releases.all(site.product.product)))


def _going(site: Site, person: Person) -> Iterator[Path]:
    """Yield the report's pages and facts that hold the person, and copies that nobody needs while nothing runs."""
    reports = site.place.reports
    own = [page for kind in ("html", "json") for page in reports.glob(f"{site.product.product}.*{kind}")]
    for page in sorted([*own, *reports.glob("index.html")]):
        if holds(page, person):
            yield page
    for folder in (site.place.home / "fetched", site.place.spill):
        yield from sorted(folder.glob("*"))


def _clean(site: Site, path: Path, person: Person) -> None:
    if path.parent in (site.place.home / "fetched", site.place.spill, site.place.reports):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        return
    # What is masked is another record, and ours: it is sealed again, if it was as it was written.
    is_sealed = path.name == f"{kind_of(site)}.json" and not fault_of(site, path.parent.name)
    mask(path, person)
    if is_sealed:
        seal(site, path.parent.name)
