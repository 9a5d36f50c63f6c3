"""The causes that were found last, in a small file: for the report and for people who ask."""

from pathlib import Path

from pydantic import ValidationError

from headrace.core.errors import StoreError
from headrace.monitoring.cause import Causes
from headrace.store.publish import publish
from headrace.store.site import Site


def remember_causes(site: Site, causes: Causes) -> None:
    """Keep what was found last, for the report and for people who ask."""
    publish(_path(site), causes.model_dump_json().encode(), "the causes of drift before stay")


def known_causes(site: Site, model: str | None = None) -> Causes | None:
    """Return what was found last, of a model where one is named; None where nothing was, or it was found in another one's rows."""
    path = _path(site)
    try:
        found = Causes.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise StoreError(
            f"{path} cannot be read: it was edited, or written by another version of Headrace. Materialize "
            f"{site.product.product}/monitoring/drift again."
        ) from error
    return found if model in (None, found.model) else None


def _path(site: Site) -> Path:
    return site.place.logs / site.product.product / "causes.json"
