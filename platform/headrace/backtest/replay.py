"""A back-test from end to end."""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date

from threadpoolctl import threadpool_limits

from headrace.automation.loop import Loop
from headrace.backtest.challenger import USUAL, Challengers, Judging, quicker
from headrace.backtest.declaration import Policy
from headrace.backtest.history import History, frozen_history
from headrace.backtest.life import World, live_through
from headrace.backtest.result import Backtest, compared, figures_of
from headrace.core.days import Days
from headrace.core.errors import DeclarationError, Refused
from headrace.evaluation.judgement import measuring_of
from headrace.models.candidate import beside_of
from headrace.models.declaration import Model

Say = Callable[[str], None]


def backtest(
    loop: Loop, policies: Sequence[Policy], say: Say, until: date | None = None, *, exact: bool = False
) -> Backtest:
    """Return what would have come of a product under each policy, up to a day, the newest one by default.

    Without `exact` boosted trees are replayed quickly: see `quicker`. Parameters are those declared, and never searched for.
    Raises NoRows where there is no history, Refused for a product without a model, or none that passes its gates in it.
    """
    began = time.perf_counter()
    if loop.label is None or loop.model is None:
        raise Refused(f"{loop.site.product.product} declares no model: there is nothing to train again.")
    history = frozen_history(loop.site, loop.features, loop.label)
    say(f"{history.rows.num_rows:,} rows of {history.days} are read")
    declared = loop.model.model_copy(update={"tune": None})
    model = declared if exact else quicker(declared)
    measuring = measuring_of(loop.site, loop.label, model, loop.gates)
    judging = Judging(model, measuring, loop.gates, beside_of(loop.site))
    needed, price = model.split.history + 2 * loop.label.known_after, loop.serve.price
    cpu_hour = price.cpu_hour if price else None
    challengers = Challengers(history, judging, say)
    world = World(history, challengers, loop.monitors, loop.retrain, measuring.aim, needed, cpu_hour)
    days = Days(history.days.first, _last(history, until))
    with ThreadPoolExecutor(os.cpu_count(), initializer=threadpool_limits, initargs=(1, "openmp")) as threads:
        # LightGBM and Arrow let other threads run; a training on one thread gives the same bytes as on several.
        lives = list(threads.map(lambda policy: live_through(policy, world, days, say), policies))
    if not any(life.releases for life in lives):
        outcomes = [trained.outcome for life in lives for trained in life.trainings]
        raise Refused(f"No model is released in {days}: {outcomes[-1] if outcomes else 'too few days to train on'}")
    found, recommended, why = compared([figures_of(life, world, days) for life in lives], loop.monitors.quality.metric)
    return Backtest(
        product=loop.site.product.product,
        metric=loop.monitors.quality.metric,
        limit=loop.monitors.quality.limits_said,
        first=days.first,
        last=days.last,
        rows=history.rows.num_rows,
        versions=dict(history.versions),
        left_out=judging.left_out,
        otherwise=_otherwise(declared, model),
        currency=price.currency if price else "",
        models=len(challengers),
        seconds=time.perf_counter() - began,
        policies=found,
        recommended=recommended,
        why=why,
    )


def _last(history: History, until: date | None) -> date:
    """Return the last day to replay; raises DeclarationError for one before the history."""
    if until is None:
        return history.days.last
    if until < history.days.first:
        raise DeclarationError(f"--until {until}: the history begins on {history.days.first}")
    return min(until, history.days.last)


def _otherwise(declared: Model, model: Model) -> str:
    """Return in words how the models of a quick replay differ from those that the product trains."""
    if model.trees == declared.trees:
        return ""
    rates = [one.params.get("learning_rate", USUAL) for one in (model, declared)]
    return (
        f"models of {model.trees} trees at a learning rate of {rates[0]:g} in place of {declared.trees} at {rates[1]:g}; "
        "--exact trains those that are declared"
    )
