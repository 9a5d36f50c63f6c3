"""Which code a table is made of: that of its own engine, and not that of the other."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENGINE = ROOT / "platform" / "headrace"
ROOMS = ("contracts", "features", "monitoring")
SAY = """
import sys
from pathlib import Path
import headrace
from headrace.contracts.recipe import validated_parts
from headrace.core.fingerprint import version_of
from headrace.features.recipe import feature_parts, training_parts
from platform_tests.features.airline import CONTRACT, airline, windows
from platform_tests.features.test_carried import graph, site_on_spark
assert headrace.__file__.startswith(sys.argv[1])
for n, site in enumerate((airline(Path(sys.argv[2]) / "local", []), site_on_spark(Path(sys.argv[2]) / "spark"))):
    declared = graph(now=windows())
    parts = [feature_parts(site, declared, windows()), training_parts(site, declared)]
    parts.append(validated_parts(site, declared.sources["flights"], CONTRACT))
    print(*(version_of(part) for part in parts))
"""


def versions(source: Path, folder: Path) -> list[list[str]]:
    """Return the versions of a feature table, the training set and validated rows, on each engine, by the code in a folder."""
    done = subprocess.run(
        [sys.executable, "-c", SAY, str(source), str(folder)],
        env={"PYTHONPATH": f"{source}:{ROOT}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.returncode, done.stderr[-2000:]
    return [line.split() for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_other_code_for_spark_outdates_the_tables_of_spark_alone(tmp_path: Path) -> None:
    shutil.copytree(ENGINE, tmp_path / "changed" / "headrace", ignore=shutil.ignore_patterns("__pycache__"))
    files = [file for room in ROOMS for file in (tmp_path / "changed" / "headrace" / room).glob("spark*.py")]
    assert len(files) > len(ROOMS)
    for file in files:
        file.write_text(re.sub(r"(?m)^    return ", "    return None or ", file.read_text()))
    local, spark = versions(ROOT / "platform", tmp_path / "before")
    local_after, spark_after = versions(tmp_path / "changed", tmp_path / "after")
    assert local_after == local
    assert not set(spark_after) & set(spark)
    assert not set(local) & set(spark)
