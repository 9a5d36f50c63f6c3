"""A small history whose truth is known: a number says what comes true, until a day on which it says the opposite."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from headrace.automation.declaration import Retrain
from headrace.backtest.challenger import Challengers, Judging
from headrace.backtest.declaration import policies_of
from headrace.backtest.history import History
from headrace.backtest.life import Life, World, live_through
from headrace.evaluation.declaration import Gate, parse_gate
from headrace.evaluation.evaluate import Measuring
from headrace.evaluation.metrics import Aim
from headrace.features.declaration import Label
from headrace.models.declaration import Model
from headrace.models.trainer import Beside
from headrace.monitoring.declaration import Monitors

START, DAYS, A_DAY = date(2024, 1, 1), 84, 120
LABEL = Label(sql="label.sql", entity="id", time="at", column="came_true", known_after=timedelta(days=1))
MODEL = Model.model_validate(
    {"split": {"test": "7d"}, "trees": 20, "params": {"num_leaves": 7, "min_data_in_leaf": 20}}
)
RETRAIN = Retrain.model_validate({"when": ["quality"], "cooldown": "3d", "budget": "8 per 30d"})
MONITORS = Monitors.model_validate({"drift": {"window": "3d", "psi": 0.3}, "quality": {"floor": 0.6, "window": "7d"}})


def rows(turned: int = DAYS, moved: int = DAYS, seed: int = 0) -> pa.Table:
    """Return rows of 84 days: from day `turned` on the number says the opposite, from day `moved` on it is greater by 2."""
    chance = np.random.default_rng(seed)
    number = np.repeat(np.arange(DAYS), A_DAY)
    x = chance.normal(size=len(number))
    side = np.where(number >= turned, -1.0, 1.0)
    came_true = chance.random(len(number)) < 1 / (1 + np.exp(-2 * side * x))
    minutes = np.tile(np.arange(A_DAY) * (1440 // A_DAY), DAYS)
    midnight = datetime.combine(START, datetime.min.time(), UTC)
    at = [midnight + timedelta(days=int(d), minutes=int(m)) for d, m in zip(number, minutes, strict=True)]
    return pa.table(
        {
            "id": [f"{n:06d}" for n in range(len(number))],
            "at": pa.array(at, pa.timestamp("us", "UTC")),
            "x": x + np.where(number >= moved, 2.0, 0.0),
            "came_true": pa.array(came_true.astype(np.int8)),
        }
    )


def history_of(table: pa.Table, zone: str = "UTC") -> History:
    return History(table, LABEL, ZoneInfo(zone), {"shop/validated/orders": 3})


def world_of(history: History, gates: tuple[str, ...] = (), monitors: Monitors = MONITORS) -> World:
    measuring = Measuring(LABEL, history.zone.key)
    held = [Gate.model_validate(parse_gate(text)) for text in gates]
    judging = Judging(MODEL, measuring, held, Beside(Path(), ""))
    challengers = Challengers(history, judging, lambda _: None)
    return World(history, challengers, monitors, RETRAIN, Aim(), MODEL.split.history + 2 * LABEL.known_after)


def lives(history: History, *words: str, world: Callable[[History], World] = world_of) -> dict[str, Life]:
    own = world(history)
    policies = policies_of(words, RETRAIN, own.monitors)
    return {policy.name: live_through(policy, own, history.days, lambda _: None) for policy in policies}
