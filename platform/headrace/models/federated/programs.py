"""Flower's programs on this machine: a server (SuperLink) and a node for each site (SuperNode), as long as a training lasts.

They run by an interpreter of an environment of their own, see docs/decisions/0024-federated.md, talk over 127.0.0.1 alone
and without TLS for that reason, end with the process that started them, are told nothing of its environment, and read
nothing of each other's: see confine.py.
"""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headrace.core.errors import DeclarationError, StoreError
from headrace.core.ports import HOST, free_port
from headrace.core.processes import working_in
from headrace.models.federated import confine
from headrace.models.federated.carried import pack

Say = Callable[[str], None]
"""The only address that anything listens at: what is said there is not encrypted."""
EVERY_S = 0.1
SLACK_S = 60.0
"""How much longer than a round may last we wait for word of it: the programs themselves take a while to start."""
CONNECTION = '[superlink]\ndefault = "here"\n[superlink.here]\naddress = "{address}"\ninsecure = true\n'
DIES_WITH_PARENT = """
import ctypes, os, signal, sys
if sys.platform.startswith("linux"):
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if "--parent-pid" in sys.orig_argv and os.getppid() != int(sys.orig_argv[sys.orig_argv.index("--parent-pid") + 1]):
    os._exit(1)
"""
"""What each Python of Flower's begins with: those that it starts itself look for their parent's number alone, which a process
that nobody has waited for keeps."""


@dataclass(frozen=True)
class Answer:
    """What the sites have made together."""

    model: bytes
    """XGBoost's JSON."""
    facts: Mapping[str, Any]
    """The counts of the sites, and how many bytes of trees each has sent."""
    is_confined: bool
    """Whether the kernel kept each program from the files of all others."""


@dataclass(frozen=True)
class Federation:
    """A server and its sites, on their way up or at work."""

    python: Path
    folder: Path
    rows: Mapping[str, Path]
    """The sites in the order of their numbers, and the file of each one's rows."""
    wait_s: float
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    """The programs by what they are, once they are started."""

    @property
    def left(self) -> Path:
        """Where the server leaves what it has found."""
        return self.folder / "left"


def answer_of(federation: Federation, lesson: Mapping[str, Any], say: Say) -> Answer:
    """Start the programs, have them train, end them, and return what they have made.

    Raises DeclarationError where there is no interpreter, StoreError where a program does not come up, ends or takes too long.
    """
    with ExitStack() as programs:
        port = start_server(federation, programs)
        start_sites(federation, programs, port)
        submit(federation, lesson, port)
        return awaited(federation, say)


def start_server(federation: Federation, programs: ExitStack) -> int:
    """Start the server, as long as `programs` is open, and return the port that it answers at."""
    _refuse_without_flower(federation.python)
    federation.left.mkdir()
    port = free_port()
    words = ["--insecure", "--host", HOST, "--port", str(port), "--disable-runtime-dependency-installation"]
    server = _running(federation, "server", "flower-superlink", words)
    federation.running["the server"] = programs.enter_context(server)
    _wait_until(lambda: _answers(port), federation)
    return port


def start_sites(federation: Federation, programs: ExitStack, port: int) -> None:
    """Start a node for each site, as long as `programs` is open: each is told of its own rows alone."""
    for number, (name, rows) in enumerate(federation.rows.items()):
        words = ["--insecure", "--superlink", f"{HOST}:{port}", "--host", HOST, "--port", str(free_port())]
        words += ["--node-config", f"site={number} rows={json.dumps(str(rows))}"]
        node = _running(federation, f"site-{number}", "flower-supernode", words)
        federation.running[f"site '{name}'"] = programs.enter_context(node)


def submit(federation: Federation, lesson: Mapping[str, Any], port: int) -> None:
    """Hand what is to be learned, and how, to the server."""
    told = {**lesson, "sites": len(federation.rows), "wait_s": federation.wait_s}
    app = pack(federation.folder / "app", told, federation.left)
    home = federation.folder / "submit"
    (home / "flower").mkdir(parents=True)
    (home / "flower" / "config.toml").write_text(CONNECTION.format(address=f"{HOST}:{port}"))
    try:
        done = subprocess.run(  # noqa: S603  Flower's own program, by the interpreter that was named
            [federation.python.parent / "flwr", "run", app, "here"],
            cwd=home,
            env=_environment(federation, home),
            capture_output=True,
            text=True,
            check=False,
            timeout=federation.wait_s + SLACK_S,
        )
    except subprocess.TimeoutExpired as error:
        raise StoreError(
            f"Flower's server on {HOST} did not take its work within {federation.wait_s:g} s. Nothing was stored: run this again."
        ) from error
    if done.returncode:
        said = (done.stdout + done.stderr)[-1000:]
        raise StoreError(f"Flower's server on {HOST} refused its work: {said}. {_last_words(federation)}")


def awaited(federation: Federation, say: Say) -> Answer:
    """Wait for round after round, and return the model once it is there; raises StoreError where it will not be."""
    left, rounds = federation.left, 0

    def has_gone_on() -> bool:
        return any((left / name).exists() for name in ("facts", "error", f"round {rounds + 1}"))

    while True:
        _wait_until(has_gone_on, federation)
        if (left / "error").exists():
            said = json.loads((left / "error").read_text())["said"]
            raise StoreError(f"Nothing was trained: {said}. {_last_words(federation)} Nothing was stored.")
        if (left / "facts").exists():
            confined = all(log.with_name(confine.MARK).exists() for log in federation.folder.glob("*/log"))
            return Answer((left / "model.json").read_bytes(), json.loads((left / "facts").read_text()), confined)
        rounds += 1
        say(f"round {rounds} of all sites is over")


def _refuse_without_flower(python: Path) -> None:
    if not (python.parent / "flower-superlink").is_file():
        raise DeclarationError(
            f"HEADRACE_FLOWER_PYTHON is '{python}', and there is no Flower beside it: name the interpreter of an environment "
            "that has it, as `make flower` makes it in .venv-flower.",
            ("model", "trainer"),
        )


@contextmanager
def _running(
    federation: Federation, name: str, program: str, words: Sequence[str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a program in a session of its own; afterwards it and all that it has started are ended."""
    home = federation.folder / name
    home.mkdir(mode=0o700, exist_ok=True)
    command = [str(federation.python), "-I", confine.__file__, str(os.getpid()), str(home)]
    command += [str(federation.python.parent / program), *words]
    with (home / "log").open("wb") as log:
        started = subprocess.Popen(  # noqa: S603  see above
            command, stdout=log, stderr=log, cwd=home, env=_environment(federation, home), start_new_session=True
        )
    try:
        yield started
    finally:
        _end(started, home)


def _end(program: subprocess.Popen[bytes], home: Path) -> None:
    """End a program, and all that it has started, in sessions of their own or not: they work in its folder."""
    os.killpg(program.pid, signal.SIGKILL)
    program.wait()
    while left := list(working_in(home)):
        for process in left:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(EVERY_S)


def _environment(federation: Federation, home: Path) -> dict[str, str]:
    """Return all that a program is told of an environment: nothing of ours, and that each process ends with its parent."""
    start = home / "start"
    start.mkdir(exist_ok=True)
    (start / "sitecustomize.py").write_text(DIES_WITH_PARENT)
    return {
        "PYTHONPATH": str(start),
        "PATH": os.pathsep.join([str(federation.python.parent), os.defpath]),
        "HOME": str(home),
        "TMPDIR": str(home),
        "FLWR_HOME": str(home / "flower"),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.1",
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
        "LANG": "C.UTF-8",
    }


def _wait_until(is_so: Callable[[], bool], federation: Federation) -> None:
    deadline = time.monotonic() + federation.wait_s + SLACK_S
    while not is_so():
        for name, program in federation.running.items():
            how = _end_of(program)
            if how:
                raise StoreError(
                    f"Nothing was trained: the process of {name} ended {how}. {_last_words(federation)} Nothing was stored: run "
                    "this again."
                )
        if time.monotonic() > deadline:
            raise StoreError(
                f"Nothing was trained: Flower did not go on within {federation.wait_s:g} s. {_last_words(federation)} Nothing was "
                "stored: run this again, or make `federated.wait` longer."
            )
        time.sleep(EVERY_S)


def _end_of(program: subprocess.Popen[bytes]) -> str:
    """Return how a program has ended, nothing while it runs; it keeps its number until its group is ended, too."""
    ended = os.waitid(os.P_PID, program.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if ended is None:
        return ""
    return f"with {ended.si_status}" if ended.si_code == os.CLD_EXITED else f"by signal {ended.si_status}"


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def _last_words(federation: Federation) -> str:
    """Return the last line of each program, as the folder with the whole of it goes."""
    words = []
    for log in sorted(federation.folder.glob("*/log")):
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        words += [f"{log.parent.name} said last: {lines[-1]}"] if lines else []
    return "; ".join(words) + "."
