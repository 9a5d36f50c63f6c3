"""SQL on the request itself: each request in, each with what is computed of it out, in training as in serving."""

from functools import lru_cache

import pyarrow as pa

from headrace.core.errors import DataError
from headrace.core.sql import Statement, computed_columns, with_column

REQUEST = "_request"
"""The number of a request among those that are asked about at once."""


def numbered_requests(requests: pa.Table, hidden: str | None) -> pa.Table:
    """Return requests as SQL on them sees them: each with its number, and without the label."""
    numbered = requests.append_column(REQUEST, pa.array(range(requests.num_rows), pa.int64()))
    return numbered.drop_columns([hidden]) if hidden in numbered.column_names else numbered


def request_sql(statement: Statement) -> str:
    """Return what is asked of the view `request`: what the SQL makes of each, in their order."""
    return f"select * from ({with_column(statement.text, statement.origin, REQUEST)}) order by {REQUEST}"


def with_computed(name: str, statement: Statement, requests: pa.Table, numbered: pa.Table, made: pa.Table) -> pa.Table:
    """Return requests with the columns that were made of them; raises DataError where a request was lost or doubled."""
    if not made[REQUEST].equals(numbered[REQUEST]):
        raise DataError(
            f"{statement.origin}: one row out for each row in: it made {made.num_rows} of {requests.num_rows}."
        )
    passed_on = (set(requests.column_names) | {REQUEST}) - _computed(statement)
    for column in made.column_names:
        if column not in passed_on and not column.startswith(REQUEST):
            requests = requests.append_column(f"{name}_{column}", made[column])
    return requests


@lru_cache(maxsize=256)
def _computed(statement: Statement) -> frozenset[str]:
    """Return the columns that SQL computes: parsed once, for requests one by one."""
    return frozenset(computed_columns(statement.text, statement.origin))
