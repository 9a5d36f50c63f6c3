"""The card of the model that answers: as it was written when it was released, as Markdown or as a page."""

from pathlib import Path
from typing import NamedTuple

from headrace.core.place import Place
from headrace.serving.problem import Problem
from headrace.serving.service import Service

MARKDOWN, HTML = "text/markdown", "text/html"
_KINDS = {MARKDOWN: "md", HTML: "html"}


class Card(NamedTuple):
    """A card, and in which form it is."""

    text: bytes
    kind: str


def live_card(service: Service, place: Place, accept: str) -> Card:
    """Return the card of the live release in the form that is preferred; raises Problem 404 where none is written."""
    kind = preferred(accept)
    path = _path(service, place, kind)
    try:
        return Card(path.read_bytes(), kind)
    except FileNotFoundError:
        product = service.served.product
        number = service.watch.lineup.live.release.number
        raise Problem(404, f"No card of release {number} is written: materialize {product}/model/card.") from None


def has_card(service: Service, place: Place) -> bool:
    """Return whether the live release has a card."""
    return _path(service, place, MARKDOWN).exists()


def preferred(accept: str) -> str:
    """Return the type that a request wants most by its `accept`: Markdown where it says nothing of pages."""
    wishes = dict(_wish(part) for part in accept.lower().split(","))
    return HTML if wishes.get(HTML, 0.0) > wishes.get(MARKDOWN, 0.0) else MARKDOWN


def _wish(part: str) -> tuple[str, float]:
    kind, *parameters = (word.strip() for word in part.split(";"))
    weight = next((p.removeprefix("q=") for p in parameters if p.startswith("q=")), "1")
    return kind, float(weight) if weight.replace(".", "", 1).isdigit() else 0.0


def _path(service: Service, place: Place, kind: str) -> Path:
    return place.card(service.served.product, service.watch.lineup.live.release.number, _KINDS[kind])
