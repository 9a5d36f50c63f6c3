"""A real Spark cluster for tests: a master and two workers of the `pyspark` package, on 127.0.0.1, as long as it is used."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from pyspark.find_spark_home import _find_spark_home

from headrace.core.ports import free_port
from platform_tests.waiting import eventually

SOURCE = Path(__file__).parents[2] / "platform"
PATIENCE_S = 120.0
WORKERS = 2
SETTINGS = {
    "spark.cores.max": "2",
    "spark.default.parallelism": "2",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.memory": "1g",
    "spark.executor.memory": "768m",
    "spark.sql.shuffle.partitions": "2",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
_BORN_TO_DIE = "import os, sys; from headrace.core.orphans import die_with_parent; die_with_parent(); os.execv(sys.argv[1], sys.argv[1:])"


@contextmanager
def running_cluster() -> Iterator[str]:
    """Yield the master's URL as soon as both workers are there; skip, loudly, where there is no Java."""
    if shutil.which("java") is None:
        pytest.skip("NOTICE: Java is not installed: the tests of Spark are SKIPPED (.ci/system-packages)")
    home = Path(tempfile.mkdtemp(prefix="headrace-spark-"))
    before = dict(os.environ)
    os.environ |= _environment(home)
    programs: list[subprocess.Popen[bytes]] = []
    try:
        port = free_port()
        master = ["deploy.master.Master", "--host", "127.0.0.1", "--port", str(port), "--webui-port", "0"]
        programs.append(_start(master, home / "master.log"))
        url = f"spark://127.0.0.1:{port}"
        _wait_for(home / "master.log", "Starting Spark master", 1, programs)
        worker = [
            "deploy.worker.Worker",
            "--host",
            "127.0.0.1",
            "--webui-port",
            "0",
            "--cores",
            "1",
            "--memory",
            "1g",
            url,
        ]
        programs += [_start(worker, home / f"worker{n}.log") for n in range(WORKERS)]
        _wait_for(home / "master.log", "Registering worker", WORKERS, programs)
        yield url
    finally:
        for program in programs:
            os.killpg(program.pid, signal.SIGKILL)
            program.wait()
        os.environ.clear()
        os.environ.update(before)
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def running_connect_server(master: str) -> Iterator[str]:
    """Yield the address of a Spark Connect server on a cluster."""
    home = Path(tempfile.mkdtemp(prefix="headrace-connect-"))
    port = free_port()
    settings = [f"--conf=spark.connect.grpc.binding.port={port}", "--conf=spark.connect.grpc.binding.address=127.0.0.1"]
    connect = "org.apache.spark.sql.connect.service.SparkConnectServer"
    program = ["deploy.SparkSubmit", f"--master={master}", *settings, f"--class={connect}", "spark-internal"]
    server = _start(program, home / "log", memory="1g")
    try:
        _wait_for(home / "log", "Spark Connect server started", 1, [server])
        yield f"sc://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        shutil.rmtree(home, ignore_errors=True)


def _environment(home: Path) -> Mapping[str, str]:
    (home / "spark-defaults.conf").write_text("".join(f"{name} {value}\n" for name, value in SETTINGS.items()))
    return {
        "SPARK_HOME": _find_spark_home(),
        "SPARK_CONF_DIR": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_DIRS": str(home / "local"),
        "SPARK_WORKER_DIR": str(home / "work"),
        "SPARK_MASTER_OPTS": "-Dspark.master.rest.enabled=false",
        # They live for minutes: what Java compiles a second time, for speed, pays for itself in hours.
        "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1",
    }


def _start(arguments: list[str], log: Path, memory: str = "256m") -> subprocess.Popen[bytes]:
    """Start a Java program of Spark in a process group of its own, which ends with this process."""
    program = [f"{os.environ['SPARK_HOME']}/bin/spark-class", f"org.apache.spark.{arguments[0]}", *arguments[1:]]
    command = [sys.executable, "-c", _BORN_TO_DIE, *program]
    with log.open("wb") as words:
        return subprocess.Popen(
            command,
            stdout=words,
            stderr=words,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(SOURCE), "SPARK_DAEMON_MEMORY": memory},
        )


def _wait_for(log: Path, words: str, times: int, programs: list[subprocess.Popen[bytes]]) -> None:
    def told() -> bool:
        assert all(program.poll() is None for program in programs), log.read_text()[-3000:]
        return len(re.findall(words, log.read_text())) >= times

    assert eventually(told, PATIENCE_S), log.read_text()[-3000:]
