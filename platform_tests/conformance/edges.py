"""Values at the edges of what SQL can be asked, and the expressions that the engines must agree on."""

import math
from datetime import UTC, date, datetime
from itertools import product
from typing import Any

import pyarrow as pa

INTS = [None, 0, 1, -1, 2, -7, 7, 60, 1_000_003]
DOUBLES = [None, 0.0, -0.0, 1.0, -1.5, 0.5, 2.5, 1e-9, 123456.789, -7.25, math.nan, math.inf, -math.inf, 1e15, 0.285]
TEXTS = [
    None,
    "",
    "a",
    "ab",
    "Abc",
    " x ",
    "a-b-c",
    "\u00e9t\u00e9",
    "\U0001f600z",
    "10%_",
    "line\nend",
    "a.b",
    "'",
    "1234567",
    "\u00c5\u0160 \u0416\u044f",
]
BOOLS = [None, True, False]
INSTANTS = [
    None,
    datetime(2013, 3, 10, 6, 59, 59, 999999, UTC),
    datetime(2013, 3, 10, 7, 30, tzinfo=UTC),
    datetime(2013, 11, 3, 5, 30, tzinfo=UTC),
    datetime(2013, 11, 3, 6, 30, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 500000, UTC),
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2000, 2, 29, 12, tzinfo=UTC),
    datetime(2012, 12, 31, 23, 0, 1, tzinfo=UTC),
    datetime(1900, 1, 1, 3, 7, tzinfo=UTC),
]
NAIVE = [
    None,
    datetime(2013, 3, 10, 2, 30),
    datetime(2013, 3, 10, 1, 59, 59),
    datetime(2013, 11, 3, 1, 30),
    datetime(2013, 11, 3, 1, 0),
    datetime(2013, 11, 3, 2, 0),
    datetime(2013, 7, 4),
    datetime(2016, 2, 29, 23, 59, 59, 1),
]
DATES = [
    None,
    date(1969, 12, 31),
    date(1970, 1, 1),
    date(2012, 2, 29),
    date(2013, 3, 10),
    date(2015, 12, 28),
    date(2016, 1, 3),
]
SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("i", pa.int64()),
        ("j", pa.int64()),
        ("x", pa.float64()),
        ("y", pa.float64()),
        ("s", pa.string()),
        ("t", pa.string()),
        ("p", pa.bool_()),
        ("q", pa.bool_()),
        ("moment", pa.timestamp("us", "UTC")),
        ("later", pa.timestamp("us", "UTC")),
        ("wall", pa.timestamp("us")),
        ("d", pa.date32()),
        ("e", pa.date32()),
    ]
)


def _pairs(values: list[Any]) -> list[tuple[Any, Any]]:
    return list(product(values, values))


def edges() -> pa.Table:
    """Return rows in which each value of a type meets each other value of it."""
    pairs = [_pairs(values) for values in (INTS, DOUBLES, TEXTS, BOOLS, INSTANTS, DATES)]
    rows = []
    for n in range(max(map(len, pairs))):
        (i, j), (x, y), (s, t), (p, q), (at, later), (d, e) = (pair[n % len(pair)] for pair in pairs)
        made = (n, i, j, x, y, s, t, p, q, at, later, NAIVE[n % len(NAIVE)], d, e)
        rows.append(dict(zip(SCHEMA.names, made, strict=True)))
    return pa.Table.from_pylist(rows, schema=SCHEMA)


EDGES = edges()
ARITHMETIC = """i + j, i - j, i * 3, -i, -x, i + x, x - y, x * y, i / j, x / y, i / 60.0, x / 2, i // j, i % j, i // 7, i % -7, abs(i), abs(x),
ceil(x), floor(x), round(x), round(x, 2), round(x, 1), floor(i), sqrt(abs(i)), greatest(i, j), least(i, j), greatest(x, y), least(x, y),
coalesce(i, j, 5), coalesce(x, 0), nullif(i, j), nullif(x, y), ifnull(i, 0), 1.5 + i, 2.5 * 1.1, i * 0.1, 7 / 2, 1_000 + i, mod(i, 5)"""
LOGIC = """i < j, i <= j, i = j, i <> j, x < y, x = y, x >= y, x > 0, x > 0.5, s < t, s = t, p and q, p or q, not p, p = q, p < q, i between 0 and 7,
x between -1 and 1, i in (1, 2, 7), i not in (1, 2), i not in (1, null), s in ('a', 'ab'), i is null, i is not null,
i is distinct from j, i is not distinct from j, x is not distinct from y, p is true, p is not true,
case when i > 0 then 'up' when i < 0 then 'down' end, case i when 1 then 2 else j end, case when x > 1 then i else x end, if(p, i, j), isnan(x),
moment < later, moment = later, d < e, wall > timestamp '2013-07-01', moment >= timestamptz '2000-01-01 00:00:00+00', d = date '2013-03-10'"""
CASTS = """cast(i as double), i::bigint, x::double, i::boolean, p::int, p::double, cast(p as tinyint), i::varchar, p::varchar, d::varchar,
cast(case when abs(x) < 1e6 then x end as bigint), cast(case when abs(x) < 1e6 then x end as integer), i::decimal(18, 3), 2.5::int, 3.5::int, (-2.5)::int,
d::timestamp, d::timestamptz, moment::date, wall::date, moment::timestamp, wall::timestamptz, null::double, cast(null as varchar), x::boolean"""
TIME = """extract(year from moment), extract(month from moment), extract(day from moment), extract(hour from moment), extract(minute from moment), extract(second from moment),
extract(quarter from moment), extract(doy from moment), extract(dow from moment), extract(isodow from moment), extract(week from moment), extract(epoch from moment),
extract(year from d), extract(isodow from d), extract(week from d), extract(dow from d), extract(doy from d), extract(hour from wall), extract(dow from wall),
year(moment), month(moment), day(d), hour(moment), minute(wall), quarter(d), dayofweek(moment), isodow(moment), dayofyear(d),
date_part('hour', moment), datepart('hour', moment), date_part('isodow', d), epoch(moment), epoch(wall), epoch(moment - later), epoch_us(moment),
date_trunc('day', moment), date_trunc('hour', moment), date_trunc('week', moment), date_trunc('month', moment), date_trunc('quarter', moment), date_trunc('year', moment),
date_trunc('minute', wall), date_trunc('day', wall), date_trunc('second', wall), date_trunc('month', d), date_trunc('week', d),
date_diff('day', d, e), date_diff('day', moment, later), date_diff('hour', moment, later), date_diff('minute', moment, later), date_diff('second', moment, later),
date_diff('month', moment, later), date_diff('year', d, e), date_diff('month', d, e),
timezone('America/New_York', moment), timezone('Europe/Berlin', moment), timezone('Asia/Kathmandu', moment), timezone('Australia/Lord_Howe', moment), timezone('UTC', moment),
timezone('America/New_York', wall), timezone('Europe/Berlin', wall), timezone('Asia/Kolkata', wall), moment at time zone 'America/New_York', wall at time zone 'America/New_York',
extract(hour from timezone('America/New_York', moment)) + extract(minute from timezone('America/New_York', moment)) / 60.0,
moment - interval 60 minutes, moment + interval 1 day, moment + interval '90' second, moment - interval 2 weeks, moment + interval 1 month, wall - interval 1 month, d + interval 1 day,
d - interval 1 month, moment + to_minutes(i), moment - to_hours(i), moment + to_days(i), moment + to_seconds(i), wall + to_minutes(i::int), d + 1, d - (i % 1000)::int, d + (i % 1000)::int, d - e,
cast(timezone('America/New_York', moment) as date)"""
TEXT = """s || t, s || '-' || i, concat(s, t, i), concat_ws('-', s, t), concat_ws('-', i, s), length(s), substr(s, 1, 2), substring(s, 2), substr(s, 2, 1), left(s, 2),
right(s, 2), left(s, 0), right(s, 0), trim(s), ltrim(s), rtrim(s), lpad(s, 4, '0'), rpad(s, 4, 'xy'), lpad(s, 1, '0'), replace(s, 'a', 'zz'), replace(s, t, 'q'), contains(s, t), starts_with(s, t),
prefix(s, t), suffix(s, t), ends_with(s, t), strpos(s, t), instr(s, '-'), s like 'a%', s like '%_', s like '%-%', s not like 'a_', regexp_matches(s, '^[a-z]+$'), regexp_matches(s, '[0-9]{2,3}'),
regexp_matches(s, 'a.b'), regexp_matches(s, 'e$'), regexp_matches(s, '^(a|10)'), regexp_full_match(s, '[A-Z][a-z]+'), regexp_full_match(s, 'a|ab'), s not like '%-%', not regexp_matches(s, 'a'), md5(s), lower(s), upper(s), upper(lower(s)) = upper(s), greatest(s, t), least(s, t), coalesce(s, '')"""


def _listed(text: str) -> list[str]:
    """Return expressions that are listed with commas, of which those in parentheses are their own."""
    found, depth, part = [], 0, ""
    quoted = False
    for sign in text + ",":
        quoted ^= sign == "'"
        depth += 0 if quoted else (sign in "([{") - (sign in ")]}")
        if sign == "," and not depth and not quoted:
            found.append(part.strip())
            part = ""
        else:
            part += sign
    return found


EXPRESSIONS = [e for group in (ARITHMETIC, LOGIC, CASTS, TIME, TEXT) for e in _listed(group)]
NEARLY = [
    "select id, ln(abs(i) + 1) as a, exp(x / 1000000) as b, sin(i) as c, cos(i) as d from edges where abs(x) < 1000000",
    "select s, sum(y) as a, avg(y) as b, stddev(y) as c, stddev_samp(i) as d from edges where abs(y) < 1e9 group by s",
    "select id, sum(y) over (partition by s order by id) as a, avg(y) over (partition by s) as b from edges where abs(y) < 1e9",
]
"""Sums of doubles depend on the order in which they are added, on either engine."""
STATEMENTS = [
    "select * from edges",
    "from edges",
    "select * exclude (x, y), x + 1 as x1 from edges",
    "select * replace (i + 1 as i) from edges",
    "select e.* from edges as e where e.i > 0",
    "select ID, Moment from Edges",
    "select i + 1 as a, a * 2 as b from edges where a > 1",
    "with few as (select * from edges where i > 1), more as (select i, j from few) select i, count(*) as n from more group by i",
    "select i, count(*) as n, count(x) as m, count(distinct s) as k, min(x) as a, max(x) as b, min(s) as c, max(moment) as d, bool_or(p) as e, "
    "bool_and(p) as f, sum(j) as g, avg(j) as h, sum(j) filter (where p) as o, count(*) filter (where x > 0) as q, count_if(p) as r, "
    "sum(i * 0.5) as u from edges group by i",
    "select i % 3 as r, p, count(*) as n from edges group by i % 3, p having count(*) > 2",
    "select i as k, count(*) as n from edges group by k",
    "select count(*) as n, sum(i) as s, max(d) as d, min(wall) as w from edges where i > 100000000",
    "select x, count(*) as n from edges group by x",
    "select distinct s, p from edges",
    "select e.id, o.id as other, o.x from edges e join others o on e.i = o.j and e.p = o.q",
    "select e.id, o.id as other from edges e left join others o on e.s = o.t and o.i > 0",
    "select e.id, o.id as other from edges e right join others o on e.id = o.id + 5",
    "select e.id, o.id as other from edges e full join others o on e.id = o.id + 5",
    "select id, e.i, o.j from edges e join others o using (id)",
    "select id, e.i, o.j from edges e full join others o using (id)",
    "select e.id, o.id as other from edges e, others o where e.d = o.e and e.id < 20",
    "select e.id, o.id as other from edges e cross join others o where e.id < 5",
    "select e.id from edges e semi join others o on e.i = o.j and e.d = o.e",
    "select e.id from edges e anti join others o on e.s = o.t",
    "select id from edges where i in (select j from others where j > 0)",
    "select id from edges where i not in (select j from others)",
    "select id from edges as mine where exists (select 1 from others o where o.id = mine.id)",
    "select id, (select max(j) from others) as most from edges",
    "select i from edges union all select j from others",
    "select i, s from edges union select j, t from others",
    "select i from edges except select j from others where j > 0",
    "select i from edges intersect select j from others",
    "select i as a, null as b from edges union all select j, x from others",
    "select * from (values (1, 'a'), (2, 'b')) as v(n, name) join edges on n = i",
    "select id, row_number() over (partition by s order by id desc) as a, rank() over (order by i) as b, dense_rank() over (order by i desc) as c, "
    "rank() over (partition by p order by x) as d, ntile(4) over (order by id) as e from edges",
    "select id, lag(i) over (partition by s order by id) as a, lead(x, 2) over (order by id) as b, lag(i, 1, 0) over (order by id) as c, "
    "first_value(j) over (partition by p order by id) as d, last_value(j) over (partition by p order by id) as e, "
    "lag(i ignore nulls) over (order by id) as f, last_value(x ignore nulls) over (order by id) as g from edges",
    "select id, sum(j) over (partition by p order by id rows between 3 preceding and current row) as a, count(*) over (partition by s) as b, "
    "max(x) over (order by id rows between unbounded preceding and 1 preceding) as c, min(i) over (order by i) as d, sum(i) over (order by i) as e from edges",
    "select id, i from edges qualify row_number() over (partition by i order by id) = 1",
    "select id, x from edges where i > 0 qualify rank() over (partition by s order by id desc) <= 2",
    "select id, max(x) over (partition by s order by i, id) as m from edges",
    "select case when p then 'yes' when not p then 'no' else 'unknown' end as word, count(*) as n from edges group by all".replace(
        "group by all", "group by 1"
    ),
    "select i, x from edges order by x desc, i",
    "select id, row_number() over (order by x, id) as up, row_number() over (order by x desc, id) as down, "
    "row_number() over (order by s nulls first, id) as first, row_number() over (order by i desc nulls last, id) as last from edges",
    "select upper.id from edges as upper where upper.i = 1",
    'select id as "select", i as "a b", j as "Tick`s" from edges',
    "select p, count(*) as n from edges where (i > 0) = p or s is null group by p",
    "select sum(j) as total, sum(i) / count(i) as mean, max(x) - min(x) as spread from edges where abs(x) < 10",
]
REFUSED = [
    "select e.id from edges e join others o on e.x = o.y",
    "select e.id from edges e join others o using (x)",
    "select sum(distinct j) as v from edges",
    "select e.id from edges e asof join others o on e.id = o.id and e.moment >= o.moment",
    "select e.id from edges e positional join others o",
    "select frobnicate(x) from edges",
    "select id from edges limit 3",
    "select id from edges order by id offset 3",
    "select id from edges using sample 10",
    "select distinct on (s) s, id from edges",
    "with recursive r(n) as (select 1 union all select n + 1 from r where n < 3) select n from r",
    "select sum(x) over (order by moment range between interval 1 day preceding and current row) as v from edges",
    "select last(x order by id) as v from edges",
    "select arg_max(x, id) as v from edges",
    "select any_value(x) as v from edges",
    "select list(x) as v from edges",
    "select string_agg(s, ',') as v from edges",
    "select median(x) as v from edges",
    "select now() as v from edges",
    "select current_date as v from edges",
    "select random() as v from edges",
    "select s::double as v from edges",
    "select try_cast(s as double) as v from edges",
    "select x::varchar as v from edges",
    "select moment::varchar as v from edges",
    "select moment - later as v from edges",
    "select strftime(moment, '%H') as v from edges",
    "select s ~ 'a' as v from edges",
    "select s similar to 'a' as v from edges",
    "select s ilike 'a' as v from edges",
    "select s like t as v from edges",
    "select s like 'a\\%' as v from edges",
    "select regexp_matches(s, '(?i)a') as v from edges",
    "select regexp_matches(s, '\\bword') as v from edges",
    "select regexp_matches(s, t) as v from edges",
    "select regexp_matches(s, 'a', 'i') as v from edges",
    "select regexp_replace(s, 'a', 'b') as v from edges",
    "select substr(s, -1) as v from edges",
    "select s[1] as v from edges",
    "select split_part(s, '-', 1) as v from edges",
    "select [1, 2] as v from edges",
    "select {'a': 1} as v from edges",
    "select hash(s) as v from edges",
    "select columns('x|y') from edges",
    "select x ^ 2 as v from edges",
    "select i & 1 as v from edges",
    "select x // 2 as v from edges",
    "select x % 2 as v from edges",
    "select extract(millisecond from moment) as v from edges",
    "select date_trunc('decade', moment) as v from edges",
    "select date_diff('week', moment, later) as v from edges",
    "select timezone(s, moment) as v from edges",
    "select moment + interval '1 day 2 hours' as v from edges",
    "select i, count(*) as n from edges group by all",
    "select i, p, count(*) as n from edges group by rollup (i, p)",
    "select * from (pivot edges on p using count(*))",
    "select * from read_csv('x.csv')",
    "select * from range(3)",
    "select i from edges union by name select j from others",
]
