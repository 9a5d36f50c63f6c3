"""Features of the request itself, one request or many at a time."""

import pyarrow as pa

from headrace.core.fingerprint import sql_version
from headrace.core.sql import Statement
from headrace.features.request import numbered_requests, request_sql, with_computed
from headrace.online.manifest import OnRequest
from headrace.store.prepared import Prepared


class Computed:
    """Features of the request itself: the SQL that training used, prepared."""

    def __init__(self, published: OnRequest, hidden: str | None) -> None:
        self.name, self._hidden = published.name, hidden
        self._statement = Statement(published.sql, published.origin)
        self._prepared = Prepared(request_sql(self._statement), "request", origin=published.origin)

    @property
    def digest(self) -> str:
        """A digest of the SQL."""
        return sql_version(self._statement.text)

    def added_to(self, requests: pa.Table) -> pa.Table:
        """Return requests with the columns that the SQL computes of each."""
        numbered = numbered_requests(requests, self._hidden)
        made = self._prepared.rows(numbered)
        return with_computed(self.name, self._statement, requests, numbered, made)
