"""What the store does by itself: once a day, what nobody needs any more goes."""

from datetime import UTC, datetime

import dagster as dg

from headrace.store.declaration import Keep
from headrace.store.retention import collect
from headrace.store.site import Site


def store_automation(site: Site, keep: Keep) -> dg.Definitions:
    """Return the job that removes what nobody needs, and its daily schedule."""
    product = site.product

    @dg.op(
        name=f"{product.product}__collect", description="Removes what no kept model needs and nobody reads any more."
    )
    def remove_unneeded(context: dg.OpExecutionContext) -> None:
        context.log.info(collect(site, keep, datetime.now(UTC), remove=True).text(done=True))

    @dg.job(
        name=f"{product.product}__gc",
        executor_def=dg.in_process_executor,
        description=f"The same as `headrace gc {product.product}`.",
    )
    def gc() -> None:
        remove_unneeded()

    nightly = dg.ScheduleDefinition(
        name=f"{product.product}__nightly",
        job=gc,
        cron_schedule="30 3 * * *",
        execution_timezone=product.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Removes versions, models and leftovers that nobody needs, by the product's `keep`.",
    )
    return dg.Definitions(jobs=[gc], schedules=[nightly])
