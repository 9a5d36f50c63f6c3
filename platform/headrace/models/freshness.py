"""Whether the live model has seen recent labels."""

from datetime import timedelta

from headrace.core.names import duration_text
from headrace.models.train import Meta
from headrace.store.site import Site


def champion_freshness(site: Site, limit: timedelta) -> tuple[bool, float, str]:
    """Return whether the newest row that the live model was trained on is younger than the limit, its age in days, and a sentence."""
    live = site.releases.live(site.product.product)
    if live is None:
        return True, 0.0, "no model is live yet"
    meta = Meta.model_validate_json(site.models.get(live.model, "meta.json"))
    age = site.clock.now() - meta.train_to
    verdict = "within" if age <= limit else "more than"
    days = age / timedelta(days=1)
    return age <= limit, days, f"the live model was trained on rows to {meta.train_to:%Y-%m-%d}, {days:.0f} d ago, {verdict} {duration_text(limit)}"
