"""What was measured of a model, kept with it; its digest stands in a log with a witness, so that an edit is noticed.

Each product keeps a record of its own of a model.
"""

import json
from collections.abc import Mapping
from typing import Any

from headrace.core.errors import StoreError
from headrace.store.checksum import bytes_digest
from headrace.store.log import Log
from headrace.store.site import Site


def record(site: Site, model: str, facts: Mapping[str, Any]) -> None:
    """Keep what was measured of a model: from then on that counts."""
    site.models.record(model, kind_of(site), facts)
    seal(site, model)


def seal(site: Site, model: str) -> None:
    """Say in the log that the record of a model is as it should be."""
    facts = site.models.recorded(model, kind_of(site)) or {}
    evaluations(site).add({"model": model, "digest": _digest(facts)})


def recorded(site: Site, model: str) -> dict[str, Any] | None:
    """Return what is kept, None where nothing is; raises StoreError where it is not as it was written."""
    facts = site.models.recorded(model, kind_of(site))
    if facts is not None and not _is_as_written(site, model, facts):
        raise StoreError(
            f"The evaluation of model {model[:12]} is not the one that was written: it was edited, or its writing was cut "
            "short. It decides nothing; materialize model/evaluation again."
        )
    return facts


def fault_of(site: Site, model: str) -> str:
    """Return what is wrong with the record of a model; nothing where it is as it was written, or was never."""
    try:
        recorded(site, model)
    except StoreError as error:
        return str(error)
    return ""


def evaluations(site: Site) -> Log:
    """Return the log of the product's evaluations: of which model, and the digest of its record."""
    place, product = site.place, site.product.product
    return Log(place.logs / product / "evaluations", place.witness / product / "evaluations")


def _is_as_written(site: Site, model: str, facts: Mapping[str, Any]) -> bool:
    written = [entry["digest"] for entry in evaluations(site).entries() if entry["model"] == model]
    return bool(written) and written[-1] == _digest(facts)


def kind_of(site: Site) -> str:
    """Return the kind of the record that the product keeps of a model."""
    return f"evaluation.{site.product.product}"


def _digest(facts: Mapping[str, Any]) -> str:
    return bytes_digest(json.dumps(facts, sort_keys=True).encode())
