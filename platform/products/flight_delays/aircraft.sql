select tailnum, year, seats, engines
from planes
