"""What MLflow is told, and what it says, as plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from headrace.store.log import Head

End = Literal["FINISHED", "FAILED", "KILLED"]


@dataclass(frozen=True)
class LoggedTrial:
    """One of the sets of parameters that were tried."""

    name: str
    params: Mapping[str, Any]
    metrics: Sequence[tuple[str, int, float]]
    """Name, step and value of each."""
    begun: datetime
    ended: datetime
    end: End
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Registered:
    """What MLflow's registry says of a product."""

    champion: str | None
    """The version that the alias stands at."""
    digest: str | None
    """The model that this version holds, as far as we have registered it."""
    told: Head | None
    """How long the release log was when the alias was set last, and the digest of its last entry."""
    strange: Sequence[str]
    """Versions that we have not registered, and not marked yet."""
