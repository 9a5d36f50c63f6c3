"""Nothing is unpickled on the whole way from a landed file to a card and to scores."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROUND = """
import sys
from pathlib import Path
found = []
sys.addaudithook(lambda event, args: found.append(args) if event == "pickle.find_class" else None)
from headrace.product import loop_of
from platform_tests.end_to_end.shop import make_project
from platform_tests.releases.test_why import Shop
shop = Shop(make_project(Path(sys.argv[1]) / "shop"))
shop.land(0, 29)
assert shop.train()["outcome"] == "released"
shop.land(30, 32)
shop.ingest()
shop.run(loop_of(*shop.project.load("shop")).live_keys, {})
import pickle
assert not found, found
pickle.loads(pickle.dumps(Path()))
print("unpickled by the round 0, by us", len(found))
"""


@pytest.mark.slow
def test_no_class_is_looked_up_by_a_pickle_from_the_first_file_to_the_scores(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "HEADRACE_HOME"}
    done = subprocess.run(
        [sys.executable, "-c", ROUND, str(tmp_path)],
        env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "unpickled by the round 0, by us 1" in done.stdout, done.stderr[-3000:]
