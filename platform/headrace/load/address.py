"""The address of a server elsewhere."""

from urllib.parse import urlsplit

from headrace.access.tls import refuse_plain
from headrace.core.errors import Refused
from headrace.load.run import Target

PORTS = {"http": 80, "https": 443}
PREDICT = "/v1/predict"


def target_at(url: str, key: str) -> Target:
    """Return the server at a URL; raises Refused for what is none, or where a key would be sent in clear over a network."""
    found = urlsplit(url)
    try:
        port = found.port
    except ValueError:
        raise Refused(f"'{url}' has no port that there is: write http://host:port") from None
    if found.scheme not in PORTS or not found.hostname or found.query or found.username:
        raise Refused(f"'{url}' is no server's address: write http://127.0.0.1:8080, or https://host")
    if found.scheme == "http" and key:
        _refuse_clear(found.hostname)
    return Target(
        found.hostname, port or PORTS[found.scheme], found.scheme == "https", found.path.rstrip("/") + PREDICT, key
    )


def _refuse_clear(host: str) -> None:
    try:
        refuse_plain(host, None)
    except Refused:
        raise Refused(
            f"The API key would go to {host} in clear over the network: write https://, or ask from that machine itself."
        ) from None
