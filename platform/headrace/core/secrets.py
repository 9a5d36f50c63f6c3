"""Secrets: a declaration names the environment variable that holds one, and never the secret itself."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated

from pydantic import BaseModel, StringConstraints

from headrace.core.errors import DeclarationError

_REFERENCE = re.compile(r"^env:[A-Za-z_][A-Za-z0-9_]*$")
EnvReference = Annotated[str, StringConstraints(pattern=_REFERENCE.pattern)]
"""Where a secret stands: `env:NAME` for the environment variable NAME."""

LEAST_SECRET = 4
"""A shorter one would be found in every word, and keeps nothing secret."""
HIDDEN = "[secret]"


def looked_up(reference: str, environment: Mapping[str, str]) -> str:
    """Return what the environment holds under a reference; raises DeclarationError where it holds nothing."""
    name = reference.removeprefix("env:")
    if not environment.get(name):
        raise DeclarationError(
            f"The declaration says '{reference}', and the environment variable {name} is not set. Set it where "
            "Dagster runs, for its daemon and its web server, too."
        )
    return environment[name]


def secrets_of(declared: object, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return what the environment holds under all references in a declaration, the longest first; none that is very short."""
    names = {reference.removeprefix("env:") for reference in _references(declared)}
    found = {environment[name] for name in names if len(environment.get(name, "")) >= LEAST_SECRET}
    return tuple(sorted(found, key=len, reverse=True))


def without(text: str, secrets: Iterable[str]) -> str:
    """Return a text with secrets taken out: errors of libraries may quote them."""
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return text


def _references(declared: object) -> Iterator[str]:
    if isinstance(declared, str):
        yield from [declared] if _REFERENCE.fullmatch(declared) else []
    elif isinstance(declared, BaseModel):
        yield from _references(dict(declared))
    elif isinstance(declared, Mapping):
        for value in declared.values():
            yield from _references(value)
    elif isinstance(declared, list | tuple):
        for value in declared:
            yield from _references(value)
