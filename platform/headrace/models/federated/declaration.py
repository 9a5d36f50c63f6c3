"""What a user may say about training over sites."""

from datetime import timedelta

from pydantic import Field

from headrace.core.declaration import Declaration
from headrace.core.names import Duration


class Federated(Declaration):
    """Which rows stand at which site, and how often the sites exchange trees."""

    by: str
    """The column of the training set whose values are the sites, such as a hospital: from 2 to 16. It is no input."""
    rounds: int = Field(default=10, ge=1, le=500)
    """How often each site gets all sites' trees and sends new ones of its own: `trees` / `rounds` steps of boosting each time."""
    wait: Duration = timedelta(hours=1)
    """How long the sites may take to come up, and for a round, before the training is given up."""
