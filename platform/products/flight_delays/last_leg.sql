-- What is known of an aircraft: how late it left, from the moment it left, and how late it landed, from then on.
select tailnum, dep_at as known_at, dep_delay, null::double as arr_delay, true as in_the_air
from flights
where dep_at is not null
union all
select tailnum, arr_at as known_at, dep_delay, arr_delay, false as in_the_air
from flights
where arr_at is not null
