"""A shop that is open: its server, which other processes can ask."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headrace.core.ports import free_port
from headrace.store.site import Site
from platform_tests.serving.bar import Running, bar, released, running, served


@contextmanager
def open_shop(folder: Path, **declared: Any) -> Iterator[tuple[Site, Running]]:
    """Yield the shop and its server; what is declared is said of it as it is served."""
    site = bar(folder)
    released(site)
    with running(site, served(site).model_copy(update=declared), port=free_port()) as server:
        yield site, server
