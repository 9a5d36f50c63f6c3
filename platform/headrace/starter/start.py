"""Writes a new project: a workspace, one product of ten lines, and two months of data that it invents."""

import random
from datetime import UTC, date, datetime, time, timedelta
from importlib.resources import files
from math import exp
from pathlib import Path

from headrace.core.errors import Refused

DAYS, ROWS_A_DAY = 60, 150
TEMPLATES = {
    "workspace.yaml": "workspace.yaml",
    "dagster.yaml": "dagster.yaml",
    "dg.toml": "dg.toml",
    "gitignore": ".gitignore",
    "env": ".env",
    "README.md": "README.md",
    "project.dg.toml": "platform/dg.toml",
    "definitions.py": "platform/definitions.py",
    "defs.yaml": "platform/products/returns/defs.yaml",
    "label.sql": "platform/products/returns/label.sql",
}


def start_project(target: Path, today: date | None = None) -> list[Path]:
    """Write a project into an empty folder and return its files; raises Refused where something is there already."""
    if target.is_file() or (target.exists() and any(target.iterdir())):
        raise Refused(f"{target} is not empty: choose a new folder, so that nothing of yours is overwritten.")
    target = target.resolve()
    today = today or datetime.now(UTC).date()
    first = today - timedelta(days=DAYS)
    words = {"@START@": first.isoformat(), "@HOME@": str(target / ".headrace" / "dagster")}
    texts = {name: _filled(template, words) for template, name in TEMPLATES.items()}
    texts[".headrace/dagster/dagster.yaml"] = texts["dagster.yaml"]
    texts |= {f"landing/orders/{day}.csv": orders_of(day) for day in (first + timedelta(days=i) for i in range(DAYS))}
    return [_write(target / name, text) for name, text in texts.items()]


def orders_of(day: date) -> str:
    """Return a day of invented orders as CSV; the same day gives the same orders.

    What is dear, and bought by customers who often send things back, comes back more often.
    """
    chance = random.Random(day.toordinal())  # noqa: S311  invented data, no secret
    lines = ["order_id,customer,ordered_at,amount,items,returned"]
    for number in range(ROWS_A_DAY):
        moment = datetime.combine(day, time(), UTC) + timedelta(seconds=chance.randrange(86400))
        customer, amount, items = chance.randrange(200), chance.gammavariate(3, 20), 1 + chance.randrange(5)
        returned = chance.random() < 1 / (1 + exp(2.2 - amount / 40 - (customer % 7) / 3))
        lines.append(
            f"{day:%Y%m%d}-{number},c{customer},{moment.isoformat()},{amount:.2f},{items},{str(returned).lower()}"
        )
    return "\n".join(lines) + "\n"


def _filled(template: str, words: dict[str, str]) -> str:
    text = files("headrace.starter").joinpath("templates", template).read_text()
    for word, value in words.items():
        text = text.replace(word, value)
    return text


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path
