"""TLS: what uvicorn is told, and the refusal to listen where others could read along."""

import logging
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from headrace.core.errors import Refused

_log = logging.getLogger("headrace.access")


@dataclass(frozen=True)
class Certificate:
    """PEM files: the certificate with its chain, and its key, unless that stands in the same file."""

    chain: Path
    key: Path | None = None


def refuse_plain(host: str, certificate: Certificate | None, *, behind_tls_proxy: bool = False) -> None:
    """Raise Refused where a server would listen without TLS to more than this machine: API keys could be read on the way.

    A name counts as what it resolves to now, all of it. `behind_tls_proxy` lets it be, and says so loudly in the log.
    """
    if certificate is not None:
        return
    reachable = [address for address in _addresses(host) if not _is_loopback(address)]
    if not reachable:
        return
    where = host if reachable[0] == host else f"{host or 'every address'}, which is {reachable[0]}"
    if not behind_tls_proxy:
        raise Refused(
            f"Listening on {where} without TLS would send API keys and requests in clear over the network. "
            "Give a certificate (--certificate and --key), listen on 127.0.0.1, or say --behind-tls-proxy if a proxy in "
            "front ends TLS and nobody else reaches this address."
        )
    _log.critical(
        "Listening on %s WITHOUT TLS, because --behind-tls-proxy was said: whoever reaches this address past the proxy sends "
        "API keys in clear.",
        where,
    )


def tls_settings(certificate: Certificate | None) -> dict[str, Any]:
    """Return what uvicorn's Config is told of TLS: 1.2 or newer. Raises Refused for files that are none, or no pair."""
    if certificate is None:
        return {}
    _context(certificate)
    return {
        "ssl_certfile": certificate.chain,
        "ssl_keyfile": certificate.key,
        "ssl_context_factory": of_1_2_or_newer,
    }


def of_1_2_or_newer(_: object, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """Return the context that uvicorn makes, without TLS 1.0 and 1.1."""
    context = default()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _context(certificate: Certificate) -> ssl.SSLContext:
    """Load a certificate as the server will: what is wrong with it is said in words, before any worker is started."""
    for file in (certificate.chain, certificate.key):
        if file is not None and not file.is_file():
            raise Refused(f"There is no file {file}: --certificate and --key name PEM files.")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # A key under a pass phrase would ask for it at the terminal, in each worker.
        context.load_cert_chain(certificate.chain, certificate.key, password=lambda: b"")
    except (ssl.SSLError, OSError, ValueError) as error:
        key = certificate.key or certificate.chain
        raise Refused(
            f"{certificate.chain} and {key} are no certificate with its key ({error}). Both are PEM; the key is that of the "
            "certificate, without a pass phrase, and readable by this user."
        ) from None
    return context


def _addresses(host: str) -> list[str]:
    """Return the addresses that a server would listen on; an empty host is all of them."""
    try:
        found = socket.getaddrinfo(host or None, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        raise Refused(f"Nobody knows the host '{host}' ({error}): write an address, such as 127.0.0.1.") from None
    return sorted({str(address[0]) for *_, address in found})


def _is_loopback(address: str) -> bool:
    parsed = ip_address(address.partition("%")[0])
    mapped = getattr(parsed, "ipv4_mapped", None)
    return bool((mapped or parsed).is_loopback)
