"""A stored model is parsed by a process of its own first: bytes that end a process end that one.

That process also writes the model again, and its bytes must be those that it read: what a parser passes over in silence,
such as a number that was cut short, would be found when it is too late.
"""

import platform
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from headrace.core.errors import StoreError
from headrace.models.meta import Meta
from headrace.models.native import library_path
from headrace.store.models import Models

RECORD = "parsed"
LONGEST_S = 120
ROOT = Path(__file__).parents[2]
PARSE = """
import sys
from headrace.core.errors import HeadraceError
from headrace.models.meta import Meta
from headrace.models.trainer import trainer_of
facts, data = sys.stdin.buffer.read().split(b"\\n", 1)
meta = Meta.model_validate_json(facts)
try:
    again = trainer_of(meta.trainer).from_bytes(data, meta).to_bytes()
except HeadraceError as error:
    sys.exit(f"told: {error}")
if again != data and not meta.code:
    sys.exit("told: written again, it is another")
"""
PARSE_LIGHTGBM = """
import ctypes, sys
library = ctypes.CDLL(sys.argv[1])
library.LGBM_GetLastError.restype = ctypes.c_char_p
text = sys.stdin.buffer.read().split(b"\\n", 1)[1]
trees, booster = ctypes.c_int(), ctypes.c_void_p()
if library.LGBM_BoosterLoadModelFromString(ctypes.c_char_p(text), ctypes.byref(trees), ctypes.byref(booster)):
    sys.exit("told: " + library.LGBM_GetLastError().decode(errors="replace"))
again, size = ctypes.create_string_buffer(len(text) + 1), ctypes.c_int64()
code = library.LGBM_BoosterSaveModelToString(
    booster, 0, -1, 0, ctypes.c_int64(len(again)), ctypes.byref(size), again
)
if code or again.value + b"\\npandas_categorical:null\\n" != text:
    sys.exit("told: written again, it is another")
"""
"""The same by LightGBM's library alone, which takes a tenth of a second instead of two."""


def parse_apart(models: Models, digest: str, meta: Meta, data: bytes) -> None:
    """Parse a model in a process of its own, unless that was done before by the same libraries; its digest is known to be right.

    Raises StoreError where that process fails, ends or takes longer than two minutes.
    """
    by = f"{', '.join(f'{name} {version(name)}' for name in _libraries(meta))} on {platform.machine()}"
    if (models.recorded(digest, RECORD) or {}).get("by") == by:
        return
    try:
        done = subprocess.run(  # noqa: S603  our own text, by our own interpreter
            _command(meta),
            input=meta.model_dump_json().encode() + b"\n" + data,
            cwd=ROOT,
            capture_output=True,
            check=False,
            timeout=LONGEST_S,
        )
    except subprocess.TimeoutExpired as error:
        raise _refused(digest, f"parsing it takes longer than {LONGEST_S} s") from error
    if done.returncode:
        raise _refused(digest, _why(done.returncode, done.stderr.decode(errors="replace")))
    if not models.is_sealed:
        models.record(digest, RECORD, {"by": by})


def _command(meta: Meta) -> list[str]:
    if meta.trainer != "lightgbm":
        return [sys.executable, "-c", PARSE]
    return [sys.executable, "-I", "-c", PARSE_LIGHTGBM, str(library_path())]


def _libraries(meta: Meta) -> Sequence[str]:
    if meta.trainer == "lightgbm":
        return (meta.trainer,)
    from headrace.models.trainer import trainer_of

    return trainer_of(meta.trainer).libraries


def _why(code: int, said: str) -> str:
    last = (said.strip().splitlines() or [""])[-1].removeprefix("told: ")
    return f"the process that parsed it was ended by signal {-code}" if code < 0 else f"it cannot be parsed: {last}"


def _refused(digest: str, why: str) -> StoreError:
    return StoreError(f"Model {digest[:12]} is not loaded: {why}. Nothing has changed; train again.")
