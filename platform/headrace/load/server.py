"""A server of a test's own: the product's, on a free port of this machine, in a process of its own, which ends with the test."""

import multiprocessing
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing.process import BaseProcess
from secrets import token_hex

from headrace.access.keys import keys_of
from headrace.core.errors import StoreError
from headrace.core.orphans import die_with_parent
from headrace.core.place import Place
from headrace.core.ports import HOST, free_port
from headrace.load.run import Target
from headrace.serving.opened import open_service
from headrace.serving.served import Served
from headrace.serving.server import Listening, serve

STARTS_S = 120.0
ENDS_S = 40.0
KEY_LASTS = timedelta(hours=6)


def for_a_test(served: Served, only: str | None = None) -> Served:
    """Return a product as a test serves it: without limits by key and address, and without a word in the journal.

    `only` is the one model that is served, released or not. What protects the server from overload stays.
    """
    free = served.limits.model_copy(update={"per_key": None, "per_address": None})
    return served.model_copy(update={"limits": free, "logged": 0.0, "only": only})


@contextmanager
def own_server(served: Served, place: Place) -> Iterator[Target]:
    """Yield a server that answers; its key is made for it, and revoked behind it.

    Raises Refused where nothing can be served, StoreError where the server does not come up.
    """
    _refuse_what_cannot_be_served(served, place)
    port = free_port()
    keys = keys_of(place, served.product)
    issued = keys.create(f"loadtest_{token_hex(4)}", ["predict"], datetime.now(UTC), datetime.now(UTC) + KEY_LASTS)
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(served, place, Listening(HOST, port)))
    process.start()
    try:
        _await_answers(process, port)
        yield Target(HOST, port, key=issued.text)
    finally:
        process.terminate()
        process.join(ENDS_S)
        if process.exitcode is None:
            process.kill()
            process.join()
        keys.revoke(issued.key.id, datetime.now(UTC))


def _serve(served: Served, place: Place, listening: Listening) -> None:
    die_with_parent()
    serve(served, place, listening)


def _refuse_what_cannot_be_served(served: Served, place: Place) -> None:
    """Say here, in words, what the other process could only put into its log."""
    service = open_service(served, place, lambda _: None)
    try:
        service.verify()
    finally:
        service.close()


def _await_answers(process: BaseProcess, port: int) -> None:
    end = time.monotonic() + STARTS_S
    while not _is_ready(port):
        if process.exitcode is not None:
            raise StoreError(f"The server of the test ended with exit code {process.exitcode}: its log says why.")
        if time.monotonic() > end:
            raise StoreError(f"The server of the test was not ready within {STARTS_S:g} s: its log says why.")
        process.join(0.05)


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
