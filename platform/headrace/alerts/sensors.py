"""The sensor that tells people of incidents."""

from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg

from headrace.alerts.declaration import Alert
from headrace.alerts.tell import tell, waiting
from headrace.core.errors import HeadraceError
from headrace.core.pace import NOW_AND_THEN_S, every
from headrace.store.site import Site


def alert_automation(site: Site, alerts: Sequence[Alert]) -> list[dg.SensorDefinition]:
    """Return the sensor that sends what is due, and what could not be sent before; none where nothing is declared."""

    @dg.sensor(
        name=f"{site.product.product}__alerts",
        minimum_interval_seconds=every(site.place.root, NOW_AND_THEN_S),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells the declared channels of incidents: when they open, while they stay open, and when they are over.",
    )
    def look(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        try:
            tried = tell(site, alerts, datetime.now(UTC))
            late = waiting(site)
        except HeadraceError as error:
            return dg.SkipReason(str(error))
        for one in tried:
            if one.sent:
                context.log.info(f"Sent to {one.channel}: {one.title}")
            else:
                context.log.warning(f"Not sent to {one.channel}, try {one.tries}: {one.error}")
        words = f"{len(late)} notices wait, the oldest: {late[0].error or late[0].title}" if late else "All was told."
        return dg.SkipReason(f"{sum(bool(one.sent) for one in tried)} sent. {words}")

    return [look] if alerts else []
