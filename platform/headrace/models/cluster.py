"""The Ray cluster that a project names: connected to while it is used, and said to be away where it is."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from headrace.core.errors import DeclarationError, StoreError

WAIT_S = 5
"""How long the head of a cluster may take to answer."""


@contextmanager
def connected(address: str | None, on: tuple[str, ...]) -> Iterator[None]:
    """Be connected to the cluster at an address, `host:port`, meanwhile; `on` leads to the key that asks for it.

    Raises DeclarationError where nobody says the address, or Ray is not installed, StoreError where no cluster answers.
    """
    if not address:
        raise DeclarationError("Nobody says where Ray is: set HEADRACE_RAY_ADDRESS to host:port of its head.", on)
    if find_spec("ray") is None:
        raise DeclarationError("Ray is not installed: pip install 'headrace[ray]'", on)
    _refuse_silent(address, on)
    import ray

    try:
        ray.init(address=address, namespace="headrace", log_to_driver=False, configure_logging=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise StoreError(f"The Ray cluster at {address} does not answer: {str(error).splitlines()[0]}") from error
    try:
        yield
    finally:
        ray.shutdown()


def _refuse_silent(address: str, on: tuple[str, ...]) -> None:
    """Raise where nobody listens at an address: Ray itself would wait for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise DeclarationError(f"HEADRACE_RAY_ADDRESS is '{address}': write host:port of the cluster's head.", on)
    try:
        socket.create_connection((host, int(port)), WAIT_S).close()
    except OSError as error:
        raise StoreError(
            f"The Ray cluster at {address} does not answer: {error}. Is its head up? Then run this again."
        ) from error
