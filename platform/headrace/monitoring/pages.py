"""Pages: files that need nothing else, written whole or not at all, from templates that take what they are given as text."""

import os
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, Template

from headrace.core.failpoints import failpoint

HERE = "headrace.monitoring"


def write_page(text: str, path: Path) -> Path:
    """Write a page, whole or not at all, and return where it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_suffix(f".{os.getpid()}")
    staged.write_text(text, encoding="utf-8")
    failpoint("report_staged")
    staged.replace(path)
    return path


def template(name: str, room: str = HERE) -> Template:
    """Return a template of a page, of this room or of another one that looks alike; what it is given is text and never markup."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(room), PackageLoader(HERE)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _number, "count": _count}
    return environment.get_template(name)


def _number(value: float | None, digits: int = 4) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _count(value: int) -> str:
    return f"{value:,}"
