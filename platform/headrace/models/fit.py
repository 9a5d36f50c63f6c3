"""A model and what is learned behind it, calibration and threshold, both from training rows alone."""

from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from headrace.features.declaration import Label
from headrace.models.answers import answers_of
from headrace.models.calibrate import held_out, is_tuned, tune
from headrace.models.declaration import Model
from headrace.models.predict import Predictor
from headrace.models.train import Trained, train_model
from headrace.models.trainer import Beside, Say
from headrace.models.tuned import FILE, Tuned


@dataclass(frozen=True)
class Fit:
    """A model that was trained, with what was learned behind it if anything was."""

    trained: Trained
    tuned: Tuned | None = None

    @property
    def files(self) -> dict[str, bytes]:
        """The model as it is stored."""
        return self.trained.files | ({FILE: self.tuned.model_dump_json().encode()} if self.tuned else {})

    @property
    def predictor(self) -> Predictor:
        """The model, ready to score as it will when it is in use."""
        return Predictor(self.trained.fitted, self.trained.meta, self.tuned or Tuned())


def fit_model(rows: pa.Table, label: Label, model: Model, say: Say, beside: Beside) -> Fit:
    """Return a model of training rows, and what is learned behind it on those of them that it was not trained on.

    Raises what `train_model`, `held_out` and `tune` do.
    """
    if not is_tuned(model):
        return Fit(train_model(rows, label, model, say, beside))
    parts = held_out(rows, label, model.split)
    trained = train_model(parts.train, label, model, say, beside)
    scores = Predictor(trained.fitted, trained.meta).predict(parts.test)
    tuned = tune(scores, answers_of(parts.test, label, model.task), model)
    # The model knows the labels of all of these rows, by its threshold or its calibration.
    meta = trained.meta.model_copy(update={"tuned": True, "train_to": pc.max(rows[label.time]).as_py()})
    return Fit(replace(trained, meta=meta), tuned)
