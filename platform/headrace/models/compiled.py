"""Trees as native code: lleaves writes a booster's trees down for LLVM, which makes an object file of them.

lleaves 1.3 asks llvmlite for a pass manager that llvmlite 0.45 took out: its trees are optimized here by the new one.
"""

import ctypes
import os
import platform
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.core.fingerprint import code_parts, libraries, version_of
from headrace.models.blocks import Array
from headrace.models.trainers.lightgbm import Boosted

ENTRY = "forest_root"
TREES_AT_ONCE = 17
"""How many trees all rows go through before the next ones: more of them do not fit into a processor's cache of code."""
ROWS_AT_ONCE = 16_384
"""How many rows a thread takes: their values fit into its cache."""
NEARLY_ZERO = float(np.float32(1e-35))
"""What LightGBM takes for zero where zero means missing; lleaves takes zero alone."""
FAST = 3
"""LLVM's -O3."""
ARGUMENTS = (ctypes.POINTER(ctypes.c_double), ctypes.POINTER(ctypes.c_double), ctypes.c_int32, ctypes.c_int32)


def can_compile() -> bool:
    """Return whether lleaves is installed."""
    return find_spec("lleaves") is not None


def target() -> str:
    """Return what an object file is good for: this processor, these libraries and this code; others make their own."""
    import llvmlite.binding as llvm

    processor = {"machine": platform.machine(), "processor": llvm.get_host_cpu_name()}
    features = {"features": llvm.get_host_cpu_features().flatten()}
    return version_of(processor | features | libraries("lleaves", "llvmlite") | code_parts(make_object, Forest))


def make_object(text: Path) -> bytes:
    """Return the object file of the trees in a file of LightGBM's own text; raises what lleaves does where it knows no way."""
    import llvmlite.binding as llvm
    from lleaves.compiler.ast import parse_to_ast
    from lleaves.compiler.codegen import gen_forest
    from llvmlite import ir

    written = ir.Module(name="forest")
    gen_forest(parse_to_ast(str(text)), written, TREES_AT_ONCE, ENTRY, True)
    written.triple = llvm.get_process_triple()
    machine = _machine()
    module = llvm.parse_assembly(str(written))
    module.verify()
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=FAST))
    passes.getModulePassManager().run(module, passes)
    made: bytes = machine.emit_object(module)
    return made


class Forest:
    """An object file that is loaded: it runs in this process, so that its bytes must be known to be right.

    `text` is that of the trees that it was made of.
    """

    def __init__(self, data: bytes, text: str) -> None:
        import llvmlite.binding as llvm

        self._zero_is_missing = "\n[zero_as_missing: 1]\n" in text
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine())
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(data))
        self._engine.finalize_object()
        self._score = ctypes.CFUNCTYPE(None, *ARGUMENTS)(self._engine.get_function_address(ENTRY))

    def predict(self, encoded: pa.Table) -> Array:
        """Return one float64 a row of float64 columns, in their order; null and NaN are missing. All processors work."""
        scores = np.zeros(encoded.num_rows)

        def score(start: int) -> None:
            rows = _matrix(encoded.slice(start, ROWS_AT_ONCE))
            if self._zero_is_missing:
                rows[np.abs(rows) <= NEARLY_ZERO] = 0.0
            out = scores[start : start + len(rows)]
            self._score(rows.ctypes.data_as(ARGUMENTS[0]), out.ctypes.data_as(ARGUMENTS[1]), 0, len(rows))

        with ThreadPoolExecutor(os.cpu_count()) as threads:
            list(threads.map(score, range(0, encoded.num_rows, ROWS_AT_ONCE)))
        return scores


@dataclass(frozen=True)
class Native(Boosted):
    """A booster whose scores come from its compiled trees; whatever else is asked of it LightGBM answers."""

    forest: Forest = field(kw_only=True)

    def predict(self, encoded: pa.Table) -> Any:
        """Return one float64 a row."""
        return self.forest.predict(encoded)


def _matrix(encoded: pa.Table) -> Array:
    """Return rows one behind the other, as compiled trees read them: float64, rows x inputs, NaN for what is missing."""
    rows = np.empty((encoded.num_rows, encoded.num_columns))
    for number, column in enumerate(encoded.columns):
        rows[:, number] = column.to_numpy()
    return rows


def _machine() -> Any:
    """Return this processor as LLVM knows it. Of its ways to address code the large one holds for every forest."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=FAST,
        reloc="pic",
        codemodel="large",
    )
