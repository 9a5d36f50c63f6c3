"""What a user may say about features that are served online."""

from datetime import timedelta

from pydantic import Field

from headrace.core.declaration import Declaration
from headrace.core.names import Duration, Share


class Online(Declaration):
    """The newest values of all feature tables, for requests one by one. Where they lie says HEADRACE_ONLINE_URL."""

    back: Duration = Field(default=timedelta(hours=1), ge=timedelta())
    """How far behind the instant of the publication a request may lie; what held before that is dropped."""
    log: Share = 0.0
    """Which share of the requests is logged with the features that it was served, for `headrace skewcheck`: `1%`."""
