"""Whether the live model has been judged on recent labels."""

from dataclasses import dataclass
from datetime import timedelta

from headrace.core.names import duration_text
from headrace.evaluation.judgement import recorded_judgement
from headrace.store.site import Site


@dataclass(frozen=True)
class ModelAge:
    """How old the newest label is that the live model was judged on, in days, and that in words."""

    fresh: bool
    days: float
    what: str


def champion_age(site: Site, limit: timedelta) -> ModelAge:
    """Return the age of the live model's evidence by the product's clock; a product without a live model is fresh."""
    live = site.releases.live(site.product.product)
    if live is None:
        return ModelAge(True, 0.0, "no model is live yet")
    newest = recorded_judgement(site, live.model).newest
    age = site.clock.now() - newest
    days = age / timedelta(days=1)
    verdict = "within" if age <= limit else "more than"
    what = (
        f"the live model was judged on labels to {newest:%Y-%m-%d}, {days:.0f} d ago, {verdict} {duration_text(limit)}"
    )
    return ModelAge(age <= limit, days, what)
