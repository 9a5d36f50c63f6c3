-- The hour of the observation, as a UTC instant.
select *, try_cast(time_hour as timestamptz) as observed_at
from landed
