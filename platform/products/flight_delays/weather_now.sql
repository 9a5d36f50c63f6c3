select origin, observed_at, temp, dewp, humid, wind_dir, wind_speed, wind_gust, precip, pressure, visib
from weather
