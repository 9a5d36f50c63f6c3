"""Measures a package in an environment of its requirements alone: seconds until its first answer, and memory after 10,000 requests.

Usage: python -m benchmarks.package [rounds=5]. The median counts.
On a machine that does other things, too, the seconds of a processor say what it would take alone.
"""

import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from headrace.core.ports import free_port
from platform_tests.packages.shop import packaged, shop
from platform_tests.serving.bar import ROW

REQUESTS, MOST_S, MOST_MIB = 10_000, 2.0, 250
DEADLINE_S = 60
LIBRARIES = "import fastapi, msgspec, numpy, pyarrow.compute, pydantic, uvicorn"


def environment_of(folder: Path, requirements: Path) -> str:
    """Return the interpreter of a new environment."""
    python = str(folder / "bin/python")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--require-hashes"]
    subprocess.run([*pip, "-r", requirements], check=True, stderr=subprocess.DEVNULL)
    return python


def bare() -> dict[str, str]:
    """Return this environment without what leads to Headrace."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def asked(port: int) -> bool:
    """Return whether a row is answered."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/predict", json.dumps(ROW).encode())
    try:
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
            return bool(answer.status == 200)
    except urllib.error.URLError:
        return False


def ask_often(port: int) -> None:
    """Send 10,000 requests over one connection."""
    body = json.dumps(ROW)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
    for _ in range(REQUESTS):
        connection.request("POST", "/v1/predict", body)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
    connection.close()


def resident_mib(pid: int) -> float:
    """Return the resident memory of a process and of all that it has started."""
    found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(found[1]) / 1024 + sum(resident_mib(int(child)) for child in children)


def processor_seconds(pid: int) -> float:
    """Return how long a process has kept processors busy: what it takes where nothing else runs."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def measured(python: str, folder: Path) -> tuple[float, float, float]:
    """Return the seconds until a server's first answer, those of a processor until then, and its memory after 10,000."""
    port = free_port()
    began = time.perf_counter()
    with subprocess.Popen([python, folder / "serve.py", "--port", str(port)], env=bare()) as server:
        try:
            while not asked(port):
                assert server.poll() is None
                assert time.perf_counter() - began < DEADLINE_S
                time.sleep(0.005)
            seconds, busy = time.perf_counter() - began, processor_seconds(server.pid)
            ask_often(port)
            memory = resident_mib(server.pid)
        finally:
            server.terminate()
    return seconds, busy, memory


def bare_seconds(python: str, rounds: int) -> float:
    """Return how long Python takes to import the libraries alone."""
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        subprocess.run([python, "-c", LIBRARIES], check=True, env=bare())
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def main(rounds: int) -> None:
    """Print the medians and whether the limits hold."""
    print(f"a package in an environment of its own, median of {rounds}; memory after {REQUESTS:,} requests")
    for name, trainer, computed in (
        ("lightgbm", "lightgbm", False),
        ("lightgbm, SQL on the request", "lightgbm", True),
        ("xgboost", "xgboost", False),
    ):
        with tempfile.TemporaryDirectory() as scratch:
            root = Path(scratch)
            package = packaged(shop(root / "shop", trainer, computed=computed), root / "package")
            python = environment_of(root / "environment", package.folder / "requirements.txt")
            measured(python, package.folder)
            found = [measured(python, package.folder) for _ in range(rounds)]
            libraries = bare_seconds(python, rounds)
        seconds, busy, memory = (statistics.median(each) for each in zip(*found, strict=True))
        print(
            f"  {name}: {seconds:.2f} s until the first answer, {busy:.2f} s of a processor; libraries alone {libraries:.2f} s"
        )
        print(f"  {memory:.0f} MiB")
        print(f"  {'holds' if seconds < MOST_S else 'FAILS'}: under {MOST_S:.0f} s")
        print(f"  {'holds' if memory < MOST_MIB else 'FAILS'}: under {MOST_MIB} MiB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
