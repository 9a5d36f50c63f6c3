"""A model for other runtimes: ONNX that says the same as the model on real rows, or nothing at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.core.errors import DeclarationError, Refused
from headrace.evaluation.declaration import Gate, before_load
from headrace.evaluation.judgement import judge_candidate
from headrace.features.declaration import Label
from headrace.models.candidate import Candidate
from headrace.models.declaration import Model
from headrace.models.encode import encode
from headrace.models.predict import Predictor, load_predictor
from headrace.models.train import Trained
from headrace.models.trainers.lightgbm import Boosted
from headrace.store.site import Site

LIMIT = 1e-5
"""How far a score may lie from the model's own."""
ROWS = 10_000
OPSET = 15
INPUTS, EXTRA = "inputs", "pip install 'headrace[onnx]'"
RECORD = "export"


@dataclass(frozen=True)
class Exported:
    """A model as ONNX, and how near it came."""

    onnx: bytes
    rows: int
    most: float
    """The greatest difference of a score on the rows that were compared."""


def export_model(site: Site, label: Label, digest: str) -> Exported:
    """Return a stored model as ONNX; raises Refused where a score of 10,000 real rows differs by more than 1e-5.

    The rows lie evenly over the newest training set. Input: float32, rows x inputs, categories as their codes, NaN for
    what is missing. Raises DeclarationError for a trainer whose models have no ONNX here.
    """
    predictor = load_predictor(site.models, digest)
    rows = _some(site.tables.read(site.product.table("training", "set")))
    onnx = to_onnx(predictor)
    apart = np.abs(onnx_scores(onnx, rows, predictor) - predictor.predict(rows))
    most = float(apart.max(initial=0.0))
    if not most <= LIMIT:
        worst = int(np.nanargmax(apart))
        raise Refused(
            f"As ONNX, model {digest[:12]} says something else in {int((~(apart <= LIMIT)).sum()):,} of {rows.num_rows:,} rows, "
            f"most in {label.entity} {rows[label.entity][worst]}: by {most:.2g}, limit {LIMIT:g}. Nothing was exported. "
            "ONNX compares 32-bit numbers: round what the features compute, or leave out inputs that need more digits."
        )
    site.models.record(digest, RECORD, {"rows": rows.num_rows, "most": most, "bytes": len(onnx)})
    return Exported(onnx, rows.num_rows, most)


def to_onnx(predictor: Predictor) -> bytes:
    """Return a model as ONNX, unproved."""
    fitted = predictor.fitted
    if predictor.tuned.calibration:
        raise DeclarationError("A calibrated model has no ONNX here: train one without `calibrate` to export.")
    if not isinstance(fitted, Boosted):
        raise DeclarationError(f"Models of trainer '{predictor.meta.trainer}' have no ONNX here; those of lightgbm do.")
    try:
        from onnxmltools import convert_lightgbm
        from onnxmltools.convert.common.data_types import FloatTensorType
    except ImportError:
        raise DeclarationError(f"An export needs ONNX: {EXTRA}") from None
    shape = [(INPUTS, FloatTensorType([None, len(predictor.inputs)]))]
    made = convert_lightgbm(fitted.booster, initial_types=shape, zipmap=False, target_opset=OPSET)
    data: bytes = made.SerializeToString()
    return data


def onnx_scores(onnx: bytes, rows: pa.Table, predictor: Predictor) -> Any:
    """Return what an ONNX model says of rows, a float64 a row."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    columns = [column.to_numpy() for column in encode(rows, predictor.inputs).columns]
    answers = session.run(None, {INPUTS: np.column_stack(columns).astype(np.float32)})
    return np.asarray(answers[-1], np.float64).reshape(rows.num_rows, -1)[:, -1]


def first_trees(site: Site, digest: str, trees: int) -> Candidate:
    """Return a model of the first trees of another, stored as one of its own; raises Refused where there are not more."""
    predictor = load_predictor(site.models, digest)
    if not isinstance(predictor.fitted, Boosted) or trees >= predictor.meta.trees:
        raise Refused(f"Model {digest[:12]} has no more than {trees} trees: nothing can be pruned.")
    if predictor.meta.tuned:
        raise Refused(f"Model {digest[:12]} has a calibration or a threshold that is right for all its trees alone.")
    meta = predictor.meta.model_copy(update={"trees": trees})
    pruned = Boosted(predictor.fitted.booster, trees)
    own = site.models.put(Trained(pruned, meta).files)
    trainings = [each for each in site.models.trainings(digest) if each["product"] == site.product.product]
    version = trainings[-1]["version"]
    why = f"the first {trees} of {predictor.meta.trees} trees of {digest[:12]}"
    return Candidate(own, version, site.clock.now(), why)


def refuse_failing(site: Site, label: Label, model: Model, variant: Candidate, gates: Sequence[Gate]) -> None:
    """Raise Refused where a variant of a model fails a gate, held against the live model like any candidate."""
    judgement = judge_candidate(site, label, model, variant, gates)
    failed = [verdict for verdict in judgement.verdicts(before_load(gates)) if not verdict.passed]
    if failed:
        words = "; ".join(f"{verdict.gate} ({verdict.why})" for verdict in failed)
        raise Refused(f"Nothing was exported: {variant.reason} are refused by {words}")


def _some(rows: pa.Table) -> pa.Table:
    places = np.unique(np.linspace(0, max(rows.num_rows - 1, 0), min(ROWS, rows.num_rows)).astype(np.int64))
    return rows.take(pa.array(places))
