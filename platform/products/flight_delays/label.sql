-- Asked 60 minutes before the scheduled departure; a flight that never arrived has no label.
select
  flight_id,
  sched_dep - interval 60 minutes as predict_at,
  sched_dep,
  origin,
  dest,
  carrier,
  tailnum,
  distance,
  arr_delay > 15 as late
from flights
