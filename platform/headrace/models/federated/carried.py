"""What Flower carries to the server and to the sites, and which libraries it finds there: a model of sites is made of both."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from headrace.core.errors import DeclarationError
from headrace.core.fingerprint import Parts, code_parts
from headrace.models.trainers.xgboost import appended, more_trees

ROOT = Path(__file__).parents[3]
CARRIED = (
    "headrace/__init__.py",
    "headrace/core/__init__.py",
    "headrace/core/errors.py",
    "headrace/models/__init__.py",
    "headrace/models/device.py",
    "headrace/models/federated/__init__.py",
    "headrace/models/federated/server.py",
    "headrace/models/federated/site.py",
    "headrace/models/trainers/__init__.py",
    "headrace/models/trainers/xgboost.py",
)
"""The files that Flower carries to the sites: what they train by is what trains here."""
PROJECT = """
[project]
name = "headrace-sites"
version = "1.0.0"
license = "Apache-2.0"
dependencies = []
[tool.flwr.app]
publisher = "headrace"
[tool.flwr.app.components]
serverapp = "headrace.models.federated.server:app"
clientapp = "headrace.models.federated.site:app"
[tool.flwr.app.config]
lesson = {lesson}
left = {left}
"""
VERSIONS = """
import json
from importlib.metadata import distributions
names = {"flwr", "numpy", "pyarrow", "xgboost", "xgboost-cpu"}
print(json.dumps({one.metadata["Name"]: one.version for one in distributions() if one.metadata["Name"] in names}))
"""


def pack(folder: Path, lesson: Mapping[str, Any], left: Path) -> Path:
    """Return the folder, filled with what Flower carries; the server leaves what it has found in `left`."""
    for name in CARRIED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    project = PROJECT.format(lesson=json.dumps(json.dumps(lesson)), left=json.dumps(str(left)))
    (folder / "pyproject.toml").write_text(project)
    return folder


def parts_of(python: Path | None) -> Parts:
    """Return what a model of sites is made of beside what trains here: the programs' code, and the libraries that they run by.

    Raises DeclarationError for an interpreter that does not run; of one that is not there no library is known.
    """
    written = {name: sha256((ROOT / name).read_bytes()).hexdigest()[:16] for name in CARRIED if "/federated/" in name}
    return code_parts(more_trees, appended) | written | (_versions(python) if python and python.is_file() else {})


@cache
def _versions(python: Path) -> Parts:
    command = [str(python), "-I", "-c", VERSIONS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  the interpreter that was named
    if done.returncode:
        raise DeclarationError(
            f"HEADRACE_FLOWER_PYTHON is '{python}', and is no Python that runs: {done.stderr.strip()[-300:]}",
            ("model", "trainer"),
        )
    return {f"library {name} of the sites": number for name, number in json.loads(done.stdout).items()}
