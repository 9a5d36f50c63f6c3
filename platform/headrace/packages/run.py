"""Starts the server of a package: what it consists of is held against its list first, and only then imported."""

import logging
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from headrace.core.errors import DeclarationError, HeadraceError
from headrace.packages.sealed import About, verify

if TYPE_CHECKING:
    from headrace.core.place import Place
    from headrace.serving.served import Served

PRODUCT, SERVED = "product", "served.json"
SERVER, WRITTEN = "HEADRACE_ONLINE_URL", "HEADRACE_WRITE_TO"


log = logging.getLogger("headrace.serving")


class Packaged(NamedTuple):
    """What a package serves, and from where."""

    served: "Served"
    place: "Place"


def main(folder: Path, environment: Mapping[str, str], words: Sequence[str] | None = None) -> None:
    """Serve until a signal ends it; exits with the reason where the package is not what was written, or cannot answer."""
    options = _options(words)
    try:
        packaged = opened(folder, environment, options.write_to)
        if options.check:
            _check(packaged)
        else:
            _serve(packaged, options)
    except HeadraceError as error:
        sys.exit(str(error))


def opened(folder: Path, environment: Mapping[str, str], write_to: str = "") -> Packaged:
    """Return what the package of a folder serves; predictions are written to the folder that is named, or nowhere.

    Raises DigestMismatch for one that was edited, DeclarationError where the environment does not say where its features are.
    """
    about = verify(folder)
    from headrace.core.place import Place
    from headrace.serving.served import Served

    home = folder.resolve() / PRODUCT
    served = Served.model_validate_json((home / SERVED).read_bytes())
    place = Place.at(home, str(home), online_server=_server(about, environment))
    journals = write_to or environment.get(WRITTEN)
    if not journals:
        return Packaged(served.model_copy(update={"logged": 0.0, "sampled": False}), place)
    return Packaged(served.model_copy(update={"sampled": False}), replace(place, journals=Path(journals).resolve()))


def _server(about: About, environment: Mapping[str, str]) -> str | None:
    """Return where the features are, if not in the package."""
    server = environment.get(SERVER)
    if about.online == "redis" and not server:
        raise DeclarationError(f"The features of this package are read from Redis: set {SERVER} to redis://host:6379/0")
    if about.online == "snapshot" and server:
        raise DeclarationError(
            f"{SERVER} is set, but this package holds its features itself: take it out, or write a package where it is set."
        )
    return server


def _options(words: Sequence[str] | None) -> Namespace:
    parser = ArgumentParser("serve.py", description="Answers requests by the model of this folder, over HTTP.")
    parser.add_argument("--host", default="127.0.0.1", help="which address to listen at (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8080, help="which port to listen at (8080)")
    parser.add_argument("--workers", type=int, default=1, help="how many processes answer (1)")
    parser.add_argument(
        "--behind-gateway",
        action="store_true",
        help="listen beyond this machine: a gateway in front ends TLS and lets in only who may ask",
    )
    parser.add_argument("--write-to", default="", help="a folder that predictions are written to; without one none are")
    parser.add_argument("--check", action="store_true", help="only say whether requests could be answered")
    return parser.parse_args(words)


def _serve(packaged: Packaged, options: Namespace) -> None:
    from headrace.serving.entry import refuse_without_keys
    from headrace.serving.server import Listening, serve, serve_alone

    served, place = packaged
    if not options.behind_gateway:
        refuse_without_keys(options.host)
    listening = Listening(
        options.host, options.port, options.workers, behind_tls_proxy=options.behind_gateway, keys=False
    )
    (serve if options.workers > 1 else serve_alone)(served, place, listening)


def _check(packaged: Packaged) -> None:
    from headrace.serving.opened import open_service
    from headrace.serving.server import app_of

    service = open_service(packaged.served, packaged.place, log.error)
    try:
        service.verify()
        app_of(service, packaged.place)
        release = service.watch.lineup.live.release
        sys.stdout.write(f"{packaged.served.product}: release {release.number} is ready.\n")
    finally:
        service.close()
