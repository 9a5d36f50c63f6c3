"""Asks Evidently, in its own environment: python ask_evidently.py <columns.json> <answers.json>."""

import json
import sys
from pathlib import Path

import evidently
import pandas as pd
from evidently.legacy.calculations import stattests
from evidently.legacy.core import ColumnType

NUMBERS = {"ks": stattests.ks_stat_test, "wasserstein": stattests.wasserstein_stat_test}
TEXTS = {"psi": stattests.psi_stat_test, "jensen_shannon": stattests.jensenshannon_stat_test}


def main(asked: Path, answers: Path) -> None:
    """Write what each test says of each column."""
    told: dict[str, dict[str, float]] = {}
    for name, column in json.loads(asked.read_text()).items():
        before, now = pd.Series(column["before"]), pd.Series(column["now"])
        is_text = isinstance(column["before"][0], str)
        kind, tests = (ColumnType.Categorical, TEXTS) if is_text else (ColumnType.Numerical, NUMBERS)
        told[name] = {n: float(test(before, now, kind, threshold=0.1).drift_score) for n, test in tests.items()}
    answers.write_text(json.dumps({"evidently": evidently.__version__, "columns": told}, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
