"""A model's compiled trees: made once for a machine, proved on real rows, kept beside the model with their digest.

They are native code. A process of its own makes them and scores with them first; what ends it, or says something else
than LightGBM, is never loaded. Where there are none LightGBM scores, and the reason is known.
"""

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, ValidationError

from headrace.core.names import quoted
from headrace.models.compiled import Forest, Native, can_compile, make_object, target
from headrace.models.encode import encode
from headrace.models.predict import Predictor, load_predictor
from headrace.models.trainers.lightgbm import Boosted
from headrace.store.engine import TableView
from headrace.store.models import Models
from headrace.store.publish import make_folder
from headrace.store.room import room_at
from headrace.store.site import Site

LIMIT = 1e-6
"""How far a score may lie from LightGBM's own."""
ROWS = 10_000
CHANGED = 200
"""Of how many of these rows each input is taken away, and set to zero: the days to come may lack what training had."""
LEAST_WORK = 50_000_000
"""Rows times trees from which on trees are compiled: LightGBM takes about a second for so many."""
MOST_LEAVES = 100_000
"""LLVM takes two seconds and 80 MB for a thousand leaves."""
LONGEST_S = 900
EXTRA = "pip install 'headrace[compile]'"
ROOT = Path(__file__).parents[2]
TRY = (
    "import sys, pathlib; from headrace.models.compilation import make_and_try; make_and_try(pathlib.Path(sys.argv[1]))"
)
TEXT, REAL, OBJECT, SCORES = "model.txt", "rows.arrow", "forest.o", "scores.npy"


class Compilation(BaseModel):
    """What became of compiling a model for a machine."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    object: str = ""
    """The digest of the object file; empty where there is none."""
    why: str = ""
    """Why there is none."""
    rows: int = 0
    """On how many rows it was proved."""
    apart: float = 0.0
    """The greatest difference of a score on them."""
    seconds: float = 0.0


@dataclass(frozen=True)
class Bulk:
    """A model that is ready to score many rows, and how it does so, in words."""

    predictor: Predictor
    how: str

    @property
    def is_compiled(self) -> bool:
        """Whether its trees are native code."""
        return isinstance(self.predictor.fitted, Native)


def bulk_predictor(site: Site, digest: str, rows: int | None = None) -> Bulk:
    """Return a stored model with compiled trees, made now if nobody has for this machine; else as LightGBM, or its trainer.

    With `rows`, how many are to be scored, trees are compiled only where LightGBM would take long for them.
    Raises DigestMismatch and StoreError as `load_predictor`. An object file that is gone, damaged or another's is made anew.
    """
    predictor = load_predictor(site.models, digest)
    fitted = predictor.fitted
    if not isinstance(fitted, Boosted):
        return Bulk(predictor, f"{predictor.meta.trainer}: trees of lightgbm alone are compiled")
    if rows is not None and rows * predictor.meta.trees < LEAST_WORK:
        return Bulk(predictor, f"LightGBM: {rows:,} rows are too few for compiled trees to pay")
    if not can_compile():
        return Bulk(predictor, f"LightGBM: compiled trees need lleaves, {EXTRA}")
    done, data = _known(site.models, digest) or _compiled(site, digest, predictor)
    if data is None:
        return Bulk(predictor, f"LightGBM: {done.why}")
    native = Native(fitted.booster, fitted.trees, forest=Forest(data, fitted.to_bytes().decode()))
    proof = f"at most {done.apart:.1g} from LightGBM's on {done.rows:,} rows"
    return Bulk(replace(predictor, fitted=native), f"compiled trees: {proof}")


def make_and_try(folder: Path) -> None:
    """Make the object file of the text in a folder, score the rows there with it, and write both: in a process of its own."""
    data = make_object(folder / TEXT)
    with pa.ipc.open_file(folder / REAL) as rows:
        scores = Forest(data, (folder / TEXT).read_text()).predict(rows.read_all())
    np.save(folder / SCORES, scores, allow_pickle=False)
    (folder / OBJECT).write_bytes(data)


def _known(models: Models, digest: str) -> tuple[Compilation, bytes | None] | None:
    """Return what became of it before on this machine, with the bytes; None where nobody tried, or they are not the same."""
    kind = _kind()
    try:
        done = Compilation.model_validate(models.recorded(digest, kind))
    except ValidationError:
        return None
    if not done.object:
        return done, None
    data = models.get_beside(digest, f"{kind}.o", done.object)
    return (done, data) if data is not None else None


def _compiled(site: Site, digest: str, predictor: Predictor) -> tuple[Compilation, bytes | None]:
    """Compile a model, prove it, and keep what became of it."""
    started, kind = time.perf_counter(), _kind()
    done, data = _tried(site, digest, predictor)
    done = done.model_copy(update={"seconds": round(time.perf_counter() - started, 1)})
    if data is not None:
        done = done.model_copy(update={"object": site.models.put_beside(digest, f"{kind}.o", data)})
    site.models.record(digest, kind, done.model_dump())
    return done, data


def _tried(site: Site, digest: str, predictor: Predictor) -> tuple[Compilation, bytes | None]:
    text = predictor.fitted.to_bytes()
    why = _unfit(text.decode())
    rows = None if why else _real_rows(site, digest, predictor)
    if rows is None or not rows.num_rows:
        return Compilation(why=why or "there are no rows of a training set to prove compiled trees on"), None
    make_folder(site.spill.folder)
    full = room_at(site.spill.folder, f"the trees of model {digest[:12]} were not compiled")
    with full, tempfile.TemporaryDirectory(dir=site.spill.folder) as made:
        folder = Path(made)
        (folder / TEXT).write_bytes(text)
        with pa.ipc.new_file(folder / REAL, rows.schema) as sink:
            sink.write_table(rows)
        why = _ran(folder)
        if why:
            return Compilation(why=why), None
        scores = np.load(folder / SCORES, allow_pickle=False)
        return _judged(scores, predictor.fitted.predict(rows), (folder / OBJECT).read_bytes())


def _unfit(text: str) -> str:
    """Return why the trees of a text are not compiled at all; empty where they are."""
    leaves = sum(int(line.partition("=")[2]) for line in text.splitlines() if line.startswith("num_leaves="))
    return f"{leaves:,} leaves are too many to compile, more than {MOST_LEAVES:,}" if leaves > MOST_LEAVES else ""


def _real_rows(site: Site, digest: str, predictor: Predictor) -> pa.Table | None:
    """Return the newest rows of the training set that the model is of, encoded; behind them some with each input changed."""
    table, names = site.product.table("training", "set"), [i.name for i in predictor.inputs]
    if not site.tables.exists(table):
        return None
    used = [t["version"] for t in site.models.trainings(digest) if t["table"] == table]
    there = [version for version in used if version not in site.tables.removed(table).versions]
    version = there[-1] if there else None
    if not {*names, predictor.meta.time} <= set(site.tables.schema(table, version=version).names):
        return None
    newest = (
        f"select {', '.join(map(quoted, names))} from rows order by {quoted(predictor.meta.time)} desc limit {ROWS}"
    )
    rows = encode(
        site.engine.query(newest, {"rows": TableView(table, version=version)}, origin=table), predictor.inputs
    )
    return pa.concat_tables([rows, *_changed(rows)])


def _changed(rows: pa.Table) -> list[pa.Table]:
    """Return some of the rows without each input in turn, and with zero in its place."""
    few = rows.slice(0, CHANGED)
    instead = [pa.array([value] * few.num_rows, pa.float64()) for value in (None, 0.0)]
    return [few.set_column(number, name, values) for number, name in enumerate(few.column_names) for values in instead]


def _ran(folder: Path) -> str:
    """Let a process of its own make the object file and try it; return why it did not, or nothing."""
    try:
        done = subprocess.run(  # noqa: S603  our own text, by our own interpreter
            [sys.executable, "-c", TRY, str(folder)], cwd=ROOT, capture_output=True, check=False, timeout=LONGEST_S
        )
    except subprocess.TimeoutExpired:
        return f"compiling the trees takes longer than {LONGEST_S} s"
    if done.returncode < 0:
        return f"the process that compiled the trees was ended by signal {-done.returncode}"
    said = done.stderr.decode(errors="replace").strip().splitlines()
    return f"the trees cannot be compiled: {said[-1] if said else 'nobody says why'}" if done.returncode else ""


def _judged(scores: Any, own: Any, data: bytes) -> tuple[Compilation, bytes | None]:
    apart = np.abs(scores - own)
    most = float(apart.max())
    if most <= LIMIT:
        return Compilation(rows=len(own), apart=most), data
    others = int((~(apart <= LIMIT)).sum())
    why = f"compiled trees say something else in {others:,} of {len(own):,} rows, by up to {most:.2g}"
    return Compilation(why=f"{why}, limit {LIMIT:g}", rows=len(own), apart=most), None


def _kind() -> str:
    return f"compiled.{target()}"
