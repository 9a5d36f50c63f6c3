"""Reproduction: a model is made again of what it was made of; where it comes out otherwise, the first asset that differs is named."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from headrace.contracts.learn import with_learned
from headrace.contracts.validate import validate
from headrace.core.days import Days
from headrace.core.document import read_document
from headrace.core.errors import Refused, StoreError, VersionRemoved
from headrace.core.recipe import ALL
from headrace.declaration import ProductDeclaration
from headrace.features.compute import feature_rows
from headrace.features.training import training_rows
from headrace.models.candidate import train_candidate
from headrace.models.lineage import LAYERS, inputs_at
from headrace.models.lock import installed
from headrace.models.origin import known_at, origin_of
from headrace.models.tuning.folds import with_params
from headrace.neighbours import declared_product, with_shared
from headrace.store.past import PastSite
from headrace.store.releases import Release
from headrace.store.seals import unsealed
from headrace.store.site import Site
from headrace.store.unlike import Cell, Unlike, unlike

UNREADABLE = (StoreError, OSError, pa.ArrowException)
"""How it shows that files are no Parquet any more, or are not there."""


@dataclass(frozen=True)
class Reproduction:
    """What came of making a model again."""

    model: str
    made: str
    """The digest that came out; empty where it was not made, because what it stands on is damaged."""
    differs: str = ""
    """The first asset that differs, and how; empty where none does."""
    cells: Sequence[Cell] = ()
    environment: Sequence[str] = ()
    """Libraries with other versions than then."""
    notes: Sequence[str] = field(default=())

    @property
    def is_equal(self) -> bool:
        """Whether the model came out the same, and no table that was looked at differs."""
        return self.model == self.made and not self.differs

    def __str__(self) -> str:
        lines = [
            f"model {self.model[:12]}: made again, equal byte for byte" if self.model == self.made else self._other()
        ]
        lines += [f"the first asset that differs: {self.differs}"] if self.differs else []
        lines += [f"  {cell}" for cell in self.cells]
        lines += [f"another version than then: {what}" for what in self.environment]
        return "\n".join([*lines, *self.notes])

    def _other(self) -> str:
        return (
            f"model {self.model[:12]}: made again, it is {self.made[:12]}"
            if self.made
            else (f"model {self.model[:12]}: not made again, for what it was made of is damaged or gone")
        )


def reproduce(site: Site, decision: Release, *, cells: bool = False) -> Reproduction:
    """Make a model again of its table versions and the product's folder of then, and compare.

    With `cells` each table on the way is made again, too, and held against what is stored, cell by cell. Raises Refused
    where nothing is kept of the model's origin.
    """
    origin = origin_of(site, decision.model)
    if origin is None:
        raise Refused(
            f"Nothing is kept of what model {decision.model[:12]} was made of: it was trained before that was written down."
        )
    with tempfile.TemporaryDirectory() as folder:
        then = _then(site, origin, Path(folder))
        found = _found(then)
        trained_on = then.site.product.table("training", "set")
        made = "" if trained_on in (*found.damaged, *found.gone) else _made_again(then, origin)
        walked = _Walked()
        if found.damaged or cells or made != decision.model:
            walked = _walk(then, found)
        return Reproduction(
            model=decision.model,
            made=made,
            differs=walked.differs or ("" if made == decision.model else _at_the_end(then, found)),
            cells=walked.cells if cells else (),
            environment=_environment(origin),
            notes=[*walked.notes, *_notes(site, decision.model)],
        )


def _at_the_end(then: "_Then", found: "_Found") -> str:
    """Return why the model differs where no table on the way does."""
    trained_on = then.site.product.table("training", "set")
    if trained_on in found.gone:
        return f"{trained_on}: {found.gone[trained_on]}"
    return f"{then.site.product.table('model', 'candidate')}: what it is made of is the same, as far as it is there"


@dataclass(frozen=True)
class _Then:
    """The product as it was."""

    declared: ProductDeclaration
    site: PastSite


def _then(site: Site, origin: Mapping[str, Any], scratch: Path) -> _Then:
    product = scratch / "product"
    for name, data in site.code.get(origin["code"]).items():
        path = product / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    declared = declared_product(read_document(product / "defs.yaml"), product / "defs.yaml")
    versions = {name: version for name, version in origin["versions"].items() if version is not None}
    past = PastSite(
        declared, product, site.place, site.environment, scratch=scratch, versions=versions, at=datetime.now(UTC)
    )
    declared = with_shared(declared, past)
    return _Then(declared, replace(past, product=declared, at=_known_then(past, declared, origin)))


def _known_then(past: PastSite, declared: ProductDeclaration, origin: Mapping[str, Any]) -> datetime:
    """Return the earliest moment at which the labels of the training set's rows were known: no others were then."""
    if "known_at" in origin:
        return datetime.fromisoformat(origin["known_at"])
    # Older origins do not say it: the rows do, as far as they can be read; no label was known after the training.
    table = past.product.table("training", "set")
    as_it_is = replace(past, unsealed=frozenset([table]))
    try:
        return known_at(as_it_is, declared.label, origin["training_set"]) if declared.label else past.at
    except UNREADABLE:
        return datetime.fromisoformat(origin["at"])


@dataclass
class _Found:
    """The tables of then, by what became of them, those that others are made of first."""

    damaged: list[str] = field(default_factory=list)
    """Their files are not as they were written."""
    unreadable: list[str] = field(default_factory=list)
    """Those of them that cannot even be read."""
    gone: dict[str, str] = field(default_factory=dict)
    """Their versions were removed, for no kept model needs them: what is told of that."""


@dataclass
class _Walked:
    """What a walk from the sources on has found."""

    differs: str = ""
    cells: list[Cell] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def _found(then: _Then) -> _Found:
    found = _Found()
    for table in sorted(then.site.versions, key=_place):
        try:
            then.site.tables.files(table)
            is_sealed = not unsealed(then.site.place.tables / table)
        except VersionRemoved as error:
            found.gone[table] = str(error)
            continue
        except StoreError:
            is_sealed = False
            found.damaged.append(table)
        if not is_sealed and not _can_be_read(then, table):
            found.unreadable.append(table)
            found.damaged += [table] if table not in found.damaged else []
    return found


def _can_be_read(then: _Then, table: str) -> bool:
    try:
        for _ in replace(then.site, unsealed=frozenset([table])).tables.scan(table):
            pass
    except UNREADABLE:
        return False
    return True


def _place(table: str) -> tuple[int, str]:
    layer = table.split("/")[1]
    return (LAYERS.index(layer) if layer in LAYERS else 0, table)


def _made_again(then: _Then, origin: Mapping[str, Any]) -> str:
    """Return the digest of the model made again; of one whose parameters were searched for, with those that were found."""
    label, model = then.declared.label, then.declared.model
    assert label
    assert model
    model = with_params(model, origin["params"]) if "params" in origin else model
    return train_candidate(then.site, label, model, origin["training_set"], lambda _: None).digest


def _walk(then: _Then, found: _Found) -> _Walked:
    """Return the first table that differs from what its inputs make, in words, and the cells that do."""
    walked = _Walked()
    for table in (name for name in sorted(then.site.versions, key=_place) if name not in found.gone):
        is_damaged = table in found.damaged
        if table in found.unreadable:
            walked.differs = f"{table}: its files are not those that were written, and cannot be read"
            break
        # What landed is made of files that are the user's: what was made of it tells what it held.
        looked = _below(then, table) if is_damaged and table.split("/")[1] == "raw" else table
        other = None
        try:
            other = (
                _unlike(then, looked, frozenset(found.damaged)) if looked and looked not in found.unreadable else None
            )
        except StoreError as error:
            walked.notes.append(f"{table} was not made again: {error}")
        if is_damaged or other:
            walked.differs = f"{table}: {_how(other, is_damaged=is_damaged)}"
            walked.cells = [replace(cell, table=table) for cell in other.cells] if other else []
            break
    return walked


def _how(other: Unlike | None, *, is_damaged: bool) -> str:
    why = "its files are not those that were written" if is_damaged else "its inputs make other rows than it holds"
    return f"{why}: {other.whole}" if other and other.whole else why


def _below(then: _Then, table: str) -> str | None:
    name = then.site.product.table("validated", table.rpartition("/")[2])
    return name if name in then.site.versions else None


def _unlike(then: _Then, table: str, damaged: frozenset[str]) -> Unlike | None:
    site = replace(then.site, unsealed=damaged)
    # What it was made of itself may be older than what the training set was made of on another way.
    read = {**site.versions, **inputs_at(site, table, site.versions[table])}
    made = _rows_of(_Then(then.declared, replace(site, versions=read)), table)
    if made is None:
        return None
    layer, name = table.split("/")[1:]
    return unlike(table, site.tables.read(table), made, then.declared.key_of(layer, name))


def _rows_of(then: _Then, table: str) -> pa.Table | None:
    """Return the rows that a table's inputs make; None for what is made of none of ours."""
    declared, site = then.declared, then.site
    product, layer, name = table.split("/")
    if product != site.product.product:
        return None
    if layer == "validated":
        source, contract = declared.sources[name], declared.contracts.get(name)
        held = with_learned(site, name, contract) if contract else None
        return validate(site, name, source, held, None).valid
    if layer == "features":
        return feature_rows(site, name, declared.features[name], declared.sources, _days(site, table))
    if layer == "training" and declared.label:
        return training_rows(site, declared.features, declared.label)
    return None


def _days(site: Site, table: str) -> Days | None:
    days = sorted(day for day in site.ledger.contents(table) if day != ALL)
    return Days(date.fromisoformat(days[0]), date.fromisoformat(days[-1])) if days else None


def _environment(origin: Mapping[str, Any]) -> list[str]:
    now, then = installed(), origin["libraries"]
    # A clean environment has no Headrace: the one that runs is read from its source, and has no version there.
    compared = [name for name in then if name != "headrace" or name in now]
    return [
        f"{name}: {then[name]} then, {now.get(name, 'not there')} now"
        for name in compared
        if now.get(name) != then[name]
    ]


def _notes(site: Site, digest: str) -> list[str]:
    try:
        site.models.verify(digest)
    except StoreError as error:
        return [f"the stored model: {error}"]
    return []
