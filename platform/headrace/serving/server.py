"""The server: worker processes that share one port, kept alive by a supervisor that answers nothing itself."""

import gc
import logging
import signal
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from headrace.access.tls import Certificate, refuse_plain, tls_settings
from headrace.core.attempt import Attempt
from headrace.core.errors import HeadraceError
from headrace.core.orphans import die_with_parent
from headrace.core.place import Place
from headrace.serving.app import App
from headrace.serving.cells import Cells
from headrace.serving.entry import Entry, guard
from headrace.serving.logs import RequestLines, log_to_stderr
from headrace.serving.metrics import CPU, SUPERVISOR, Exposition, Refusals, beat
from headrace.serving.opened import open_service
from headrace.serving.routes import add_metrics, routes_of
from headrace.serving.served import Served
from headrace.serving.service import Service
from headrace.serving.traces import Traces, open_traces
from headrace.store.measured import read_drift
from headrace.store.models import Models

BACKLOG = 2048
DRAIN_SECONDS = 20
START_SECONDS = 30
"""How long a worker may take until it answers its supervisor: it imports on a busy machine, too."""
CHORE_SECONDS = 5.0
SWITCH_SECONDS = 0.0005
"""How long a thread that writes or looks may hold up those that answer; Python's own 5 ms would be seen by requests."""
log = logging.getLogger("headrace.serving")
Told = Callable[[], object]
"""What a worker counts or looks at every few seconds."""
Chore = Callable[[threading.Event], object]
"""What the supervisor does every few seconds; it is told whether the server ends."""


@dataclass(frozen=True)
class Listening:
    """Where a server listens, and with how many processes."""

    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    certificate: Certificate | None = None
    behind_tls_proxy: bool = False
    keys: bool = True
    """Whether keys are asked for; without them a server listens to this machine alone."""
    access_log: bool = False
    """Whether each request is written to the log; those that fail or take long always are."""


def application(served: Served, place: Place, counts: Path, *, with_keys: bool, access_log: bool = False) -> App:
    """Return the application of one worker process: its service is opened before it answers.

    `counts` is the folder where all workers count together.
    """
    die_with_parent()
    log_to_stderr(served.product)
    try:
        service = open_service(served, place, log.error, counts)
    except HeadraceError as error:
        # The supervisor tries again: what was well when it began may be well again.
        log.error("%s", error)
        sys.exit(1)
    return _answering(service, place, with_keys=with_keys, access_log=access_log)


def _answering(service: Service, place: Place, *, with_keys: bool, access_log: bool) -> App:
    """Return the application of this process, whose connections are guarded from now on."""
    sys.setswitchinterval(SWITCH_SECONDS)
    Entry.guard = guard(service.served, place, with_keys=with_keys)
    app = app_of(service, place, [Refusals(service.meter, Entry.guard.refusals)], access_log=access_log)
    Entry.guard.direct = app.direct
    # What is there by now stays: while the garbage collector looks through it, every few seconds, requests wait for 70 ms.
    gc.collect()
    gc.freeze()
    return app


def app_of(service: Service, place: Place, told: Sequence[Told] = (), *, access_log: bool = False) -> App:
    """Return the application that answers by a service, and closes it when its server ends.

    What is `told` every few seconds are counts that others keep.
    """
    served = service.served
    api = routes_of(service, place)
    add_metrics(api, Exposition(service, partial(read_drift, place, served.product)))
    traces = open_traces(served.product, place.traces_to, Models(place.models))
    api.router.lifespan_context = partial(_closing, service, traces, [partial(beat, service), *told])
    return App(service, api, RequestLines(served.sla.p99 / 1000, every=access_log), traces)


def serve(served: Served, place: Place, listening: Listening, chores: Sequence[Chore] = ()) -> None:
    """Serve until a signal ends it: then all requests under way are answered, and all predictions are written.

    `chores` are done every few seconds meanwhile, and once more at the end. Raises Refused where nothing is live or published.
    """
    log_to_stderr(served.product)
    refuse_plain(listening.host, listening.certificate, behind_tls_proxy=listening.behind_tls_proxy)
    # What is wrong with a certificate is said before anything is opened.
    tls_settings(listening.certificate)
    service = open_service(served, place, log.error)
    try:
        service.verify()
    finally:
        service.close()
    with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
        _supervise(served, place, listening, chores, Path(folder))


def serve_alone(served: Served, place: Place, listening: Listening) -> None:
    """Serve by this process alone until a signal ends it, as `serve` does; where something else starts it again, if need be.

    It holds half the memory of a server with a supervisor, and waits for no second process to start.
    """
    log_to_stderr(served.product)
    refuse_plain(listening.host, listening.certificate, behind_tls_proxy=listening.behind_tls_proxy)
    with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
        service = open_service(served, place, log.error, Path(folder))
        service.verify()
        app = _answering(service, place, with_keys=listening.keys, access_log=listening.access_log)
        for ending in (signal.SIGTERM, signal.SIGINT):
            # uvicorn ends well first, and raises the signal again then.
            signal.signal(ending, lambda *_: sys.exit())
        uvicorn.Server(_config(app, listening)).run()


def _supervise(served: Served, place: Place, listening: Listening, chores: Sequence[Chore], counts: Path) -> None:
    worker = partial(application, served, place, counts, with_keys=listening.keys, access_log=listening.access_log)
    config = _config(worker, listening, factory=True)
    supervisor = Multiprocess(config, [config.bind_socket()])
    over = supervisor.should_exit
    with _doing([*(partial(chore, over) for chore in chores), _cost(counts)], over):
        supervisor.run()


def _config(app: Any, listening: Listening, *, factory: bool = False) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        factory=factory,
        host=listening.host,
        port=listening.port,
        workers=listening.workers,
        backlog=BACKLOG,
        http=Entry,
        loop="uvloop",
        proxy_headers=False,
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        log_level="warning",
        timeout_graceful_shutdown=DRAIN_SECONDS,
        timeout_worker_healthcheck=START_SECONDS,
        **tls_settings(listening.certificate),
    )


def _cost(counts: Path) -> Told:
    """Return what counts the processor time of the supervisor itself."""
    spent = Cells(counts).numbers(CPU, (SUPERVISOR,))

    def count() -> None:
        spent[0] = time.process_time()

    return count


@asynccontextmanager
async def _closing(service: Service, traces: Traces | None, told: Sequence[Told], _: FastAPI) -> AsyncIterator[None]:
    with _doing(told, threading.Event()):
        yield
    service.close()
    if traces:
        traces.close()


@contextmanager
def _doing(chores: Sequence[Told], over: threading.Event) -> Iterator[None]:
    def work() -> None:
        while not over.wait(CHORE_SECONDS):
            _do(chores)

    worker = threading.Thread(target=work, name="headrace-chores", daemon=True)
    worker.start()
    try:
        yield
    finally:
        over.set()
        worker.join()
        _do(chores)


def _do(chores: Sequence[Told]) -> None:
    for chore in chores:
        with Attempt() as attempt:
            chore()
        if isinstance(attempt.error, HeadraceError):
            log.error("%s", attempt.error)
        elif attempt.error:
            log.error("What is done beside answering failed", exc_info=attempt.error)
