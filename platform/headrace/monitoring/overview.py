"""The page of all products: `reports/index.html`, written from the few facts that each product's report leaves."""

from pathlib import Path

from filelock import FileLock

from headrace.monitoring.pages import template, write_page
from headrace.monitoring.standing import Standing, Unread, standings, write_standing

PAGE, LOCK = "index.html", ".index.lock"
ORDER = {"alarm": 0, "unknown": 1, "well": 2}


def tell_overview(standing: Standing, folder: Path) -> Path:
    """Leave a product's facts in a folder of reports, write the page of all products anew, and return where it is.

    The facts are there before the page is locked and read under the lock: of products that write at once, the last
    one that gets the lock has seen the facts of all of them.
    """
    write_standing(standing, folder)
    with FileLock(folder / LOCK):
        return write_page(overview_html(list(standings(folder))), folder / PAGE)


def overview_html(found: list[Standing | Unread]) -> str:
    """Return the page as text: what alarms comes first, then what is not known, then by name."""
    products = [one for one in found if isinstance(one, Standing)]
    return template("index.html.j2").render(
        products=sorted(products, key=lambda one: (ORDER[one.state], one.product)),
        unread=[one for one in found if isinstance(one, Unread)],
        newest=max((one.as_of for one in products), default=None),
    )
