"""A trainer of the user's own: a function beside the declaration. Its files are stored with the model, and load it again."""

import inspect
import io
import shutil
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile, ZipInfo

import numpy as np
import pyarrow as pa

from headrace.core.errors import DataError, DeclarationError, StoreError
from headrace.core.user_code import files_of, load_function, told_in_words

if TYPE_CHECKING:
    from headrace.models.meta import Meta
    from headrace.models.trainer import Lesson

FROM_BYTES, MODEL, CODE = "from_bytes", "model", "code/"
PATH = ("model", "trainer")


@dataclass(frozen=True)
class Own:
    """What the user's function returned, or their `from_bytes`."""

    model: Any
    file: Path
    code: Mapping[str, bytes]

    def predict(self, encoded: pa.Table) -> Any:
        """Return one float64 a row; raises DataError where the user's `predict` returns anything else."""
        with told_in_words(self.file, "predicting"):
            found = np.asarray(self.model.predict(encoded), dtype=np.float64)
        if found.shape != (encoded.num_rows,):
            raise DataError(
                f"{self.file}: predict returned an array of shape {found.shape} for {encoded.num_rows} rows: one number a row."
            )
        return found

    def to_bytes(self) -> bytes:
        """Return the model with the files that load it again."""
        with told_in_words(self.file, "storing the model"):
            data = self.model.to_bytes()
        if not isinstance(data, bytes):
            raise DeclarationError(f"{self.file}: to_bytes returned {type(data).__name__}: it must return bytes.", PATH)
        packed = io.BytesIO()
        with ZipFile(packed, "w") as files:
            for name, content in {MODEL: data, **{f"{CODE}{name}": text for name, text in self.code.items()}}.items():
                files.writestr(ZipInfo(name), content, ZIP_DEFLATED)
        return packed.getvalue()

    def importance(self) -> Sequence[float] | None:
        """Return what the model's own `importance()` says, if it has one."""
        with told_in_words(self.file, "asking for importances"):
            found = self.model.importance() if hasattr(self.model, "importance") else None
            return None if found is None else [float(value) for value in found]


@dataclass(frozen=True)
class OwnTrainer:
    """`file.py:function`, called as function(rows, answers, weights, params, seed); see the how-to page."""

    place: str

    form = "model.bin"
    libraries = ("pyarrow", "numpy")

    @property
    def file(self) -> str:
        """The file that the function stands in."""
        return self.place.partition(":")[0]

    def fit(self, lesson: "Lesson") -> Own:
        """Return what the user's function makes; raises DeclarationError where it is not there, or returns no model."""
        meta, beside = lesson.meta, lesson.beside
        place = beside.folder / self.file
        function = load_function(beside.folder, beside.product, self.place)
        load_function(beside.folder, beside.product, f"{self.file}:{FROM_BYTES}")
        more = {"groups": lesson.groups} if "groups" in inspect.signature(function).parameters else {}
        if lesson.groups is not None and not more:
            raise DeclarationError(f"{place}: for `task: ranking` the function needs an argument `groups`.", PATH)
        with told_in_words(place, "training"):
            made = function(lesson.rows, lesson.answers, lesson.weights, dict(meta.params), meta.seed, **more)
        lacks = [name for name in ("predict", "to_bytes") if not callable(getattr(made, name, None))]
        if lacks:
            raise DeclarationError(
                f"{place}: '{self.place}' returned a {type(made).__name__} without {' and '.join(lacks)}.", PATH
            )
        return Own(made, place, files_of(beside.folder, self.file))

    def from_bytes(self, data: bytes, meta: "Meta") -> Own:  # noqa: ARG002  the user's own bytes say all
        """Return the model by the `from_bytes` of the files that are stored with it, whatever became of them since."""
        try:
            with ZipFile(io.BytesIO(data)) as files:
                code = {name.removeprefix(CODE): files.read(name) for name in files.namelist() if name != MODEL}
                stored = files.read(MODEL)
        except (BadZipFile, KeyError) as error:
            raise StoreError(f"The stored model of '{self.place}' cannot be read: {error}. Train again.") from error
        folder = Path(mkdtemp(prefix="headrace-model-"))
        for name, text in code.items():
            (folder / Path(name).name).write_bytes(text)
        package = f"stored_{sha256(b''.join(code.values())).hexdigest()[:12]}"
        load = load_function(folder, package, f"{self.file}:{FROM_BYTES}")
        with told_in_words(folder / self.file, "loading the model"):
            made = Own(load(stored), folder / self.file, code)
        weakref.finalize(made, shutil.rmtree, folder, ignore_errors=True)
        return made
