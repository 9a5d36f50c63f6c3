"""skops: fitted estimators as plain bytes, the same for the same estimator, and by a list of our own what they may hold."""

import io
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile, ZipInfo

import numpy as np

from headrace.core.errors import StoreError

SCHEMA = "schema.json"
JUNK = (BadZipFile, zlib.error, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What zipfile, json, numpy and skops raise for bytes that are no stored estimator, each in its own way."""
NUMPY_FILE = b"\x93NUMPY"
TRUSTED = (
    "numpy.dtype",
    "sklearn._loss.loss.HalfTweedieLossIdentity",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
    "sklearn.gaussian_process.kernels.ConstantKernel",
    "sklearn.gaussian_process.kernels.Matern",
    "sklearn.gaussian_process.kernels.Product",
    "sklearn.gaussian_process.kernels.RBF",
    "sklearn.gaussian_process.kernels.Sum",
    "sklearn.gaussian_process.kernels.WhiteKernel",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.metrics._dist_metrics.ManhattanDistance64",
    "sklearn.metrics._dist_metrics.MinkowskiDistance64",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
)
"""What a stored model may hold beside skops' own list of numbers, containers and scikit-learn's public estimators: parts of
such estimators, which hold numbers and run nothing when they are made."""


def stored(fitted: Any) -> bytes:
    """Return an estimator as bytes, with numbers in the place of addresses."""
    import skops.io as sio

    return _canonical(sio.dumps(fitted))


def loaded(data: bytes) -> Any:
    """Return the estimator that bytes are; raises StoreError for what skops cannot read, or what is not trusted here."""
    import skops.io as sio

    with _readable():
        return sio.loads(data, trusted=list(TRUSTED))


def strange_types(data: bytes) -> list[str]:
    """Return the types in a stored model that are not trusted here; raises StoreError for what skops cannot read."""
    import skops.io as sio

    with _readable():
        return [name for name in sio.get_untrusted_types(data=data) if name not in TRUSTED]


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except JUNK as error:
        raise StoreError(f"The stored model is no file of skops that can be read: {error}. Train again.") from error


def _canonical(data: bytes) -> bytes:
    """Return a skops file that says the same, without the addresses and times that skops puts into it."""
    numbers: dict[int, int] = {}
    names: dict[str, str] = {}

    def renumbered(node: Any) -> Any:
        if isinstance(node, list):
            return [renumbered(part) for part in node]
        if not isinstance(node, dict):
            return node
        told: dict[str, Any] = {}
        for key, value in node.items():
            if key == "__id__":
                told[key] = numbers.setdefault(value, len(numbers) + 1)
            elif key == "file" and value in there:
                told[key] = names.setdefault(value, f"{len(names) + 1}{value[value.rfind('.') :]}")
            else:
                told[key] = renumbered(value)
        return told

    with ZipFile(io.BytesIO(data)) as packed:
        there = set(packed.namelist())
        schema = json.dumps(renumbered(json.loads(packed.read(SCHEMA))), indent=1).encode()
        files = {new: _padded_with_zeros(packed.read(old)) for old, new in names.items()}
    made = io.BytesIO()
    with ZipFile(made, "w") as packed:
        for name, content in {**files, SCHEMA: schema}.items():
            packed.writestr(ZipInfo(name), content, ZIP_DEFLATED)
    return made.getvalue()


def _padded_with_zeros(data: bytes) -> bytes:
    """Return a numpy file without what happened to lie in memory between the fields of its rows, as a tree's nodes have it."""
    if not data.startswith(NUMPY_FILE):
        return data
    values = np.load(io.BytesIO(data), allow_pickle=False)
    if values.dtype.names is None:
        return data
    clean = np.zeros(values.shape, values.dtype)
    for name in values.dtype.names:
        clean[name] = values[name]
    made = io.BytesIO()
    np.save(made, clean, allow_pickle=False)
    return made.getvalue()
