"""LightGBM by its own C interface: a row in a few microseconds, and nothing of the Python package is loaded."""

import ctypes
import struct
import weakref
from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from headrace.core.errors import StoreError

_FLOAT64, _ROW_MAJOR = 1, 1
_NORMAL, _CONTRIBUTIONS = 0, 3
_NAMES = ("lib/lib_lightgbm.so", "lib/lib_lightgbm.dylib", "bin/lib_lightgbm.dll", "lib_lightgbm.so")
_ONE_THREAD = b"num_threads=1"
Row = Callable[[Sequence[float]], float]


def library_path() -> Path:
    """Return where LightGBM's library lies; raises StoreError where it is not installed."""
    found = find_spec("lightgbm")
    folders = [Path(folder) for folder in (found.submodule_search_locations or ())] if found else []
    for path in (folder / name for folder in folders for name in _NAMES):
        if path.is_file():
            return path
    raise StoreError("The model is one of LightGBM's, which is not installed: pip install lightgbm")


class Trees:
    """A booster that is ready to score, on one thread. Any number of threads may use it."""

    def __init__(self, text: bytes) -> None:
        """Parse LightGBM's own text; raises StoreError for a text that is none."""
        self._handle = ctypes.c_void_p()
        trees = ctypes.c_int()
        _asked("LGBM_BoosterLoadModelFromString", text, ctypes.byref(trees), ctypes.byref(self._handle))
        self._free = weakref.finalize(self, _library().LGBM_BoosterFree, self._handle)
        inputs = ctypes.c_int()
        _asked("LGBM_BoosterGetNumFeature", self._handle, ctypes.byref(inputs))
        self.inputs = inputs.value

    def predict(self, matrix: Any) -> Any:
        """Return one float64 a row of a float64 matrix, rows x inputs: categories as codes, NaN for what is missing."""
        return self._predict(matrix, _NORMAL, 1)

    def contributions(self, matrix: Any) -> Any:
        """Return float64, rows x (inputs + 1): Shapley values of the raw score, and at the end what it is without them."""
        return self._predict(matrix, _CONTRIBUTIONS, self.inputs + 1).reshape(len(matrix), self.inputs + 1)

    def row(self) -> Row:
        """Return a function from the values of one row to its score, for one thread at a time."""
        config, given = ctypes.c_void_p(), ctypes.create_string_buffer(8 * self.inputs)
        _asked(
            "LGBM_BoosterPredictForMatSingleRowFastInit",
            self._handle, _NORMAL, 0, -1, _FLOAT64, self.inputs, _ONE_THREAD, ctypes.byref(config),
        )  # fmt: skip
        size, score = ctypes.c_int64(), ctypes.c_double()
        ask, into = _library().LGBM_BoosterPredictForMatSingleRowFast, struct.Struct(f"{self.inputs}d").pack_into
        told = (config, given, ctypes.byref(size), ctypes.byref(score))

        def predict(values: Sequence[float]) -> float:
            into(given, 0, *values)
            if ask(*told):
                raise _failed()
            return score.value

        # The booster lives as long as what asks it.
        predict.trees = self  # type: ignore[attr-defined]
        weakref.finalize(predict, _library().LGBM_FastConfigFree, config)
        return predict

    def _predict(self, matrix: Any, kind: int, width: int) -> Any:
        rows = np.ascontiguousarray(matrix, np.float64)
        found, size = np.empty(len(rows) * width), ctypes.c_int64()
        if rows.shape[1] != self.inputs:
            raise ValueError(f"{rows.shape[1]} inputs were given, and the model has {self.inputs}")
        if len(rows):
            _asked(
                "LGBM_BoosterPredictForMat",
                self._handle, rows.ctypes.data_as(ctypes.c_void_p), _FLOAT64, len(rows), self.inputs, _ROW_MAJOR,
                kind, 0, -1, _ONE_THREAD, ctypes.byref(size), found.ctypes.data_as(ctypes.c_void_p),
            )  # fmt: skip
        return found


@cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(str(library_path()))
    library.LGBM_GetLastError.restype = ctypes.c_char_p
    return library


def _asked(name: str, *given: Any) -> None:
    if getattr(_library(), name)(*given):
        raise _failed()


def _failed() -> StoreError:
    return StoreError(f"LightGBM refuses the model: {_library().LGBM_GetLastError().decode(errors='replace')}")
