"""A real Prometheus that scrapes one server each second, and its tool."""

import json
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from headrace.core.ports import free_port
from platform_tests.serving.bar import DEADLINE, until

needs_prometheus = pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("promtool")),
    reason="Prometheus is not installed: .ci/system-packages installs it",
)
CONFIG = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{rules}]
scrape_configs:
  - job_name: headrace
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


def promtool(*words: str, given: bytes = b"", folder: Path | None = None) -> str:
    """Run Prometheus' tool, and return what it says; raises AssertionError where it is not content."""
    done = subprocess.run(["promtool", *words], input=given, cwd=folder, capture_output=True, check=False)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return said


@dataclass(frozen=True)
class Prometheus:
    """A Prometheus that answers."""

    port: int

    def asked(self, path: str, **words: str) -> Any:
        """Return what its interface says; raises AssertionError where that is an error."""
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(words)}"
        try:
            with urllib.request.urlopen(url, timeout=DEADLINE) as answer:
                return json.loads(answer.read())["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{words}: {error.read().decode()}") from error

    def value(self, query: str) -> float | None:
        """Return the first value of a query; None where it has none."""
        found = self.asked("query", query=query)["result"]
        return float(found[0]["value"][1]) if found else None


@contextmanager
def prometheus(folder: Path, target: int, rules: Path) -> Iterator[Prometheus]:
    """Yield a Prometheus that scrapes a port of this machine, and knows some rules."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "prometheus.yml"
    config.write_text(CONFIG.format(rules=json.dumps(str(rules)), port=target))
    port = free_port()
    command = ["prometheus", f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}"]
    command += [f"--storage.tsdb.path={folder / 'data'}", "--log.level=warn"]
    log = folder / "prometheus.log"
    with log.open("w") as said, subprocess.Popen(command, stdout=said, stderr=said) as process:
        try:
            until(lambda: process.poll() is None and _is_ready(port))
            yield Prometheus(port)
        finally:
            process.terminate()
            process.wait(DEADLINE)


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=DEADLINE) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
