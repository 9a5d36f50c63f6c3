"""How commands speak."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from headrace.core.errors import HeadraceError


def in_words(command: Callable[..., Any]) -> Callable[..., Any]:
    """Show what a user caused as a sentence, not as a traceback."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except HeadraceError as error:
            raise click.ClickException(str(error)) from None

    return run
