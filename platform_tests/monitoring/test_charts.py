"""What charts show when there is hardly anything to show."""

import io
from datetime import date

import pytest

from headrace.monitoring.charts import Mark, quality_over_time
from headrace.monitoring.declaration import Quality

DAY = date(2024, 1, 1)


@pytest.mark.parametrize("marks", [[], [(DAY, "release 1", "#000000")]])
def test_one_measured_day_is_drawn_with_the_days_beside_it_and_without_a_warning(marks: list[Mark]) -> None:
    row = {"model": "a" * 64, "day": DAY, "value": 0.7}
    figure = quality_over_time([row], Quality(metric="auc", floor=0.6), marks)
    figure.savefig(io.BytesIO())
    first, last = figure.axes[0].get_xlim()
    assert last - first == 2
