-- From the request itself, in the local time of New York.
with local as (
  select *, timezone('America/New_York', sched_dep) as departs
  from request
)
select
  extract(hour from departs) + extract(minute from departs) / 60.0 as hour,
  extract(isodow from departs) as weekday,
  extract(year from departs) - aircraft_year as aircraft_age
from local
