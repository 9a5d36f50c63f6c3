"""Secrets: a declaration names the environment variable that holds one, and never the secret itself."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import StringConstraints

from headrace.core.errors import DeclarationError

EnvReference = Annotated[str, StringConstraints(pattern=r"^env:[A-Za-z_][A-Za-z0-9_]*$")]
"""Where a secret stands: `env:NAME` for the environment variable NAME."""


def looked_up(reference: str, environment: Mapping[str, str]) -> str:
    """Return what the environment holds under a reference; raises DeclarationError where it holds nothing."""
    name = reference.removeprefix("env:")
    if not environment.get(name):
        raise DeclarationError(
            f"The declaration says '{reference}', and the environment variable {name} is not set. Set it where "
            "Dagster runs, for its daemon and its web server, too."
        )
    return environment[name]
