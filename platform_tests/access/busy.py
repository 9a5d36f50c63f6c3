"""A server process of its own: `python -m platform_tests.access.busy <ms of processor time of an answer> <limits> [<keys>]`."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from headrace.access.admission import Admission, Open, Rule
from headrace.access.declaration import Limits
from headrace.access.guard import Admit
from headrace.access.keys import Keys
from headrace.access.limits import Limiter
from headrace.access.problem import problem
from headrace.access.protocol import guarded
from platform_tests.access.server import answer

ROOT = Path(__file__).parents[2]
DENIED = problem(401, "key_missing", "Send a key.")


def app_that_takes(cpu_s: float) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        until = time.thread_time() + cpu_s
        while time.thread_time() < until:
            pass
        await answer(send, b"ok")

    return app


def deny_shut(path: str, headers: Any, address: str) -> bytes | None:
    return DENIED if path == "/shut" else None


def admit_by(keys: str, limits: Limits) -> Admit:
    """Return the rules of a file of keys; where none is named all but /shut is open."""
    if not keys:
        return deny_shut
    return Admission({"/predict": Rule(Keys(Path(keys)), "predict"), "/live": Open()}, Limiter(limits))


async def serve(cpu_ms: float, limits: Limits, keys: str) -> None:
    config = uvicorn.Config(
        app_that_takes(cpu_ms / 1000),
        port=0,
        http=guarded(limits, admit_by(keys, limits)),
        log_config=None,
        lifespan="off",
        ws="none",
        access_log=False,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)  # noqa: T201
    await serving


@contextmanager
def busy_server(cpu_ms: float, limits: Limits, keys: str = "", said: Any = None) -> Iterator[tuple[int, int]]:
    """Yield the process and the port of a server; `said` is the file that takes what it says of itself."""
    path = os.pathsep.join([str(ROOT / "platform"), str(ROOT)])
    words = [sys.executable, "-m", "platform_tests.access.busy", str(cpu_ms), limits.model_dump_json(), keys]
    environment = {**os.environ, "PYTHONPATH": path}
    process = subprocess.Popen(words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=said)
    try:
        assert process.stdout is not None
        yield process.pid, int(process.stdout.readline())
        assert process.poll() is None, "the server died"
    finally:
        process.terminate()
        process.communicate(timeout=30)


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve(float(sys.argv[1]), Limits.model_validate(json.loads(sys.argv[2])), sys.argv[3]))
