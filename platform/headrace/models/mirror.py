"""A model of ours as MLflow loads it: rows as people know them in, answers out."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from headrace.models.meta import Meta
from headrace.models.predict import Predictor
from headrace.models.trainer import trainer_of
from headrace.models.tuned import FILE, Tuned


class Mirrored:
    """A model that scores data frames, as MLflow asks it to."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    def predict(self, rows: Any) -> Any:
        """Return one float64 a row of a pandas frame. Raises DataError where rows lack an input."""
        return self._predictor.predict(pa.Table.from_pandas(rows, preserve_index=False))


def _load_pyfunc(folder: str) -> Mirrored:
    """Return the model whose files lie in a folder: MLflow calls this by its name."""
    files = Path(folder)
    meta = Meta.model_validate_json((files / "meta.json").read_bytes())
    trainer = trainer_of(meta.trainer)
    tuned = Tuned.model_validate_json((files / FILE).read_bytes()) if meta.tuned else Tuned()
    return Mirrored(Predictor(trainer.from_bytes((files / trainer.form).read_bytes(), meta), meta, tuned))
