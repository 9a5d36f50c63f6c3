"""What a user may say about how long things are kept."""

from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator

from headrace.core.declaration import Declaration
from headrace.core.names import Duration, duration_text

LONGEST_RUN = timedelta(hours=3)
"""Whoever opened a version as the newest has read it by then: run monitoring ends runs after two hours."""


class Keep(Declaration):
    """How long versions and models stay that no kept model needs; a duration alone, such as `30d`, is `versions`."""

    versions: Duration = timedelta(days=30)
    """How long a version of a table stays readable after a newer one took its place; at least 3h."""
    models: int = Field(default=10, ge=0)
    """How many models that were never released stay, the newest first. Released ones and the candidate always do."""

    @field_validator("versions")
    @classmethod
    def _outlasts_a_run(cls, span: timedelta) -> timedelta:
        if span < LONGEST_RUN:
            raise ValueError(
                f"`keep` of {duration_text(span)} is too short: a run may read a version for {duration_text(LONGEST_RUN)}"
            )
        return span


def parse_keep(text: Any) -> Any:
    """Return the rule that a text such as "30d" says."""
    return {"versions": text} if isinstance(text, str) else text


KeepRule = Annotated[Keep, BeforeValidator(parse_keep, json_schema_input_type=str | Keep)]
