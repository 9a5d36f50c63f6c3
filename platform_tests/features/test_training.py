"""Label rows and the training set: what is joined, what is added, what is refused in words."""

from pathlib import Path

import pyarrow as pa
import pytest

from headrace.core.errors import DataError
from headrace.features.compute import feature_rows
from headrace.features.declaration import Feature
from headrace.features.training import SCORED, label_rows, training_rows
from headrace.store.site import Site
from platform_tests.features.airline import LABEL, LABEL_SQL, SOURCES, airline, flight, windows

REQUEST_COLUMNS = ["flight_id", "predict_at", "sched_dep", "origin", "tailnum", "late"]


def airline_with(folder: Path, label_sql: str = LABEL_SQL, request_sql: str = "") -> Site:
    return airline(folder, [flight(i) for i in range(4)], {"label.sql": label_sql, "request.sql": request_sql})


@pytest.mark.parametrize(
    ("sql", "added"),
    [
        ("select *, 1 as x from request", ["r_x"]),
        ("select request.*, 1 as x from request", ["r_x"]),
        ("select origin, 1 as x from request", ["r_x"]),
        ("with more as (select *, 1 as x from request) select * from more", ["r_x"]),
        ("select lower(origin) as origin from request", ["r_origin"]),
        ("select * replace (lower(origin) as origin) from request", ["r_origin"]),
    ],
)
def test_a_feature_of_the_request_adds_what_it_computes_and_not_what_it_passes_on(
    tmp_path: Path, sql: str, added: list[str]
) -> None:
    site = airline_with(tmp_path, request_sql=sql)
    rows = training_rows(site, {"r": Feature(on_request="request.sql")}, LABEL)
    assert rows.column_names == [*REQUEST_COLUMNS, *added]


@pytest.mark.parametrize("name", [*SCORED, "_request"])
def test_a_label_row_cannot_have_a_column_that_headrace_adds(tmp_path: Path, name: str) -> None:
    site = airline_with(tmp_path, LABEL_SQL.replace("tailnum", f'tailnum as "{name}"'))
    with pytest.raises(DataError, match=rf"label.sql: the label rows have \['{name}'\].*give them other names"):
        label_rows(site, LABEL)


@pytest.mark.parametrize(
    ("origin", "says"),
    [
        ("", r"'now' is joined by 'origin', which the rows to predict do not have; they have \['flight_id'"),
        (
            "7 as origin,",
            "'now' is joined by 'origin', which is String there but Int32 in the rows to predict: cast it",
        ),
    ],
)
def test_an_entity_without_a_partner_in_the_label_rows_is_named(tmp_path: Path, origin: str, says: str) -> None:
    site = airline_with(tmp_path, LABEL_SQL.replace("origin,", origin))
    site.tables.replace("air/features/now", feature_rows(site, "now", windows(), SOURCES, None))
    with pytest.raises(DataError, match=says):
        training_rows(site, {"now": windows()}, LABEL)


@pytest.mark.parametrize(
    ("sql", "kept"),
    [
        ("true as late,", pa.int8()),
        ("1 as late,", pa.int64()),
        ("1::utinyint as late,", pa.int64()),
        ("12.25 as late,", pa.float64()),
        ("1.5::float as late,", pa.float64()),
        ("null as late,", pa.int64()),
    ],
)
def test_a_label_is_kept_as_the_number_that_it_is(tmp_path: Path, sql: str, kept: pa.DataType) -> None:
    rows = label_rows(airline_with(tmp_path, _labelled(sql)), LABEL)
    assert rows.schema.field("late").type == kept


def test_a_label_that_is_a_text_is_refused_with_what_to_make_of_it(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"the label 'late' is string: it must be true or false.*Make 0 or 1 of one class"
    ):
        label_rows(airline_with(tmp_path, _labelled("'late' as late,")), LABEL)


def _labelled(late: str) -> str:
    return f"select * replace ({late.rstrip(',')}) from ({LABEL_SQL})"


def test_label_rows_whose_columns_are_spelled_otherwise_are_refused_with_the_spelling(tmp_path: Path) -> None:
    site = airline_with(tmp_path, LABEL_SQL.replace("flight_id,", "flight_id as Flight_Id,"))
    with pytest.raises(DataError, match=r"lack \['flight_id'\]; they have \['Flight_Id'"):
        label_rows(site, LABEL)
