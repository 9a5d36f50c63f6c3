"""A small shop as a whole project on disk: orders by day, a churn-like label, a model, monitors, a real workspace."""

import csv
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import numpy as np

from benchmarks.project import copy_settings

START = date(2024, 1, 1)
DECLARATION = """\
type: headrace.Product
attributes:
  product: shop
  owner: shop@example.com
  start: 2024-01-01
  end: 2024-12-31
  clock: replay
  sources:
    orders: {files: "landing/orders/*.csv", time: ordered_at, partition: day, known_at: {returned: settled_at}, fresh_within: 36h}
  contracts:
    orders:
      columns:
        order_id: {type: string, unique: true}
        customer: {type: string}
        ordered_at: {type: timestamp}
        settled_at: {type: timestamp}
        amount: {type: double, min: 0}
        returned: {type: boolean}
  features:
    habit: {windows: {from: orders, entity: customer, time: ordered_at, of: {amount: amount}, agg: [mean, count], over: [3d]}}
  label: {sql: label.sql, entity: order_id, time: asked_at, column: returned, known_after: 1d}
  model: {split: {by: time, test: 7d}, trees: 20, params: {num_leaves: 7, min_data_in_leaf: 20}}
  gates: [auc >= 0.6, auc >= champion - 0.05]
  monitors: {drift: {window: 3d, psi: 0.5, score_psi: 10}, quality: {metric: auc, floor: 0.5}}
  retrain: {when: [drift], cooldown: 3d, budget: 8 per 30d}
"""
LABEL = """select order_id, ordered_at as asked_at, customer, amount, returned from orders
"""


def make_project(root: Path) -> Path:
    """Write the shop's project and return its root."""
    product = root / "platform" / "products" / "shop"
    product.mkdir(parents=True)
    (product / "defs.yaml").write_text(DECLARATION)
    (product / "label.sql").write_text(LABEL)
    copy_settings(root)
    return root


def land_days(root: Path, first: int, last: int, shift: float = 0.0, rows: int = 80) -> None:
    """Land a file for each day from number `first` to `last`; `shift` is added to all amounts; the clock moves on."""
    folder = root / "landing" / "orders"
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, last + 1):
        _land_day(folder, START + timedelta(days=number), np.random.default_rng(number), shift, rows)
    end = datetime.combine(START + timedelta(days=last + 1), time(), UTC)
    (root / "landing" / ".replay_clock").write_text(end.isoformat())


def _land_day(folder: Path, day: date, chance: np.random.Generator, shift: float, rows: int) -> None:
    staged = folder / f".{day}.part"
    with staged.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["order_id", "customer", "ordered_at", "settled_at", "amount", "returned"])
        for i in range(rows):
            at = datetime.combine(day, time(), UTC) + timedelta(minutes=int(chance.integers(0, 1439)))
            amount = float(chance.gamma(4, 10))
            returned = chance.random() < 1 / (1 + np.exp(-(amount - 40) / 8))
            settled = at + timedelta(hours=20)
            row = [
                f"{day}-{i}",
                f"c{chance.integers(0, 20)}",
                at.isoformat(),
                settled.isoformat(),
                round(amount + shift, 2),
                returned,
            ]
            lines.writerow(row)
    staged.replace(folder / f"{day}.csv")
