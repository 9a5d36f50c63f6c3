"""What training over sites is held against, on the same test rows: the same trees of all rows in one place, and of each site alone."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from headrace.features.declaration import Label
from headrace.models.baselines import Baseline
from headrace.models.declaration import Model
from headrace.models.folds import judged_on
from headrace.models.predict import Predictor
from headrace.models.split import Split
from headrace.models.train import train_model

IN_ONE_PLACE = "all sites in one place"


def compared(split: Split, label: Label, model: Model) -> Iterator[Baseline]:
    """Yield the same XGBoost, trained on all rows and on each site's, as baselines; none for a model of no sites."""
    if model.federated is None:
        return
    by = model.federated.by
    alone = model.model_copy(
        update={"trainer": "xgboost", "federated": None, "device": "cpu", "ignore": [*model.ignore, by]}
    )
    sites = split.train[by].cast(pa.string())
    yield _baseline(IN_ONE_PLACE, split, label, alone)
    for name in sorted(set(sites.to_pylist())):
        here = Split(split.train.filter(pc.equal(sites, name)), split.test)
        yield _baseline(f"site {name} alone", here, label, alone)


def _baseline(name: str, split: Split, label: Label, model: Model) -> Baseline:
    trained = train_model(split.train, label, model, lambda _: None)
    scores = Predictor(trained.fitted, trained.meta).predict(split.test)
    return Baseline(name, f"XGBoost of {split.train.num_rows} rows", judged_on(split.test, label, model, scores))
