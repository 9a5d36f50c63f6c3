-- Local wall-clock numbers become UTC instants, once. `time_hour` is the UTC hour of the scheduled departure;
-- an arrival is written in the destination's own time, so its zone says how long the flight took.
with zones(zone, airports) as (
  values
    ('America/New_York', 'ACK ALB ATL AVL BDL BGR BOS BTV BUF BWI CAE CAK CHO CHS CLE CLT CMH CRW CVG DAY DCA DTW EYW FLL GRR GSO GSP IAD ILM IND JAX LEX LGA MCO MHT MIA MVY MYR ORF PBI PHL PIT PVD PWM RDU RIC ROC RSW SAV SBN SDF SRQ SYR TPA TVC TYS'),
    ('America/Chicago', 'AUS BHM BNA DFW DSM HOU IAH MCI MDW MEM MKE MSN MSP MSY OKC OMA ORD SAT STL TUL XNA'),
    ('America/Denver', 'ABQ BZN DEN EGE HDN JAC MTJ SLC'),
    ('America/Phoenix', 'PHX'),
    ('America/Los_Angeles', 'BUR LAS LAX LGB OAK PDX PSP SAN SEA SFO SJC SMF SNA'),
    ('America/Anchorage', 'ANC'),
    ('Pacific/Honolulu', 'HNL'),
    ('America/Puerto_Rico', 'BQN PSE SJU STT')
),
airports as (select zone, unnest(string_split(airports, ' ')) as airport from zones),
departed as (
  select
    landed.*,
    zone,
    try_cast(time_hour as timestamptz) + to_minutes(try_cast(minute as integer)) as sched_dep,
    sched_dep + to_minutes(try_cast(dep_delay as integer)) as dep_at,
    try_cast(arr_time as integer) as clock
  from landed left join airports on airport = dest
),
flown as (
  select
    *,
    timezone(zone, dep_at) as dep_there,
    (clock // 100) * 60 + clock % 100 - extract(hour from dep_there) * 60 - extract(minute from dep_there) as minutes_between
  from departed
)
select
  * exclude (zone, clock, dep_there, minutes_between),
  dep_at + to_minutes((minutes_between + 1440) % 1440) as arr_at,
  concat_ws('-', carrier || flight, origin, dest, year || lpad(month, 2, '0') || lpad(day, 2, '0')) as flight_id
from flown
