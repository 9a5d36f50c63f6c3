"""Tell: put what is due into the outbox, and send what waits there."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

from headrace.alerts.channels import Post, deliver, post_of
from headrace.alerts.declaration import Alert
from headrace.alerts.notice import due, trial
from headrace.alerts.outbox import Outbox, Waiting
from headrace.incidents.note import incidents
from headrace.store.site import Site

HERE = Alert(folder="local")
"""Where tests of alerts go where none are declared."""


def tell(site: Site, alerts: Sequence[Alert], now: datetime) -> list[Waiting]:
    """Tell what there is to tell of a product's incidents at a moment by the clock on the wall; return what was tried.

    Where another process is telling, nothing is tried. Raises StoreError where the log of incidents is not as it was written.
    """
    outbox, known = Outbox(site), incidents(site)
    with outbox.alone() as is_alone:
        if not is_alone:
            return []
        told = outbox.told()
        for alert in alerts:
            for notice in due(site.product, alert, known, told, now):
                if notice.id not in told:
                    outbox.put(alert, notice, now)
                    told = outbox.told()
        outbox.forget([one.number for one in known if one.is_open], now)
        return outbox.send(alerts, partial(_deliver, site), now)


def waiting(site: Site) -> list[Waiting]:
    """Return what has not been delivered, oldest first."""
    return [one for one in Outbox(site).all() if not one.sent]


def tell_trial(site: Site, alert: Alert, now: datetime) -> None:
    """Send a notice that says that it is a test, now; raises NotDelivered or DeclarationError where that cannot be done."""
    notice = trial(site.product.product, alert, now)
    _deliver(site, alert, post_of(notice, None))


def folder_of(site: Site) -> Path:
    """Return where the notices of the channel `folder` go."""
    return site.place.home / "alerts"


def _deliver(site: Site, alert: Alert, post: Post) -> None:
    deliver(alert, post, site.environment, folder_of(site) / site.product.product)
